//! [`merge`]: the results of a query over several datastores.

use futures::stream::{self, Stream, StreamExt};

use super::apply::{compare, slice, trim};
use super::{Entry, EntryStream, Order, Query};
use crate::error::Result;

impl Query {
    /// Returns the query to run on each of `parts` datastores, so that [`merge`] can make the results of this query
    /// from theirs.
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
            // One part may have all of the entries that are skipped and all that are returned.
            limit: self.limit.map(|limit| limit.saturating_add(self.offset)),
            // The merge compares values, so the parts have to return them.
            keys_only: self.keys_only && !compares_values,
            ..self.clone()
        }
    }
}

/// Returns the results of `query` from the `parts` of datastores that have no key in common. Each part is the result
/// of the query's [part](Query::part_of).
///
/// The function keeps one entry of each part in memory. Without orders the parts are read one after another.
pub(crate) fn merge(query: &Query, mut parts: Vec<EntryStream>) -> EntryStream {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let merged = if query.orders.is_empty() {
        stream::iter(parts).flatten().boxed()
    } else {
        sorted(query.orders.clone(), parts).boxed()
    };
    let (keys_only, returns_sizes) = (query.keys_only, query.returns_sizes);
    slice(merged, query.offset, query.limit)
        .map(move |item| item.map(|entry| trim(entry, keys_only, returns_sizes)))
        .fuse()
        .boxed()
}

fn sorted(orders: Vec<Order>, parts: Vec<EntryStream>) -> impl Stream<Item = Result<Entry>> {
    let parts = parts.into_iter().map(Peekable::new).collect();
    stream::unfold(SortedMerge { orders, parts }, |mut merge| async {
        let item = merge.next().await?;
        Some((item, merge))
    })
}

/// The merge of streams that are sorted by the same orders.
struct SortedMerge {
    orders: Vec<Order>,
    parts: Vec<Peekable>,
}

impl SortedMerge {
    async fn next(&mut self) -> Option<Result<Entry>> {
        for part in &mut self.parts {
            if let Err(error) = part.fill().await {
                return Some(Err(error));
            }
        }
        let heads = self.parts.iter().enumerate();
        let (next, _) = heads
            .filter_map(|(i, part)| Some((i, part.head.as_ref()?)))
            .min_by(|(_, a), (_, b)| compare(&self.orders, a, b))?;
        self.parts.get_mut(next)?.head.take().map(Ok)
    }
}

/// A stream of entries of which the next one has been read.
struct Peekable {
    head: Option<Entry>,
    tail: EntryStream,
}

impl Peekable {
    fn new(entries: EntryStream) -> Self {
        Peekable {
            head: None,
            tail: entries.fuse().boxed(),
        }
    }

    /// Reads the next entry, unless it has been read.
    async fn fill(&mut self) -> Result<()> {
        if self.head.is_none() {
            self.head = self.tail.next().await.transpose()?;
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

    /// The merged results of two datastores with four entries and an error: the keys, and `!` for the error.
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
    fn without_orders_the_parts_are_read_one_after_another() {
        assert_eq!(merged(&Query::new()), ["/a", "/c", "/b", "!", "/d"]);
        let slice = Query::new().offset(1).limit(2);
        assert_eq!(merged(&slice), ["/c", "/b"]);
    }

    #[test]
    fn sorted_parts_are_merged_and_errors_come_first_and_do_not_count() {
        let by_key = Query::new().order(Order::by_key());
        assert_eq!(merged(&by_key), ["!", "/a", "/b", "/c", "/d"]);
        assert_eq!(merged(&by_key.offset(1).limit(2)), ["!", "/b", "/c"]);
    }

    #[test]
    fn values_that_were_compared_are_not_returned_by_a_query_for_keys() {
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
