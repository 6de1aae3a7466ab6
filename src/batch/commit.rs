//! The commit of a batch.

use std::mem;
use std::sync::Arc;

use itertools::Itertools;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::staging::Stage;
use crate::blocking;
use crate::error::Result;
use crate::format::BlockKey;
use crate::format::{CommitRecord, Put};
use crate::observe::{self, target};
use crate::store::{CommittedBatch, KeyLock, Store};

/// Waits for the writes and for the turns of all keys, and then commits as one job.
pub(super) async fn commit(store: &Arc<Store>, stage: Arc<Stage>) -> Result<()> {
    let work = store.begin_write()?;
    // On an error it goes before `work` does, so that a close waits until it has cleaned up.
    let stage = stage;
    stage.settled().await?;
    stage.check()?;
    let mut commit = Commit::of(stage, work).await?;
    commit.take_key_locks(store).await;
    let permit = store.file_permit().await?;
    let store = Arc::clone(store);
    blocking::run(move || {
        let work = commit.work.clone();
        let committed = commit.run(&store);
        // A close may wait for `work`, and then nobody may have the store.
        drop((store, permit));
        drop(work);
        committed
    })
    .await
}

/// A batch on its way to its commit.
///
/// It may have millions of keys, so nothing is done with all of them at once on a worker of the runtime:
/// they are sorted and let go on the pool.
struct Commit {
    /// As many turns as could be taken so far.
    turns: Vec<KeyLock>,
    intent: CommitRecord,
    stage: Arc<Stage>,
    /// Last, so that a close waits until the stage has cleaned up.
    work: TaskTrackerToken,
}

impl Commit {
    async fn of(stage: Arc<Stage>, work: TaskTrackerToken) -> Result<Self> {
        blocking::run(move || {
            let intent = stage.take_intent();
            Ok(Commit {
                turns: Vec::with_capacity(intent.puts.len() + intent.deletes.len()),
                intent,
                stage,
                work,
            })
        })
        .await
    }

    /// All commits take their turns in the same order, so no two wait for each other. Each turn spends of
    /// the task's budget, as everything of tokio's does.
    async fn take_key_locks(&mut self, store: &Store) {
        let puts = self.intent.puts.iter().map(block_of);
        for block in puts.merge(&self.intent.deletes) {
            self.turns.push(store.turns.take(block).await);
        }
    }

    fn run(mut self, store: &Arc<Store>) -> Result<()> {
        let mut turns = mem::take(&mut self.turns);
        turns.iter_mut().for_each(KeyLock::begin);
        let batch = CommittedBatch {
            dir: self.stage.dir(),
            intent: mem::take(&mut self.intent),
        };
        if batch.intent.is_empty() {
            self.stage.remove_dir()
        } else {
            commit_in_turn(store, &self.stage, batch)
        }
    }
}

fn block_of(put: &Put) -> &BlockKey {
    &put.block
}

/// A commit that its future is not there any more to finish.
impl Drop for Commit {
    fn drop(&mut self) {
        let keys = (mem::take(&mut self.turns), mem::take(&mut self.intent));
        if !keys.1.is_empty() {
            blocking::detach(move || drop(keys));
        }
    }
}

fn commit_in_turn(store: &Arc<Store>, stage: &Stage, batch: CommittedBatch) -> Result<()> {
    let recorded = store
        .finish_commits_before(&batch.intent)
        .and_then(|()| store.make_shards_of(&batch))
        .and_then(|()| store.sync_staged(&batch))
        .and_then(|()| store.write_record(&batch));
    match recorded {
        Ok(()) => {
            stage.leave_dir();
            let puts = batch.intent.puts.len();
            let bytes = batch.intent.puts.iter().map(|put| put.size).sum();
            observe::committed(&batch.dir, puts, batch.intent.deletes.len(), bytes);
            let dir = batch.dir.clone();
            store.carry_out(batch)?;
            // Not with the stage: a query through the batch may have that for long.
            store.remove_behind(dir, ());
            Ok(())
        }
        Err(error) => {
            if store.is_poisoned() {
                // The record may be durable all the same: then what it speaks of has to stay.
                stage.leave_dir();
            } else if let Err(error) = stage.remove_dir() {
                tracing::warn!(target: target::BATCH, batch = %observe::name(&stage.dir()), %error, "cannot remove a batch that failed; the next open will");
            }
            Err(error)
        }
    }
}
