//! Queries: listings, and for values a GET request for each object.

use std::future::ready;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::shared::Shared;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{Entry, EntryStream, Needs, Query, apply};

/// Returns the results of a query.
pub(super) fn run(shared: &Arc<Shared>, mut query: Query) -> EntryStream {
    let entries = entries(shared, &query);
    if query.is_by_key() && shared.layout.shard().is_none() && shared.bucket.is_ordered() {
        // The listing has the order already, so nothing needs to be kept in memory.
        query.orders.clear();
        return apply(query, check_order(entries));
    }
    apply(query, entries)
}

/// Passes on entries in the order of their keys, and fails at an entry that is out of order.
fn check_order(entries: EntryStream) -> impl Stream<Item = Result<Entry>> + Send {
    let mut last: Option<Key> = None;
    entries.map(move |entry| {
        let entry = entry?;
        if last.as_ref().is_some_and(|last| *last >= entry.key) {
            return Err(Error::Backend {
                message: format!("the object store lists {} in the wrong order", entry.key),
                source: None,
            });
        }
        last = Some(entry.key.clone());
        Ok(entry)
    })
}

/// Returns all entries below the query's prefix, in the order of the listing, with what the query needs.
pub(super) fn entries(shared: &Arc<Shared>, query: &Query) -> EntryStream {
    let Some(prefix) = shared.layout.prefix(&query.prefix) else {
        return stream::empty().boxed();
    };
    let needs = query.needs();
    let concurrency = shared.concurrency;
    let shared = Arc::clone(shared);
    let layout = shared.layout.clone();
    let entries = shared.list(&prefix).filter_map(move |object| {
        let entry = object.map(|object| {
            let key = layout.key(&object.location)?;
            Some(Entry::with_size(key, object.size))
        });
        ready(entry.transpose())
    });
    if needs != Needs::Value {
        return entries.boxed();
    }
    // A request for a value that no filter would accept is saved.
    let query = query.clone();
    entries
        .filter(move |entry| {
            ready(match entry {
                Ok(entry) => query.accepts_key(&entry.key),
                Err(_) => true,
            })
        })
        .map(move |entry| with_value(Arc::clone(&shared), entry))
        .buffered(concurrency)
        .filter_map(|entry| ready(entry.transpose()))
        .boxed()
}

/// Returns the entry with its value, or `None` if the object was deleted after it was listed.
async fn with_value(shared: Arc<Shared>, entry: Result<Entry>) -> Result<Option<Entry>> {
    let entry = entry?;
    // No token is taken: the stream may no longer be polled, and a close would wait for it.
    shared.check_open()?;
    let value = shared.get(&entry.key).await?;
    Ok(value.map(|value| Entry::with_value(entry.key, value)))
}
