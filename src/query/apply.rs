//! The steps of a query over any stream of entries.

use std::cmp::Ordering;
use std::future::ready;
use std::mem;

use futures::stream::{self, Stream, StreamExt};
use itertools::Itertools;
use tokio::task::consume_budget;

use super::{Entry, EntryStream, Order, Query};
use crate::error::Result;

/// Answers `query` from a stream of all entries of a datastore, in any order, with at least what the
/// query [needs](Query::needs) of each.
///
/// Without orders it keeps one entry at a time. With orders it has to see every entry before the
/// first comes out, and keeps all that pass the filters, or with a limit some thousand, or about twice
/// as many as offset and limit ask for. Errors pass through, and count neither for the offset nor for the limit;
/// with orders they come first.
pub fn apply(
    query: Query,
    entries: impl Stream<Item = Result<Entry>> + Send + 'static,
) -> EntryStream {
    if query.limit == Some(0) {
        return stream::empty().boxed();
    }
    let Query {
        offset,
        limit,
        keys_only,
        returns_sizes,
        ..
    } = query;
    let orders = query.orders.clone();
    let matching = matching(query, entries);
    let keep = limit.map(|limit| limit.saturating_add(offset));
    let sorted = if orders.is_empty() {
        matching
    } else {
        stream::once(sort(matching, orders, keep)).flatten().boxed()
    };
    slice(sorted, offset, limit)
        .map(move |item| item.map(|entry| trim(entry, keys_only, returns_sizes)))
        .fuse()
        .boxed()
}

/// The entries below the prefix that pass the filters.
fn matching(
    query: Query,
    entries: impl Stream<Item = Result<Entry>> + Send + 'static,
) -> EntryStream {
    if query.prefix.is_root() && query.filters.is_empty() {
        return entries.boxed();
    }
    entries
        .filter(move |item| {
            ready(match item {
                Ok(entry) => {
                    query.covers(&entry.key) && query.filters.iter().all(|f| f.accepts(entry))
                }
                Err(_) => true,
            })
        })
        .boxed()
}

/// Leaves out what was needed to judge an entry, but not asked for.
pub(super) fn trim(entry: Entry, keys_only: bool, returns_sizes: bool) -> Entry {
    match (keys_only, entry.size) {
        (false, _) => entry,
        (true, Some(size)) if returns_sizes => Entry::with_size(entry.key, size),
        (true, _) => Entry::from_key(entry.key),
    }
}

/// The entries behind the first `offset` ones, `limit` at most.
pub(super) fn slice(entries: EntryStream, mut offset: usize, limit: Option<usize>) -> EntryStream {
    let behind = if offset == 0 {
        entries
    } else {
        let behind = entries.filter(move |item| {
            let skip = item.is_ok() && offset > 0;
            if skip {
                offset -= 1;
            }
            ready(!skip)
        });
        behind.boxed()
    };
    let Some(limit) = limit else {
        return behind;
    };
    stream::unfold((behind, limit), |(mut entries, left)| async move {
        if left == 0 {
            return None;
        }
        let item = entries.next().await?;
        let left = left - usize::from(item.is_ok());
        Some((item, (entries, left)))
    })
    .boxed()
}

/// All errors, then the entries in order; only the first `keep` of them where that is known.
///
/// They are sorted a run at a time while they come, and merged while they are taken, and each of them
/// spends of the task's budget: a million at once would keep a worker of the runtime from everybody else.
async fn sort(
    entries: impl Stream<Item = Result<Entry>> + Send,
    orders: Vec<Order>,
    keep: Option<usize>,
) -> impl Stream<Item = Result<Entry>> + Send {
    let mut entries = std::pin::pin!(entries);
    let mut errors = Vec::new();
    let mut run = Vec::new();
    let mut runs = Vec::new();
    while let Some(item) = entries.next().await {
        consume_budget().await;
        match item {
            Ok(entry) => run.push(entry),
            Err(error) => errors.push(Err(error)),
        }
        if run.len() == RUN {
            run.sort_unstable_by(|a, b| compare(&orders, a, b));
            runs.push(mem::take(&mut run));
            if let Some(keep) = keep
                && runs.iter().map(Vec::len).sum::<usize>() / 2 > keep.max(RUN)
            {
                let first = first_of(mem::take(&mut runs), &orders, keep).await;
                runs.push(first);
            }
        }
    }
    run.sort_unstable_by(|a, b| compare(&orders, a, b));
    runs.push(run);
    let sorted = merge(runs, orders).map(Ok);
    stream::iter(errors.into_iter().chain(sorted)).then(|item| async {
        consume_budget().await;
        item
    })
}

/// How many entries are sorted at once: in about a millisecond.
const RUN: usize = 2048;

/// The first `keep` entries of all runs.
async fn first_of(runs: Vec<Vec<Entry>>, orders: &[Order], keep: usize) -> Vec<Entry> {
    let mut runs: Vec<_> = runs.into_iter().map(Vec::into_iter).collect();
    let mut first = Vec::with_capacity(keep);
    for entry in merge(&mut runs, orders.to_vec()).take(keep) {
        first.push(entry);
        consume_budget().await;
    }
    // The others go one by one too.
    for other in runs.into_iter().flatten() {
        drop(other);
        consume_budget().await;
    }
    first
}

fn merge<R>(runs: impl IntoIterator<Item = R>, orders: Vec<Order>) -> impl Iterator<Item = Entry>
where
    R: IntoIterator<Item = Entry>,
{
    runs.into_iter()
        .kmerge_by(move |a: &Entry, b: &Entry| compare(&orders, a, b).is_lt())
}

/// By the orders, in the end by key, so that the result is the same every time.
pub(super) fn compare(orders: &[Order], a: &Entry, b: &Entry) -> Ordering {
    orders
        .iter()
        .map(|order| order.compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.key.cmp(&b.key))
}
