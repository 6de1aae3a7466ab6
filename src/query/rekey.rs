//! Queries of a wrapper that stores its entries under other keys in the datastore that it wraps.

use std::sync::Arc;

use futures::stream::StreamExt;

use super::{Entry, EntryStream, Query};
use crate::key::Key;

/// Turns a key of one datastore into the key of another. It preserves the order of the keys, as adding and
/// removing a prefix do.
pub(crate) type KeyMap = Arc<dyn Fn(&Key) -> Key + Send + Sync>;

impl Entry {
    /// Returns the same entry under the key that `map` makes of its key.
    pub(super) fn rekeyed(&self, map: &KeyMap) -> Self {
        Entry {
            key: map(&self.key),
            ..self.clone()
        }
    }
}

impl Query {
    /// Returns the query for the inner datastore below `prefix`. Its results are those of this query once
    /// [`rekey`] has applied `map` to their keys.
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

/// Returns the entries under the keys that `map` makes of theirs.
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
