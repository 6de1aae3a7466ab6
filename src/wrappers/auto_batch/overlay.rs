//! Queries over writes that the datastore below doesn't have yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;

use crate::key::Key;
use crate::query::{Entry, EntryStream, Filter, Query, apply, merge};

/// What stands over the entries of a datastore: the last write of each key, `None` is a delete.
#[derive(Clone, Debug)]
pub(super) struct Overlay(Arc<BTreeMap<Key, Option<Bytes>>>);

impl Overlay {
    pub(super) fn new(writes: BTreeMap<Key, Option<Bytes>>) -> Self {
        Overlay(Arc::new(writes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to ask of the datastore below: what the query asks for, but for the keys written here.
    pub(super) fn ask(&self, query: &Query) -> Query {
        if self.is_empty() {
            return query.clone();
        }
        let writes = Arc::clone(&self.0);
        let others = Filter::custom_key(move |key| !writes.contains_key(key));
        query.part_of(2).filter(others)
    }

    /// The answer to the query, from what the datastore below answers.
    pub(super) fn answer(&self, query: &Query, below: EntryStream) -> EntryStream {
        if self.is_empty() {
            return below;
        }
        let writes = self.0.iter();
        let puts = writes.filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        let entries: Vec<_> = puts
            .map(|(key, value)| Ok(Entry::with_value(key, value)))
            .collect();
        let own = apply(query.part_of(2), stream::iter(entries));
        merge(query, vec![own, below])
    }
}
