//! [`WriteWatch`]: which keys were written since a garbage collection began, and the locks of the others.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedMutexGuard;

use super::{KeyLocks, Locks, Slot, WatchedKeys, WriteOp};
use crate::format::BlockKey;
use crate::sync::lock;

impl KeyLocks {
    /// Notes every key that is written from now on, until the watch is dropped. It takes about 16 bytes for each.
    pub(crate) fn watch(self: &Arc<Self>) -> WriteWatch {
        let mut locks = lock(&self.locks);
        let Locks { slots, watched } = &mut *locks;
        watched.watches += 1;
        self.watches_begun.fetch_add(1, Ordering::SeqCst);
        // Writes that are already running may still change their blocks during the watch.
        slots.keys().for_each(|block| watched.add(block));
        WriteWatch(Arc::clone(self))
    }
}

impl WatchedKeys {
    fn has(&self, block: &BlockKey) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.state.hash_one(block))
    }
}

/// A watch of the keys that are written.
#[derive(Debug)]
#[must_use = "the watch ends when this is dropped"]
pub(crate) struct WriteWatch(Arc<KeyLocks>);

impl WriteWatch {
    /// Locks those of the keys that no write has locked since the watch began, all in one step. A write that begins
    /// while the locks are held waits for them. The locks themselves are not noted.
    pub(crate) fn lock_unwritten<'b>(&self, blocks: &'b [BlockKey]) -> UnwrittenLocks<'b> {
        let mut locks = lock(&self.0.locks);
        let Locks { slots, watched } = &mut *locks;
        let mut locked = Vec::with_capacity(blocks.len());
        for block in blocks {
            if watched.has(block) {
                continue;
            }
            let Entry::Vacant(vacant) = slots.entry(block.clone()) else {
                continue;
            };
            let slot = Slot::default();
            // Nobody else has the new slot.
            if let Ok(guard) = Arc::clone(&slot).try_lock_owned() {
                vacant.insert(slot);
                locked.push((block, guard));
            }
        }
        drop(locks);
        UnwrittenLocks {
            key_locks: Arc::clone(&self.0),
            locked,
        }
    }
}

/// The locks of several keys, until they are dropped.
#[derive(Debug)]
#[must_use = "the keys are unlocked when this is dropped"]
pub(crate) struct UnwrittenLocks<'b> {
    key_locks: Arc<KeyLocks>,
    locked: Vec<(&'b BlockKey, OwnedMutexGuard<Option<WriteOp>>)>,
}

impl<'b> UnwrittenLocks<'b> {
    /// Returns the keys that are locked.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = &'b BlockKey> + use<'_, 'b> {
        self.locked.iter().map(|(block, _)| *block)
    }
}

impl Drop for UnwrittenLocks<'_> {
    fn drop(&mut self) {
        let mut locks = lock(&self.key_locks.locks);
        for (block, guard) in self.locked.drain(..) {
            drop(guard);
            locks.remove_unused(block);
        }
    }
}

impl Drop for WriteWatch {
    fn drop(&mut self) {
        let watched = &mut lock(&self.0.locks).watched;
        watched.watches -= 1;
        if watched.watches == 0 {
            watched.hashes = HashSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::key::Key;

    fn block(name: &str) -> BlockKey {
        BlockKey::new(&Key::new(name)).unwrap()
    }

    #[tokio::test]
    async fn a_watch_notes_the_writes_that_run_and_those_that_begin() {
        let key_locks = Arc::new(KeyLocks::default());
        drop(key_locks.lock(&block("EARLIER")).await);
        let running = key_locks.lock(&block("RUNNING")).await;
        let watch = key_locks.watch();
        drop(running);
        drop(key_locks.lock(&block("LATER")).await);
        let blocks = ["RUNNING", "EARLIER", "LATER", "EARLIER"].map(block);
        let locked = watch.lock_unwritten(&blocks);
        assert_eq!(locked.blocks().collect::<Vec<_>>(), [&block("EARLIER")]);
        drop(locked);
        assert!(lock(&key_locks.locks).slots.is_empty());
    }

    #[tokio::test]
    async fn a_write_waits_for_the_lock_of_a_watch_and_must_run_after_it() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        let watch = key_locks.watch();
        let keys = [block("B"), key.clone()];
        let held = watch.lock_unwritten(&keys);
        assert_eq!(held.blocks().len(), 2);
        let op = WriteOp::Put(Bytes::from_static(b"one"));
        let mut waiting = Box::pin(key_locks.lock_for(&key, &op));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        assert!(waiting.await.is_some());
        assert_eq!(watch.lock_unwritten(&[key]).blocks().len(), 0);
    }

    #[tokio::test]
    async fn a_later_watch_does_not_see_the_writes_of_an_earlier_one() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        let (first, second) = (key_locks.watch(), key_locks.watch());
        drop(key_locks.lock(&key).await);
        drop(first);
        assert!(key_locks.is_needed(&key));
        let locked = |watch: &WriteWatch| watch.lock_unwritten(&[block("A")]).blocks().len();
        assert_eq!(locked(&second), 0);
        drop(second);
        assert!(!key_locks.is_needed(&key));
        assert_eq!(locked(&key_locks.watch()), 1);
    }
}
