//! The commit of a batch.

use std::mem;
use std::sync::Arc;

use itertools::Itertools;

use super::staging::Stage;
use crate::blocking;
use crate::error::Result;
use crate::format::{BlockKey, Put};
use crate::observe::{self, target};
use crate::store::{CommittedBatch, KeyLock, Store, WorkGuard};

/// Waits for the writes of a batch and for the locks of all of its keys, and then commits it as one job.
pub(super) async fn commit(store: &Arc<Store>, stage: Arc<Stage>) -> Result<()> {
    // The work begins first, so that a close waits until the batch is committed or its directory is removed.
    let stage = store.lifecycle.begin_write(stage, None)?;
    stage.finish_writes().await?;
    let mut commit = Commit::of(stage).await?;
    // The key locks are taken before the permit: commits that wait for each other's keys could otherwise hold
    // all permits.
    commit.lock_keys(store).await;
    let permit = store.open_files.permit().await?;
    blocking::run(move || {
        let _permit = permit;
        commit.run()
    })
    .await
}

/// A batch that is about to be committed.
///
/// It may have millions of keys, so a worker of the runtime never processes all of them at once: they are
/// sorted and dropped on the pool.
struct Commit {
    /// The keys that have been locked so far.
    key_locks: Vec<KeyLock>,
    batch: CommittedBatch,
    stage: WorkGuard<Arc<Stage>>,
}

impl Commit {
    async fn of(stage: WorkGuard<Arc<Stage>>) -> Result<Self> {
        blocking::run(move || {
            let batch = stage.take_batch();
            let keys = batch.record.puts.len() + batch.record.deletes.len();
            Ok(Commit {
                key_locks: Vec::with_capacity(keys),
                batch,
                stage,
            })
        })
        .await
    }

    /// Locks all keys in their order: two commits that locked them in different orders could wait for each
    /// other. Each lock consumes the task's budget, as every resource of tokio does.
    async fn lock_keys(&mut self, store: &Store) {
        let record = &self.batch.record;
        let puts = record.puts.iter().map(block_of);
        for block in puts.merge(&record.deletes) {
            self.key_locks.push(store.key_locks.lock(block).await);
        }
    }

    fn run(mut self) -> Result<()> {
        // Held until the record is durably removed, or the batch is pending: a write in between would be undone
        // when the batch is applied again.
        let _key_locks = mem::take(&mut self.key_locks);
        let batch = mem::take(&mut self.batch);
        if batch.record.is_empty() {
            return self.stage.remove_dir();
        }
        self.stage.commit(batch)
    }
}

fn block_of(put: &Put) -> &BlockKey {
    &put.block
}

/// If the future was dropped before the commit, drops its keys, which may be millions, on the pool.
impl Drop for Commit {
    fn drop(&mut self) {
        let keys = (mem::take(&mut self.key_locks), mem::take(&mut self.batch));
        if !keys.1.record.is_empty() {
            blocking::detach(move || drop(keys));
        }
    }
}

impl Stage {
    /// Commits the batch and applies it. After the commit point its directory belongs to the commit log. The caller
    /// holds the locks of its keys.
    fn commit(&self, batch: CommittedBatch) -> Result<()> {
        let log = &self.store().commit_log;
        if let Err(error) = log.commit(&batch) {
            if self.store().blocks.flusher().is_poisoned() {
                // The record may be durable anyway: without the blocks that it names, the next open would apply
                // only a part of the batch.
                self.disown_dir();
            } else if let Err(error) = self.remove_dir() {
                tracing::warn!(target: target::BATCH, batch = %observe::name(&batch.dir), %error, "cannot remove a batch that failed; the next open will");
            }
            return Err(error);
        }
        // From here on the record names the blocks in the directory: a drop of the stage must not remove them.
        self.disown_dir();
        let puts = batch.record.puts.len();
        let bytes = batch.record.puts.iter().map(|put| put.size).sum();
        observe::committed(&batch.dir, puts, batch.record.deletes.len(), bytes);
        let dir = batch.dir.clone();
        log.apply(batch)?;
        // The directory is removed now and not when the stage is dropped: a query through the batch may keep the
        // stage alive for a long time.
        self.remove_in_background(dir, ());
        Ok(())
    }
}
