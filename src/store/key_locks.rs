//! [`KeyLocks`]: one write of a key at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use crate::format::BlockKey;

/// The keys that are being written or waited for.
///
/// Writes of one key take turns, in the order in which they came. A write that finds that the one
/// before it succeeded in doing just the same needs not run: both were under way at the same time, so
/// nobody can tell. After a failure, or a write of something else, it runs.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    slots: Mutex<HashMap<BlockKey, Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<WriteOp>>>;

/// What the last successful write of a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteOp {
    Put(Bytes),
    Delete,
}

impl KeyLocks {
    /// Waits for the turn to write this key. Whoever takes several turns takes them in the order of
    /// the keys, or two of them could wait for each other.
    ///
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn take(self: &Arc<Self>, block: &BlockKey) -> KeyLock {
        let mut turn = KeyLock {
            turns: Arc::clone(self),
            block: block.clone(),
            held: None,
        };
        let slot = Arc::clone(self.slots().entry(block.clone()).or_default());
        turn.held = Some(slot.lock_owned().await);
        turn
    }

    /// Whether a write of this key is under way.
    pub(crate) fn is_taken(&self, block: &BlockKey) -> bool {
        self.slots().contains_key(block)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<BlockKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write one key, until it is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub(crate) struct KeyLock {
    turns: Arc<KeyLocks>,
    block: BlockKey,
    /// Absent while the turn is waited for.
    held: Option<OwnedMutexGuard<Option<WriteOp>>>,
}

impl KeyLock {
    /// Whether the write before this turn, which this one waited for, did just this.
    pub(crate) fn is_done(&self, effect: &WriteOp) -> bool {
        match &self.held {
            Some(last) => last.as_ref() == Some(effect),
            None => false,
        }
    }

    /// Ends the turn after a write that succeeded.
    pub(crate) fn done(mut self, effect: WriteOp) {
        if let Some(last) = &mut self.held {
            **last = Some(effect);
        }
    }

    /// Forgets what the write before did, since this one may change it and fail.
    pub(crate) fn begin(&mut self) {
        if let Some(last) = &mut self.held {
            **last = None;
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        let mut slots = self.turns.slots();
        self.held = None;
        // Handles are taken under this lock only, so if the map has the last one nobody waits.
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
    async fn a_waiting_write_of_the_same_needs_not_run_and_one_of_another_does() {
        let turns = Arc::new(KeyLocks::default());
        let key = block("A");
        let first = turns.take(&key).await;
        let mut second = Box::pin(turns.take(&key));
        assert!(second.as_mut().now_or_never().is_none());
        first.done(put("one"));
        let second = second.await;
        assert!(second.is_done(&put("one")));
        assert!(!second.is_done(&put("two")));
        assert!(!second.is_done(&WriteOp::Delete));
    }

    #[tokio::test]
    async fn a_write_after_a_failed_one_runs() {
        let turns = Arc::new(KeyLocks::default());
        let key = block("A");
        let mut first = turns.take(&key).await;
        let mut second = Box::pin(turns.take(&key));
        assert!(second.as_mut().now_or_never().is_none());
        first.begin();
        drop(first);
        assert!(!second.await.is_done(&put("one")));
    }

    #[tokio::test]
    async fn other_keys_need_not_wait() {
        let turns = Arc::new(KeyLocks::default());
        let _first = turns.take(&block("A")).await;
        assert!(turns.take(&block("B")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_dropped_wait_leaves_nothing_behind() {
        let turns = Arc::new(KeyLocks::default());
        let key = block("A");
        let first = turns.take(&key).await;
        let mut second = Box::pin(turns.take(&key));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(turns.slots().is_empty());
    }

    #[tokio::test]
    async fn turns_that_end_at_the_same_time_leave_nothing_behind() {
        let turns = Arc::new(KeyLocks::default());
        let key = block("A");
        for _ in 0..5_000 {
            let first = turns.take(&key).await;
            let mut second = Box::pin(turns.take(&key));
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
            assert!(turns.slots().is_empty());
        }
    }
}
