//! One answer from those of several datastores.

use futures::stream::{self, Stream, StreamExt};

use super::apply::{compare, slice, trim};
use super::{Entry, EntryStream, Order, Query};
use crate::error::Result;

impl Query {
    /// What to ask of each of `parts` datastores, so that [`merge`] can answer this query from what they
    /// say.
    pub(crate) fn part_of(&self, parts: usize) -> Query {
        if parts == 1 {
            return self.clone();
        }
        let compares_values = self
            .orders
            .iter()
            .any(|order| order.needs_value(self.keys_only));
        Query {
            offset: 0,
            limit: self.limit.map(|limit| limit.saturating_add(self.offset)),
            keys_only: self.keys_only && !compares_values,
            ..self.clone()
        }
    }
}

/// Answers `query` from the `answers` of datastores that have no key in common, each to the query's
/// [part](Query::part_of) for it.
///
/// It keeps one entry of each answer at a time; without orders the answers are read one after the
/// other.
pub(crate) fn merge(query: &Query, mut answers: Vec<EntryStream>) -> EntryStream {
    if answers.len() == 1
        && let Some(only) = answers.pop()
    {
        return only;
    }
    let merged = if query.orders.is_empty() {
        stream::iter(answers).flatten().boxed()
    } else {
        sorted(query.orders.clone(), answers).boxed()
    };
    let (keys_only, returns_sizes) = (query.keys_only, query.returns_sizes);
    slice(merged, query.offset, query.limit)
        .map(move |item| item.map(|entry| trim(entry, keys_only, returns_sizes)))
        .fuse()
        .boxed()
}

fn sorted(orders: Vec<Order>, answers: Vec<EntryStream>) -> impl Stream<Item = Result<Entry>> {
    let sources = answers.into_iter().map(Source::new).collect();
    stream::unfold(Sorted { orders, sources }, |mut sorted| async {
        let item = sorted.next().await?;
        Some((item, sorted))
    })
}

/// Answers that are sorted alike, each read up to its first entry.
struct Sorted {
    orders: Vec<Order>,
    sources: Vec<Source>,
}

impl Sorted {
    async fn next(&mut self) -> Option<Result<Entry>> {
        for source in &mut self.sources {
            if let Err(error) = source.read_on().await {
                return Some(Err(error));
            }
        }
        let firsts = self.sources.iter().enumerate();
        let (next, _) = firsts
            .filter_map(|(i, source)| Some((i, source.first.as_ref()?)))
            .min_by(|(_, a), (_, b)| compare(&self.orders, a, b))?;
        self.sources.get_mut(next)?.first.take().map(Ok)
    }
}

struct Source {
    first: Option<Entry>,
    others: EntryStream,
}

impl Source {
    fn new(answer: EntryStream) -> Self {
        Source {
            first: None,
            others: answer.fuse().boxed(),
        }
    }

    async fn read_on(&mut self) -> Result<()> {
        if self.first.is_none() {
            self.first = self.others.next().await.transpose()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::error::Error;
    use crate::key::Key;
    use crate::query::apply;

    /// What comes of two datastores with four entries and an error: the keys, and `!`.
    fn merged(query: &Query) -> Vec<String> {
        let part = |items: Vec<Result<Entry>>| apply(query.part_of(2), stream::iter(items));
        let entry = |key, value| Ok(Entry::with_value(Key::new(key), Bytes::from_static(value)));
        let one = part(vec![entry("/a", b"4"), entry("/c", b"2")]);
        let other = part(vec![
            entry("/b", b"3"),
            Err(Error::Closed),
            entry("/d", b"1"),
        ]);
        let items = merge(query, vec![one, other]).collect::<Vec<_>>();
        let items = items.now_or_never().unwrap().into_iter();
        let shown = items.map(|item| item.map_or("!".to_owned(), |entry| entry.key.to_string()));
        shown.collect()
    }

    #[test]
    fn without_orders_one_answer_comes_after_the_other() {
        assert_eq!(merged(&Query::new()), ["/a", "/c", "/b", "!", "/d"]);
        let slice = Query::new().offset(1).limit(2);
        assert_eq!(merged(&slice), ["/c", "/b"]);
    }

    #[test]
    fn sorted_answers_are_merged_and_errors_come_first_and_count_for_nothing() {
        let by_key = Query::new().order(Order::by_key());
        assert_eq!(merged(&by_key), ["!", "/a", "/b", "/c", "/d"]);
        assert_eq!(merged(&by_key.offset(1).limit(2)), ["!", "/b", "/c"]);
    }

    #[test]
    fn values_that_are_compared_are_not_answered_to_a_query_for_keys() {
        let query = Query::new().keys_only().order(Order::by_value());
        assert_eq!(merged(&query), ["!", "/d", "/c", "/b", "/a"]);
        assert!(!query.part_of(2).keys_only);
        let entry = Ok(Entry::with_value(Key::new("/a"), Bytes::from_static(b"4")));
        let one = stream::iter([entry]).boxed();
        let mut merged = merge(&query, vec![one, stream::empty().boxed()]);
        let first = merged.next().now_or_never().unwrap();
        assert_eq!(first.unwrap().unwrap(), Entry::from_key(Key::new("/a")));
    }
}
