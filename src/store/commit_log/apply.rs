//! [`CommittedBatch`]: a batch that is being committed, or is committed and not applied yet, and how it is applied to
//! the store, at once or after a crash.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::CommitLog;
use crate::blocking;
use crate::error::{Error, Result};
use crate::format::{COMMIT, CommitRecord, Put};
use crate::observe::target;
use crate::store::Durability;
use crate::store::blocks::{NewBlock, PARALLEL_FLUSHES};

/// The minimum number of blocks for which a thread is started. It is low in tests, so that they run several
/// threads.
const MIN_BLOCKS_PER_THREAD: usize = if cfg!(test) { 2 } else { 512 };

/// Whether a committed batch is applied for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    /// A block that is no longer in the batch's directory has already been published.
    Again,
}

/// A batch's directory, and its commit record.
#[derive(Debug, Default)]
pub(crate) struct CommittedBatch {
    pub(crate) dir: PathBuf,
    pub(crate) record: CommitRecord,
    /// Whether the contents of all staged blocks were flushed when they were written.
    pub(crate) is_flushed: bool,
}

impl CommittedBatch {
    /// Returns the path of the commit record.
    pub(super) fn record_path(&self) -> PathBuf {
        self.dir.join(COMMIT)
    }

    /// Processes the puts, in parallel chunks if there are many.
    pub(super) fn in_parallel<R: Send>(&self, process: impl Fn(&[Put]) -> R + Sync) -> Vec<R> {
        let puts = &self.record.puts;
        let threads = blocking::processors().min(PARALLEL_FLUSHES);
        let chunk = puts.len().div_ceil(threads).max(MIN_BLOCKS_PER_THREAD);
        blocking::parallel_chunks(puts, chunk, process)
    }

    /// Returns the error of a commit that could not be applied, and will be tried again.
    pub(super) fn incomplete(&self, error: Error) -> Error {
        Error::CommitIncomplete {
            record: self.record_path(),
            source: Arc::new(error),
        }
    }
}

impl CommitLog {
    /// Publishes the blocks of the batch, applies its deletes, and removes the record. The caller holds the locks of
    /// its keys.
    pub(super) fn try_apply(&self, batch: &CommittedBatch, attempt: Attempt) -> Result<()> {
        let record = &batch.record;
        self.publish_all(batch, attempt)?;
        for block in &record.deletes {
            self.blocks.remove(block)?;
        }
        // A batch that is applied again may have been acknowledged by a session in a durable mode.
        let durable = self.durability.syncs_commits() || attempt == Attempt::Again;
        // The names are flushed before the record is removed: without the record, nothing restores a name
        // that a power cut takes away.
        if durable {
            let dirs = self.blocks.shards().dirs_of(record.keys())?;
            self.blocks.shards().flush(dirs)?;
        }
        let disk = self.blocks.disk();
        disk.remove_if_there(&batch.record_path())?;
        // The removal is flushed before the key locks are released: a record that comes back after a power
        // cut would be applied over later writes.
        if durable {
            self.blocks.flusher().flush_record_dir(&batch.dir)?;
        }
        Ok(())
    }

    /// Links the blocks to their final names, in parallel if there are many. The staged names stay until the
    /// batch's directory is removed, after the commit is acknowledged. A rename would remove each at once, but
    /// a rename between directories takes a lock of the whole file system.
    fn publish_all(&self, batch: &CommittedBatch, attempt: Attempt) -> Result<()> {
        let published = batch.in_parallel(|puts| {
            puts.iter()
                .try_for_each(|put| self.publish(put, batch, attempt))
        });
        published.into_iter().collect()
    }

    fn publish(&self, put: &Put, batch: &CommittedBatch, attempt: Attempt) -> Result<()> {
        let block = &put.block;
        // With `Commits`, an existing block may come from a put that was not flushed, and this commit has to
        // be durable.
        if self.durability != Durability::Commits && self.blocks.keeps(block, put.size)? {
            return Ok(());
        }
        // If this replaces a block, the commit has flushed the staged contents before it wrote the record.
        let published = self.blocks.publish(
            block,
            NewBlock::Staged {
                path: &put.staged(&batch.dir),
                size: put.size,
            },
        );
        match published {
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && attempt == Attempt::Again =>
            {
                if self.blocks.stat(block)?.is_none() {
                    let key = block.key();
                    tracing::error!(target: target::BATCH, %key, "a block of a committed batch was removed by another program");
                }
                Ok(())
            }
            published => published,
        }
    }
}
