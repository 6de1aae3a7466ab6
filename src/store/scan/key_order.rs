//! [`InKeyOrder`]: the entries of a store in the order of their keys, in bounded memory.

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::walk;
use crate::error::Result;
use crate::key::Key;
use crate::query::{self, Compare, Entry, EntryStream, Filter, Needs, Query};
use crate::store::shared::Store;

/// A query in the order of the keys. The directories of a store have no order, so each walk over the store sorts a
/// limited number of entries in memory: those that follow the entries of the last walk.
pub(super) struct InKeyOrder {
    store: Arc<Store>,
    query: Query,
    needs: Needs,
    entries_per_walk: usize,
    /// The entries of the current walk.
    entries: EntryStream,
    /// How many entries the current walk can still return.
    left: usize,
    last: Option<Key>,
}

impl InKeyOrder {
    /// `query` has no limit.
    pub(super) fn new(
        store: &Arc<Store>,
        query: Query,
        needs: Needs,
        entries_per_walk: usize,
    ) -> Self {
        let mut in_order = InKeyOrder {
            store: Arc::clone(store),
            query,
            needs,
            entries_per_walk,
            entries: stream::empty().boxed(),
            left: 0,
            last: None,
        };
        in_order.walk(in_order.query.clone());
        in_order
    }

    pub(super) fn stream(self) -> EntryStream {
        let entries = stream::unfold(self, |mut in_order| async move {
            let next = in_order.next().await?;
            Some((next, in_order))
        });
        entries.fuse().boxed()
    }

    async fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            match self.entries.next().await {
                Some(Ok(entry)) => {
                    self.left = self.left.saturating_sub(1);
                    self.last = Some(entry.key.clone());
                    return Some(Ok(entry));
                }
                Some(error) => return Some(error),
                // The walk has reached its limit, so there may be more entries.
                None if self.left == 0 => self.walk_on(self.last.clone()?),
                None => return None,
            }
        }
    }

    /// Begins a walk for the entries after `last`.
    fn walk_on(&mut self, last: Key) {
        let rest = self.query.clone().offset(0);
        self.walk(rest.filter(Filter::key(Compare::Greater, last)));
    }

    fn walk(&mut self, query: Query) {
        self.left = self.entries_per_walk;
        let query = query.limit(self.left);
        self.entries = query::apply(query, walk(&self.store, self.needs));
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;
    use crate::query::Order;
    use crate::store::FlatFs;

    async fn store_of(blocks: usize) -> (tempfile::TempDir, FlatFs) {
        let dir = tempfile::tempdir().unwrap();
        let options = FlatFs::options().durability(crate::store::Durability::OnSync);
        let store = options.create(dir.path().join("store")).await.unwrap();
        for i in 0..blocks {
            let key = Key::new(format!("/{:04}", i * 7919 % 10_000));
            store.put(&key, vec![0; i].into()).await.unwrap();
        }
        (dir, store)
    }

    #[tokio::test]
    async fn several_walks_return_the_same_entries_as_one() {
        for blocks in [0, 1, 9, 10, 11, 35] {
            let (_dir, store) = store_of(blocks).await;
            for offset in [0, 3, 12] {
                let query = Query::new().order(Order::by_key()).offset(offset);
                let query = query.keys_only().returns_sizes();
                let found = |entries_per_walk| {
                    let query = query.clone();
                    let found = InKeyOrder::new(&store.store, query, Needs::Size, entries_per_walk);
                    found.stream().try_collect::<Vec<_>>()
                };
                let (several, one) = (found(5).await.unwrap(), found(1000).await.unwrap());
                assert_eq!(one.len(), blocks.saturating_sub(offset));
                assert_eq!(several, one, "{blocks} blocks, offset {offset}");
                assert!(one.is_sorted_by_key(|entry| entry.key.clone()));
            }
        }
    }
}
