//! [`Overlay`]: queries over writes that the inner datastore does not have yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;

use crate::key::Key;
use crate::query::{Entry, EntryStream, Filter, Query, apply, merge};

/// Writes that replace the entries of a datastore: the last write of each key; `None` is a delete.
#[derive(Clone, Debug)]
pub(super) struct Overlay(Arc<BTreeMap<Key, Option<Bytes>>>);

impl Overlay {
    pub(super) fn new(writes: BTreeMap<Key, Option<Bytes>>) -> Self {
        Overlay(Arc::new(writes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the query for the inner datastore, which excludes the keys of the overlay.
    pub(super) fn inner_query(&self, query: &Query) -> Query {
        if self.is_empty() {
            return query.clone();
        }
        let writes = Arc::clone(&self.0);
        let others = Filter::custom_key(move |key| !writes.contains_key(key));
        query.part_of(2).filter(others)
    }

    /// Returns the results of the query, given those of the inner datastore.
    pub(super) fn results(&self, query: &Query, inner: EntryStream) -> EntryStream {
        if self.is_empty() {
            return inner;
        }
        let writes = self.0.iter();
        let puts = writes.filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        let entries: Vec<_> = puts
            .map(|(key, value)| Ok(Entry::with_value(key, value)))
            .collect();
        let own = apply(query.part_of(2), stream::iter(entries));
        merge(query, vec![own, inner])
    }
}
