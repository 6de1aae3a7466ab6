//! Queries: listings, and for values a GET request for each object.

use std::future::ready;
use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::shared::Shared;
use crate::error::Result;
use crate::query::{Entry, EntryStream, Needs, Query};

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
    entries
        .map(move |entry| with_value(Arc::clone(&shared), entry))
        .buffered(concurrency)
        .filter_map(|entry| ready(entry.transpose()))
        .boxed()
}

/// Returns the entry with its value, or `None` if the object was deleted after it was listed.
async fn with_value(shared: Arc<Shared>, entry: Result<Entry>) -> Result<Option<Entry>> {
    let entry = entry?;
    let _token = shared.begin()?;
    let value = shared.get(&entry.key).await?;
    Ok(value.map(|value| Entry::with_value(entry.key, value)))
}
