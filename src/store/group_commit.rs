//! Puts and deletes that are durable when they are acknowledged, in groups.
//!
//! A flush costs about as much for many files as for one. So all writes that have come while a flush
//! ran are one group: their temp files are written, then flushed together, then moved to their
//! places, and then the directories are flushed together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Store;
use super::block::is_already_there;
use super::flusher::{FEW, Target};
use super::key_locks::{KeyLock, WriteOp};
use crate::blocking;
use crate::disk::clean_up;
use crate::error::{Error, Result};
use crate::format::BlockKey;

/// How many writes are a group at most: so many blocks may wait for each other.
pub(super) const GROUP: usize = 64;
/// How many writes may wait for their group or be in it, each with its block in memory: one group that is
/// at work and one that gathers.
pub(super) const MOST_QUEUED: usize = 2 * GROUP;

/// What a write holds until it has ended. The permit is one to queue: it has no file open while it waits,
/// and what the crew opens for a group is set aside for it.
type Held = (OwnedSemaphorePermit, TaskTrackerToken);

/// A write that waits for its group, and later for the rest of it.
#[derive(Debug)]
pub(crate) struct DurableWrite {
    block: BlockKey,
    effect: WriteOp,
    turn: KeyLock,
    held: Held,
    answer: oneshot::Sender<Result<()>>,
}

/// How far a write of a group has come.
enum Step {
    /// The value is in this temp file.
    Staged(PathBuf),
    /// Its shard directory may have changed.
    Applied,
    /// There was nothing to do.
    Unneeded,
}

impl Store {
    /// The right to queue with a durable write.
    pub(super) async fn durable_permit(&self) -> Result<OwnedSemaphorePermit> {
        let queued = Arc::clone(&self.durable_writes);
        queued.acquire_owned().await.map_err(|_| Error::Closed)
    }

    pub(super) async fn write_durably(
        self: &Arc<Self>,
        block: BlockKey,
        effect: WriteOp,
        turn: KeyLock,
        held: Held,
    ) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let write = DurableWrite {
            block,
            effect,
            turn,
            held,
            answer,
        };
        // Weak, so that the queue doesn't keep alive the store that has it.
        let store = Arc::downgrade(self);
        self.durable_crew.submit(write, move |mut group| {
            if let Some(store) = store.upgrade() {
                let results = store.write_group(&mut group);
                drop(store);
                acknowledge(group, results);
            }
            Vec::new()
        })?;
        answered.await.unwrap_or(Err(Error::Runtime))
    }

    fn write_group(&self, group: &mut [DurableWrite]) -> Vec<Result<()>> {
        group.iter_mut().for_each(|write| write.turn.begin());
        let mut steps = self.begin_steps(group);
        for (write, step) in group.iter().zip(&mut steps) {
            if let Ok(Step::Staged(temp)) = step {
                let applied = self.apply(write, temp);
                *step = applied.map(|()| Step::Applied);
            }
        }
        self.flush_applied(group, &mut steps);
        steps.into_iter().map(|step| step.map(drop)).collect()
    }

    /// Writes the temp files, and makes their contents durable: each on its own where there are few.
    fn begin_steps(&self, group: &[DurableWrite]) -> Vec<Result<Step>> {
        let begin = |writes: &[DurableWrite], sync| -> Vec<Result<Step>> {
            let steps = writes.iter().map(|write| self.begin_step(write, sync));
            steps.collect()
        };
        if group.len() <= FEW {
            let shares = blocking::parallel_chunks(group, 1, |write| begin(write, true));
            return shares.into_iter().flatten().collect();
        }
        let mut steps = begin(group, false);
        self.flush_staged(&mut steps);
        steps
    }

    /// Writes the temp file of a put, durably if `sync` says so; a delete is done at once.
    fn begin_step(&self, write: &DurableWrite, sync: bool) -> Result<Step> {
        self.finish_commits_of(&write.block)?;
        let WriteOp::Put(value) = &write.effect else {
            self.remove(&write.block)?;
            return Ok(Step::Applied);
        };
        if self.keeps(&write.block, value.len() as u64)? {
            // The block that is there may be the one whose flush has failed.
            return self.flush_failed().map_or(Ok(Step::Unneeded), Err);
        }
        let temp = self.next_temp_file();
        let staged = if sync {
            self.stage_durably(&temp, value)
        } else {
            self.stage(&temp, value)
        };
        match staged {
            Ok(()) => Ok(Step::Staged(temp)),
            Err(error) => {
                clean_up(&*self.disk, &temp);
                Err(error)
            }
        }
    }

    /// Makes the contents of the temp files durable.
    fn flush_staged(&self, steps: &mut [Result<Step>]) {
        let staged = steps.iter().filter_map(|step| match step {
            Ok(Step::Staged(temp)) => Some(Target::File(temp.clone())),
            _ => None,
        });
        let targets: Vec<Target> = staged.collect();
        let mut flushed = self.flush_each(&targets).into_iter();
        for step in steps {
            if let Ok(Step::Staged(temp)) = step
                && let Some(Err(error)) = flushed.next()
            {
                clean_up(&*self.disk, temp);
                *step = Err(error);
            }
        }
    }

    fn apply(&self, write: &DurableWrite, temp: &Path) -> Result<()> {
        let WriteOp::Put(value) = &write.effect else {
            return Ok(());
        };
        let size = value.len() as u64;
        let placed = match self.place_new(temp, &write.block, size) {
            Err(error) if is_already_there(&error) => self.place_over(temp, &write.block, size),
            placed => placed,
        };
        if placed.is_err() {
            clean_up(&*self.disk, temp);
        }
        placed
    }

    /// Makes the names of the blocks, or their absence, durable.
    fn flush_applied(&self, group: &[DurableWrite], steps: &mut [Result<Step>]) {
        let mut dirs = BTreeSet::new();
        for (write, step) in group.iter().zip(steps.iter_mut()) {
            if let Ok(Step::Applied) = step {
                match self.shards_of([&write.block]) {
                    Ok(shard) => dirs.extend(shard),
                    Err(error) => *step = Err(error),
                }
            }
        }
        let Err(error) = self.flush_shards(dirs.into_iter()) else {
            return;
        };
        let mut first = Some(error);
        for step in steps
            .iter_mut()
            .filter(|step| matches!(step, Ok(Step::Applied)))
        {
            let error = first.take().or_else(|| self.flush_failed());
            *step = Err(error.unwrap_or(Error::Closed));
        }
    }
}

fn acknowledge(group: Vec<DurableWrite>, results: Vec<Result<()>>) {
    for (write, result) in group.into_iter().zip(results) {
        match result {
            Ok(()) => write.turn.done(write.effect),
            Err(_) => drop(write.turn),
        }
        drop(write.held);
        // Nobody may be there any more to hear it.
        let _ = write.answer.send(result);
    }
}
