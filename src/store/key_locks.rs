//! [`KeyLocks`]: one write of a key at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use crate::format::BlockKey;
use crate::sync::lock;

/// The keys that are locked or waited for.
///
/// Calls get the lock of a key in their order. A write need not run if the previous holder of the lock has
/// successfully made the same write: both calls were running at the same time, so no caller can tell the
/// difference. After a failed or a different write it must run.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    slots: Mutex<HashMap<BlockKey, Slot>>,
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
        let mut key_lock = KeyLock {
            key_locks: Arc::clone(self),
            block: block.clone(),
            last: None,
        };
        let slot = Arc::clone(lock(&self.slots).entry(block.clone()).or_default());
        key_lock.last = Some(slot.lock_owned().await);
        key_lock
    }

    /// Returns whether a write of this key is running or waiting.
    pub(crate) fn is_locked(&self, block: &BlockKey) -> bool {
        lock(&self.slots).contains_key(block)
    }
}

/// The lock of one key, until it is dropped.
#[derive(Debug)]
#[must_use = "the key is unlocked when this is dropped"]
pub(crate) struct KeyLock {
    key_locks: Arc<KeyLocks>,
    block: BlockKey,
    /// The last successful write of the key; `None` until the lock is acquired.
    last: Option<OwnedMutexGuard<Option<WriteOp>>>,
}

impl KeyLock {
    /// Returns whether the previous holder of the lock, for which this one waited, made exactly this write.
    pub(crate) fn last_write_was(&self, op: &WriteOp) -> bool {
        self.last.as_ref().and_then(|last| last.as_ref()) == Some(op)
    }

    /// Releases the lock after a write that succeeded.
    pub(crate) fn succeeded(mut self, op: WriteOp) {
        if let Some(last) = &mut self.last {
            **last = Some(op);
        }
    }

    /// Forgets the previous write, because this one may change the block and then fail.
    pub(crate) fn forget_last_write(&mut self) {
        if let Some(last) = &mut self.last {
            **last = None;
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        let mut slots = lock(&self.key_locks.slots);
        self.last = None;
        // Slots are cloned only under this lock, so if the map has the only reference, no other write is
        // waiting.
        if slots
            .get(&self.block)
            .is_some_and(|slot| Arc::strong_count(slot) == 1)
        {
            slots.remove(&self.block);
        }
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
        let first = key_locks.lock(&key).await;
        let mut second = Box::pin(key_locks.lock(&key));
        assert!(second.as_mut().now_or_never().is_none());
        first.succeeded(put("one"));
        let second = second.await;
        assert!(second.last_write_was(&put("one")));
        assert!(!second.last_write_was(&put("two")));
        assert!(!second.last_write_was(&WriteOp::Delete));
    }

    #[tokio::test]
    async fn a_write_after_a_failed_one_must_run() {
        let key_locks = Arc::new(KeyLocks::default());
        let key = block("A");
        let mut first = key_locks.lock(&key).await;
        let mut second = Box::pin(key_locks.lock(&key));
        assert!(second.as_mut().now_or_never().is_none());
        first.forget_last_write();
        drop(first);
        assert!(!second.await.last_write_was(&put("one")));
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
        assert!(lock(&key_locks.slots).is_empty());
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
            assert!(lock(&key_locks.slots).is_empty());
        }
    }
}
