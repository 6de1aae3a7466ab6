//! Queries of a datastore that stands on another one, where the entries have other keys.

use std::sync::Arc;

use futures::stream::StreamExt;

use super::{Entry, EntryStream, Query};
use crate::key::Key;

/// Makes a key of another one. It keeps their order, as putting a prefix before them does, and taking
/// it off.
pub(crate) type KeyMap = Arc<dyn Fn(&Key) -> Key + Send + Sync>;

impl Entry {
    /// The same entry under the key that `map` makes of its own.
    pub(super) fn rekeyed(&self, map: &KeyMap) -> Self {
        Entry {
            key: map(&self.key),
            ..self.clone()
        }
    }
}

impl Query {
    /// What to ask of the other datastore below `prefix`, so that its answer is right once its keys went
    /// [through `map`](rekey).
    pub(crate) fn rekeyed(self, prefix: Key, map: &KeyMap) -> Self {
        let filters = self.filters.iter().map(|filter| filter.rekeyed(map));
        let orders = self.orders.iter().map(|order| order.rekeyed(map));
        Query {
            prefix,
            filters: filters.collect(),
            orders: orders.collect(),
            ..self
        }
    }
}

/// The entries under the keys that `map` makes of theirs.
pub(crate) fn rekey(entries: EntryStream, map: KeyMap) -> EntryStream {
    entries
        .map(move |item| {
            item.map(|entry| Entry {
                key: map(&entry.key),
                ..entry
            })
        })
        .boxed()
}
