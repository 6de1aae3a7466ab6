//! [`KeyLocks`]: one write of a key at a time.

#[cfg(any(test, feature = "dag"))]
mod watch;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

#[cfg(feature = "dag")]
pub(crate) use self::watch::WriteWatch;
use crate::format::BlockKey;
use crate::sync::lock;

/// The keys that are locked or waited for.
///
/// Calls get the lock of a key in the order in which they asked for it. A write does not have to run if the previous
/// holder of the lock has successfully made the same write: both calls were running at the same time, so no caller can
/// tell the difference. After a failed or a different write it must run: that write may have changed the block. So a
/// lock forgets the last write when it is acquired, and notes its own only once that has
/// [succeeded](KeyLock::succeeded).
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    locks: Mutex<Locks>,
    /// The number of watches that have begun.
    watches_begun: AtomicU64,
}

#[derive(Debug, Default)]
struct Locks {
    slots: HashMap<BlockKey, Slot>,
    /// The keys that were locked during a watch.
    watched: WatchedKeys,
}

/// The hashes of keys. Two keys with the same hash are not distinguished.
#[derive(Debug, Default)]
struct WatchedKeys {
    watches: usize,
    state: RandomState,
    hashes: HashSet<u64>,
}

impl WatchedKeys {
    fn add(&mut self, block: &BlockKey) {
        if self.watches > 0 {
            self.hashes.insert(self.state.hash_one(block));
        }
    }
}

impl Locks {
    /// Removes the slot of a key that no caller has locked or waits for.
    fn remove_unused(&mut self, block: &BlockKey) {
        // Slots are cloned only under the lock of the map, so if the map has the only reference, no other write is
        // waiting.
        if self
            .slots
            .get(block)
            .is_some_and(|slot| Arc::strong_count(slot) == 1)
        {
            self.slots.remove(block);
        }
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<WriteOp>>>;

/// A write operation on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteOp {
    Put(Bytes),
    Delete,
}

impl KeyLocks {
    /// Waits for the lock of this key. A caller that takes several locks takes them in the order of the keys,
    /// or two callers could wait for each other.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the caller leaves the queue.
    pub(crate) async fn lock(self: &Arc<Self>, block: &BlockKey) -> KeyLock {
        self.acquire(block).await.0
    }

    /// Waits for the lock of this key. Returns `None` if the previous holder of the lock made exactly this write.
    ///
    /// # Cancel safety
    ///
    /// As for [`lock`](KeyLocks::lock).
    pub(crate) async fn lock_for(
        self: &Arc<Self>,
        block: &BlockKey,
        op: &WriteOp,
    ) -> Option<KeyLock> {
        match self.acquire(block).await {
            // The next holder may have waited with the same write.
            (key_lock, Some(last)) if last == *op => {
                key_lock.succeeded(last);
                None
            }
            (key_lock, _) => Some(key_lock),
        }
    }

    /// Waits for the lock, and returns the last write, if that succeeded.
    async fn acquire(self: &Arc<Self>, block: &BlockKey) -> (KeyLock, Option<WriteOp>) {
        let mut key_lock = KeyLock {
            key_locks: Arc::clone(self),
            block: block.clone(),
            last: None,
        };
        let slot = {
            let mut locks = lock(&self.locks);
            locks.watched.add(block);
            Arc::clone(locks.slots.entry(block.clone()).or_default())
        };
        let mut slot = slot.lock_owned().await;
        let last = slot.take();
        key_lock.last = Some(slot);
        (key_lock, last)
    }

    /// Returns whether every put must take its key lock, because a write of this key is running or waiting, or
    /// because writes are [watched](KeyLocks::watch).
    pub(crate) fn is_needed(&self, block: &BlockKey) -> bool {
        let locks = lock(&self.locks);
        locks.watched.watches > 0 || locks.slots.contains_key(block)
    }

    /// Returns how many [watches](KeyLocks::watch) have begun. If the number changes during a write, the watch may
    /// have missed it.
    pub(crate) fn watches_begun(&self) -> u64 {
        self.watches_begun.load(Ordering::SeqCst)
    }
}

/// The lock of one key, until it is dropped.
#[derive(Debug)]
#[must_use = "the key is unlocked when this is dropped"]
pub(crate) struct KeyLock {
    key_locks: Arc<KeyLocks>,
    block: BlockKey,
    /// Where to note the write of this holder if it succeeds; `None` until the lock is acquired.
    last: Option<OwnedMutexGuard<Option<WriteOp>>>,
}

impl KeyLock {
    /// Releases the lock after a write that succeeded.
    pub(crate) fn succeeded(mut self, op: WriteOp) {
        if let Some(last) = &mut self.last {
            **last = Some(op);
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        let mut locks = lock(&self.key_locks.locks);
        self.last = None;
        locks.remove_unused(&self.block);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use futures::FutureExt;

    use super::*;
    use crate::key::Key;

    fn block(name: &str) -> BlockKey {
        BlockKey::new(&Key::new(name)).unwrap()
    }

    fn put(value: &'static str) -> WriteOp {
        WriteOp::Put(Bytes::from_static(value.as_bytes()))
    }

    #[tokio::test]
    async fn a_waiting_write_of_the_same_value_need_not_run_and_one_of_another_value_must() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        let first_op = put("one");
        for (op, must_run) in [
            (put("one"), false),
            (put("two"), true),
            (WriteOp::Delete, true),
        ] {
            let first = key_locks.lock(&key).await;
            let mut second = Box::pin(key_locks.lock_for(&key, &op));
            let mut third = Box::pin(key_locks.lock_for(&key, &first_op));
            assert!(second.as_mut().now_or_never().is_none());
            assert!(third.as_mut().now_or_never().is_none());
            first.succeeded(first_op.clone());
            assert_eq!(second.await.is_some(), must_run);
            assert_eq!(third.await.is_some(), must_run);
        }
    }

    #[tokio::test]
    async fn a_write_after_a_failed_one_must_run() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        let (op, other_op) = (put("one"), put("two"));
        let first = key_locks.lock(&key).await;
        let mut second = Box::pin(key_locks.lock_for(&key, &other_op));
        let mut third = Box::pin(key_locks.lock_for(&key, &op));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        first.succeeded(op.clone());
        // The second write fails.
        drop(second.await);
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn locks_of_other_keys_are_independent() {
        let key_locks = Arc::new(KeyLocks::default());
        let _first = key_locks.lock(&block("A")).await;
        assert!(key_locks.lock(&block("B")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_dropped_future_leaves_no_lock_behind() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        let first = key_locks.lock(&key).await;
        let mut second = Box::pin(key_locks.lock(&key));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(lock(&key_locks.locks).slots.is_empty());
    }

    #[tokio::test]
    async fn locks_that_are_released_at_the_same_time_leave_nothing_behind() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        for _ in 0..5_000 {
            let first = key_locks.lock(&key).await;
            let mut second = Box::pin(key_locks.lock(&key));
            assert!(second.as_mut().now_or_never().is_none());
            let together = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    together.wait();
                    drop(first);
                });
                together.wait();
                drop(second);
            });
            assert!(lock(&key_locks.locks).slots.is_empty());
        }
    }
}
