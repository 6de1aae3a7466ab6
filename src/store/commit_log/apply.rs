//! [`Application`]: the steps that apply a committed batch to the store.

use std::io;

use super::committed_batch::CommittedBatch;
use crate::blocking;
use crate::disk::if_there;
use crate::error::{Error, Result};
use crate::format::Put;
use crate::observe::target;
use crate::store::Durability;
use crate::store::blocks::{Blocks, NewBlock, PARALLEL_FLUSHES};

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

/// A committed batch that is being applied.
pub(super) struct Application<'a> {
    blocks: &'a Blocks,
    durability: Durability,
    batch: &'a CommittedBatch,
    attempt: Attempt,
}

impl<'a> Application<'a> {
    pub(super) fn new(
        blocks: &'a Blocks,
        durability: Durability,
        batch: &'a CommittedBatch,
        attempt: Attempt,
    ) -> Self {
        Application {
            blocks,
            durability,
            batch,
            attempt,
        }
    }

    /// Publishes the blocks of the batch, applies its deletes, and removes the record.
    pub(super) fn run(&self) -> Result<()> {
        let record = &self.batch.record;
        self.publish_all()?;
        for block in &record.deletes {
            self.blocks.remove(block)?;
        }
        // A batch that is applied again may have been acknowledged by a session in a durable mode.
        let durable = self.durability.syncs_commits() || self.attempt == Attempt::Again;
        // The names are flushed before the record is removed: without the record, nothing restores a name
        // that a power cut takes away.
        if durable {
            let dirs = self.blocks.shards().dirs_of(record.keys())?;
            self.blocks.flush_shards(dirs.into_iter())?;
        }
        let path = self.batch.record_path();
        if_there(self.blocks.disk().remove_file(&path))
            .map_err(|error| Error::io("remove", path, error))?;
        // The removal is flushed before the key locks are released: a record that comes back after a power
        // cut would be applied over later writes.
        if durable {
            self.blocks.flusher().flush_record_dir(&self.batch.dir)?;
        }
        Ok(())
    }

    /// Links the blocks to their final names, in parallel if there are many. The staged names stay until the
    /// batch's directory is removed, after the commit is acknowledged. A rename would remove each at once, but
    /// a rename between directories takes a lock of the whole file system.
    fn publish_all(&self) -> Result<()> {
        let published = in_parallel(&self.batch.record.puts, |puts| {
            puts.iter().try_for_each(|put| self.publish(put))
        });
        published.into_iter().collect()
    }

    fn publish(&self, put: &Put) -> Result<()> {
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
                path: &put.staged(&self.batch.dir),
                size: put.size,
            },
        );
        match published {
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && self.attempt == Attempt::Again =>
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

/// Processes the blocks of a batch, in parallel chunks if there are many.
pub(super) fn in_parallel<R: Send>(puts: &[Put], process: impl Fn(&[Put]) -> R + Sync) -> Vec<R> {
    let threads = blocking::processors().min(PARALLEL_FLUSHES);
    let chunk = puts.len().div_ceil(threads).max(MIN_BLOCKS_PER_THREAD);
    blocking::parallel_chunks(puts, chunk, process)
}
