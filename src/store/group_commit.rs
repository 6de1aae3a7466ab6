//! [`GroupCommit`]: puts and deletes that are durable when they are acknowledged, in groups.
//!
//! A flush costs about as much for many files as for one. So all writes that arrive while a flush runs are
//! one group: their temp files are written, then flushed together, then published, and then the
//! directories are flushed together.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::blocks::{Blocks, FlushTarget, MAX_SINGLE_FLUSHES, NewBlock};
use super::commit_log::CommitLog;
use super::key_locks::{KeyLock, WriteOp};
use crate::blocking::{self, GroupQueue};
use crate::disk::clean_up;
use crate::error::{Error, Result};
use crate::format::BlockKey;

/// The maximum number of writes in a group, each of which waits for all the others.
const MAX_GROUP: usize = 64;
/// The maximum number of writes that wait for their group or are in it, each with its block in memory: one
/// group that is being written, and the next one.
const MAX_QUEUED: usize = 2 * MAX_GROUP;

/// Makes durable writes in groups, one group after another. `G` is the guard that a write holds until it has
/// ended, which keeps the store open.
#[derive(Debug)]
pub(crate) struct GroupCommit<G> {
    blocks: Arc<Blocks>,
    commit_log: Arc<CommitLog>,
    queue: Arc<GroupQueue<DurableWrite<G>>>,
    permits: Arc<Semaphore>,
}

/// One write of a group.
#[derive(Debug)]
struct DurableWrite<G> {
    block: BlockKey,
    op: WriteOp,
    key_lock: KeyLock,
    guard: G,
    done: oneshot::Sender<Result<()>>,
}

/// The progress of one write of a group.
enum Step {
    /// The value is in this temp file.
    Staged(PathBuf),
    /// Its shard directory may have changed.
    Applied,
    /// There was nothing to do.
    Unneeded,
}

impl<G: Send + Sync + 'static> GroupCommit<G> {
    pub(super) fn new(blocks: Arc<Blocks>, commit_log: Arc<CommitLog>) -> Arc<Self> {
        Arc::new(GroupCommit {
            blocks,
            commit_log,
            queue: GroupQueue::new(MAX_GROUP),
            permits: Arc::new(Semaphore::new(MAX_QUEUED)),
        })
    }

    /// Waits for the permit to queue a write. It bounds the blocks in memory; the files that a
    /// group opens need no permit.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        permits.acquire_owned().await.map_err(|_| Error::Closed)
    }

    /// Makes one write in the next group, and returns when it is durable.
    pub(super) async fn write(
        self: &Arc<Self>,
        block: BlockKey,
        op: WriteOp,
        key_lock: KeyLock,
        guard: G,
    ) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        let write = DurableWrite {
            block,
            op,
            key_lock,
            guard,
            done,
        };
        // Weak: between two groups, when no guard keeps a close waiting, the worker must not keep the files of
        // the store open.
        let group_commit = Arc::downgrade(self);
        self.queue.submit(write, move |group| {
            if let Some(group_commit) = group_commit.upgrade() {
                let results = group_commit.write_group(&group);
                drop(group_commit);
                acknowledge(group, results);
            }
        })?;
        outcome.await.unwrap_or(Err(Error::Runtime))
    }

    /// Writes a group, and returns a result for each write.
    fn write_group(&self, group: &[DurableWrite<G>]) -> Vec<Result<()>> {
        let mut steps = self.stage_all(group);
        for (write, step) in group.iter().zip(&mut steps) {
            if let (Ok(Step::Staged(path)), WriteOp::Put(value)) = (&*step, &write.op) {
                let size = value.len() as u64;
                let published = self
                    .blocks
                    .publish(&write.block, NewBlock::TempFile { path, size });
                *step = published.map(|()| Step::Applied);
            }
        }
        // After all blocks are published, and before any write is acknowledged: a power cut may take away names
        // that are not flushed, or bring back those that were removed.
        self.flush_applied(group, &mut steps);
        steps.into_iter().map(|step| step.map(drop)).collect()
    }

    /// Writes the temp files and makes their contents durable, before one of them is published: a name may
    /// become durable at any time after that, and must not lead to lost contents.
    fn stage_all(&self, group: &[DurableWrite<G>]) -> Vec<Result<Step>> {
        if group.len() <= MAX_SINGLE_FLUSHES {
            let staged = blocking::parallel_chunks(group, 1, |writes| {
                let steps = writes.iter().map(|write| self.stage(write, true));
                steps.collect::<Vec<_>>()
            });
            return staged.into_iter().flatten().collect();
        }
        let steps = group.iter().map(|write| self.stage(write, false));
        let mut steps = steps.collect::<Vec<_>>();
        self.flush_staged(&mut steps);
        steps
    }

    /// Writes the temp file of a put; a delete is applied at once.
    fn stage(&self, write: &DurableWrite<G>, durably: bool) -> Result<Step> {
        let blocks = &self.blocks;
        // A pending commit that was applied later would undo this write.
        self.commit_log.roll_forward_key(&write.block)?;
        let WriteOp::Put(value) = &write.op else {
            blocks.remove(&write.block)?;
            return Ok(Step::Applied);
        };
        if blocks.keeps(&write.block, value.len() as u64)? {
            // The flush of the existing block may have failed.
            return blocks.flusher().check().map(|()| Step::Unneeded);
        }
        let path = blocks.temp_files().next();
        let written = blocks.temp_files().write(&path, value, durably);
        written.inspect_err(|_| clean_up(blocks.disk(), &path))?;
        Ok(Step::Staged(path))
    }

    fn flush_staged(&self, steps: &mut [Result<Step>]) {
        let staged = steps.iter().filter_map(|step| match step {
            Ok(Step::Staged(path)) => Some(FlushTarget::File(path.clone())),
            _ => None,
        });
        let targets: Vec<FlushTarget> = staged.collect();
        let mut flushed = self.blocks.flusher().flush_each(&targets).into_iter();
        for step in steps {
            if let Ok(Step::Staged(path)) = step
                && let Some(Err(error)) = flushed.next()
            {
                clean_up(self.blocks.disk(), path);
                *step = Err(error);
            }
        }
    }

    /// Makes the names of the published blocks, and the absence of the deleted ones, durable.
    fn flush_applied(&self, group: &[DurableWrite<G>], steps: &mut [Result<Step>]) {
        let mut dirs = BTreeSet::new();
        for (write, step) in group.iter().zip(steps.iter_mut()) {
            if let Ok(Step::Applied) = step {
                match self.blocks.shards().dirs_of([&write.block]) {
                    Ok(shard) => dirs.extend(shard),
                    Err(error) => *step = Err(error),
                }
            }
        }
        let Err(error) = self.blocks.shards().flush(dirs) else {
            return;
        };
        let path = error
            .path()
            .unwrap_or(self.blocks.layout().root())
            .to_owned();
        let kind = error
            .io_error()
            .map_or(io::ErrorKind::Other, io::Error::kind);
        let mut first = Some(error);
        for step in steps.iter_mut() {
            if let Ok(Step::Applied) = step {
                let error = first.take().or_else(|| self.blocks.flusher().check().err());
                *step = Err(error.unwrap_or_else(|| Error::Io {
                    action: "sync",
                    path: path.clone(),
                    source: kind.into(),
                }));
            }
        }
    }

    /// Returns the number of writes that wait for their group.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }
}

fn acknowledge<G>(group: Vec<DurableWrite<G>>, results: Vec<Result<()>>) {
    for (write, result) in group.into_iter().zip(results) {
        match result {
            Ok(()) => write.key_lock.succeeded(write.op),
            Err(_) => drop(write.key_lock),
        }
        // The guard is dropped before the result is sent: a caller that has the result may close the store at
        // once.
        drop(write.guard);
        // The caller may be gone.
        let _ = write.done.send(result);
    }
}
