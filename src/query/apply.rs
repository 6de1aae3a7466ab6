//! [`apply`]: the steps of a query over any stream of entries.

use std::cmp::Ordering;
use std::future::ready;
use std::mem;

use futures::stream::{self, Stream, StreamExt};
use itertools::Itertools;
use tokio::task::consume_budget;

use super::{Entry, EntryStream, Order, Query};
use crate::error::Result;

/// Returns the results of `query` over a stream of all entries of a datastore, which may be in any order, and which
/// must have what the query [needs](Query::needs).
///
/// Without orders the function keeps one entry in memory. With orders it reads all entries before it returns the
/// first one, and keeps all that pass the filters; if the query has a limit, it keeps a few thousand, or about
/// twice the sum of offset and limit. Errors are passed on and do not count towards the offset or the limit; with
/// orders they are returned first.
pub fn apply(
    query: Query,
    entries: impl Stream<Item = Result<Entry>> + Send + 'static,
) -> EntryStream {
    // Without this, a query with an order would read all entries to return none.
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
    let needed = limit.map(|limit| limit.saturating_add(offset));
    let sorted = if orders.is_empty() {
        matching
    } else {
        stream::once(sort(matching, orders, needed))
            .flatten()
            .boxed()
    };
    slice(sorted, offset, limit)
        .map(move |item| item.map(|entry| trim(entry, keys_only, returns_sizes)))
        .fuse()
        .boxed()
}

/// Returns the entries below the prefix that pass the filters.
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

/// Removes the parts of an entry that filters and orders needed, but that the query does not return.
pub(super) fn trim(entry: Entry, keys_only: bool, returns_sizes: bool) -> Entry {
    match (keys_only, entry.size) {
        (false, _) => entry,
        (true, Some(size)) if returns_sizes => Entry::with_size(entry.key, size),
        (true, _) => Entry::from_key(entry.key),
    }
}

/// Skips the first `offset` entries and returns at most `limit` of the others.
pub(super) fn slice(entries: EntryStream, mut offset: usize, limit: Option<usize>) -> EntryStream {
    let rest = if offset == 0 {
        entries
    } else {
        let rest = entries.filter(move |item| {
            let skip = item.is_ok() && offset > 0;
            if skip {
                offset -= 1;
            }
            ready(!skip)
        });
        rest.boxed()
    };
    let Some(limit) = limit else {
        return rest;
    };
    stream::unfold((rest, limit), |(mut entries, left)| async move {
        if left == 0 {
            return None;
        }
        let item = entries.next().await?;
        let left = left - usize::from(item.is_ok());
        Some((item, (entries, left)))
    })
    .boxed()
}

/// Returns all errors, then the sorted entries. If `needed` is given, entries after the first `needed` ones may be
/// missing.
///
/// Entries are sorted in runs while they arrive, and merged while the stream is read. Each entry consumes budget of
/// the task, because sorting a million entries at once would keep other tasks from the runtime's worker.
async fn sort(
    entries: impl Stream<Item = Result<Entry>> + Send,
    orders: Vec<Order>,
    needed: Option<usize>,
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
        if run.len() == RUN_LEN {
            run.sort_unstable_by(|a, b| compare(&orders, a, b));
            runs.push(mem::take(&mut run));
            if let Some(needed) = needed
                && runs.iter().map(Vec::len).sum::<usize>() / 2 > needed.max(RUN_LEN)
            {
                let first = first_of(mem::take(&mut runs), &orders, needed).await;
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

/// How many entries are sorted without a pause, which takes about a millisecond.
const RUN_LEN: usize = 2048;

/// Returns the first `count` entries of all runs.
async fn first_of(runs: Vec<Vec<Entry>>, orders: &[Order], count: usize) -> Vec<Entry> {
    let mut runs: Vec<_> = runs.into_iter().map(Vec::into_iter).collect();
    let mut first = Vec::with_capacity(count);
    for entry in merge(&mut runs, orders.to_vec()).take(count) {
        first.push(entry);
        consume_budget().await;
    }
    // Dropping a million entries at once would block the worker as well.
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

/// Compares two entries by the orders, and last by key, so that the result is the same every time.
pub(super) fn compare(orders: &[Order], a: &Entry, b: &Entry) -> Ordering {
    orders
        .iter()
        .map(|order| order.compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.key.cmp(&b.key))
}
