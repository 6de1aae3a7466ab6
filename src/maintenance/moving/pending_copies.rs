//! [`PendingCopies`]: blocks that are in both stores until those in the new one are durable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::disk::{clean_up, if_there};
use crate::error::{Error, Result};
use crate::maintenance::move_to_shard::{MoveOutcome, move_to_shard};
use crate::store::{FlushTarget, Store};

/// The number of bytes that are copied before they are flushed: enough that the flushes take little of the
/// time, and few enough that a stop does not wait long.
const MAX_BYTES: u64 = 64 << 20;
/// The number of blocks that are copied or found before they are flushed. Their names are in memory until
/// then.
const MAX_BLOCKS: usize = 4096;

/// A block that is to be moved to the new store.
#[derive(Clone, Debug)]
pub(super) struct BlockMove {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) shard: String,
    /// The size in bytes, 0 until it is known.
    pub(super) len: u64,
}

/// Blocks that are being moved from one file system to another. If this is dropped, the blocks that are not
/// completed are still in the old store, and their copies are removed.
#[derive(Debug)]
pub(super) struct PendingCopies<'a> {
    old: &'a Store,
    new: &'a Store,
    staged: Vec<StagedCopy>,
    /// Blocks that are in the new store already.
    found: Vec<BlockMove>,
    bytes: u64,
}

#[derive(Debug)]
struct StagedCopy {
    block_move: BlockMove,
    temp: PathBuf,
}

/// The number of copies that were completed, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompletedCopies {
    pub(super) copied: u64,
    pub(super) copied_bytes: u64,
    pub(super) duplicates: u64,
    pub(super) duplicate_bytes: u64,
}

impl<'a> PendingCopies<'a> {
    pub(super) fn new(old: &'a Store, new: &'a Store) -> Self {
        PendingCopies {
            old,
            new,
            staged: Vec::new(),
            found: Vec::new(),
            bytes: 0,
        }
    }

    /// Copies a block to a temp file of the new store. A block that no longer exists is left out.
    pub(super) fn copy(&mut self, block_move: BlockMove) -> Result<()> {
        let temp = self.new.blocks.temp_files().next();
        // Listed before it is written: after an error, the drop also removes the truncated copy.
        self.staged.push(StagedCopy { block_move, temp });
        let Some(StagedCopy { block_move, temp }) = self.staged.last_mut() else {
            return Ok(());
        };
        let copied = if_there(self.new.blocks.disk().copy_new(&block_move.from, temp));
        let copied = copied.map_err(|error| Error::io("copy a block to", &*temp, error))?;
        match copied {
            Some(len) => {
                block_move.len = len;
                self.bytes = self.bytes.saturating_add(len);
            }
            None => drop(self.staged.pop()),
        }
        Ok(())
    }

    /// Notes a block that is in the new store already, with the same contents.
    pub(super) fn found(&mut self, mut block_move: BlockMove) -> Result<()> {
        block_move.len = self
            .new
            .blocks
            .stat_at(&block_move.to)?
            .map_or(0, |stat| stat.len);
        self.found.push(block_move);
        Ok(())
    }

    pub(super) fn are_many(&self) -> bool {
        self.bytes >= MAX_BYTES || self.staged.len() + self.found.len() >= MAX_BLOCKS
    }

    /// Makes the blocks durable in the new store, and then removes them from the old one.
    pub(super) fn complete(&mut self) -> Result<CompletedCopies> {
        if self.staged.is_empty() && self.found.is_empty() {
            return Ok(CompletedCopies::default());
        }
        // The contents are flushed before the names are published: after a power cut a name must not lead to
        // an incomplete block. A block that was found may never have been flushed.
        let copied = self.staged.iter().map(|staged| &staged.temp);
        let found = self.found.iter().map(|found| &found.to);
        let contents = copied.chain(found).cloned().map(FlushTarget::File);
        self.new
            .blocks
            .flusher()
            .flush(&contents.collect::<Vec<_>>())?;
        let published = self.publish_all()?;
        let both = published.iter().chain(&self.found);
        let shards: BTreeSet<&Path> = both.clone().filter_map(|one| one.to.parent()).collect();
        if !shards.is_empty() {
            let shards = shards.into_iter().map(Path::to_owned);
            self.new.blocks.shards().flush(shards)?;
        }
        // The old blocks are removed last, when contents and names are durable in the new store: otherwise a
        // power cut could lose both copies.
        for BlockMove { from, .. } in both {
            self.old.blocks.disk().remove_if_there(from)?;
        }
        let completed = CompletedCopies {
            copied: published.len() as u64,
            copied_bytes: published.iter().map(|one| one.len).sum(),
            duplicates: self.found.len() as u64,
            duplicate_bytes: self.found.iter().map(|one| one.len).sum(),
        };
        self.staged.clear();
        self.found.clear();
        self.bytes = 0;
        Ok(completed)
    }

    /// Publishes the temp files as blocks. Returns those that were published.
    fn publish_all(&self) -> Result<Vec<BlockMove>> {
        let mut published = Vec::new();
        for StagedCopy { block_move, temp } in &self.staged {
            let BlockMove {
                from, to, shard, ..
            } = block_move;
            match move_to_shard(self.new, temp, shard, to)? {
                MoveOutcome::Moved => published.push(block_move.clone()),
                // Another copy of the block, from another shard directory, was published first. The next pass
                // compares the two.
                MoveOutcome::Taken => clean_up(self.new.blocks.disk(), temp),
                MoveOutcome::Elsewhere | MoveOutcome::Gone => {
                    let lost = std::io::ErrorKind::NotFound.into();
                    return Err(Error::io("find the copy of", from, lost));
                }
            }
        }
        Ok(published)
    }
}

impl Drop for PendingCopies<'_> {
    fn drop(&mut self) {
        for StagedCopy { temp, .. } in &self.staged {
            clean_up(self.new.blocks.disk(), temp);
        }
    }
}
