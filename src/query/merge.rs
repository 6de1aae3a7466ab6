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
