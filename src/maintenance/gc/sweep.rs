//! [`Sweep`]: a pass over the blocks of a store, after the mark.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::garbage::{Garbage, Verdict};
use super::oldest::{Ages, Oldest, Rank};
use crate::disk::Disk;
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;
use crate::maintenance::parallel_walk::{BlockVisitor, ShardBlocks};
use crate::maintenance::skipped::SkipReason;
use crate::maintenance::tool_state::ToolState;
use crate::store::WriteWatch;
use crate::sync::lock;

/// A pass over the blocks of a store.
pub(super) struct Sweep {
    pub(super) garbage: Garbage,
    pub(super) action: Action,
    pub(super) state: Arc<ToolState>,
    /// Which garbage is to be removed, if not all of it.
    pub(super) oldest: Option<Mutex<Oldest>>,
    /// How much is to be removed, if that is limited.
    pub(super) needed: Needed,
    /// The number of blocks that may still be removed, if that is limited.
    pub(super) limit: Option<AtomicU64>,
    pub(super) on_garbage: Option<Arc<GarbageCallback>>,
    pub(super) tally: Tally,
}

/// The number of blocks that are removed under key locks that are taken in one step. A write of one of them waits for
/// the others.
const MAX_LOCKED: usize = 128;

/// What a pass does with garbage.
pub(super) enum Action {
    /// It notes which blocks the store has, and nothing else.
    See,
    /// It adds up the ages.
    Survey(Mutex<Ages>),
    /// It counts what would be removed.
    DryRun,
    Remove(WriteWatch),
}

/// Gets each block that is removed, and its size.
pub(super) type GarbageCallback = Mutex<dyn FnMut(&Key, u64) + Send>;

/// How many bytes have to be removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    pub(super) bytes: u64,
    /// The sizes of blocks are rounded up to a multiple of this before they are compared with what is needed.
    pub(super) unit: u64,
}

impl Needed {
    /// For a pass without a target.
    pub(super) const NOTHING: Needed = Needed { bytes: 0, unit: 1 };

    fn rounded(self, size: u64) -> u64 {
        size.checked_next_multiple_of(self.unit).unwrap_or(size)
    }
}

/// The blocks that a pass has counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kept: AtomicU64,
    pub(super) removed: AtomicU64,
    pub(super) removed_bytes: AtomicU64,
    /// The same bytes as the target counts them.
    freed: AtomicU64,
    pub(super) left: AtomicU64,
    pub(super) foreign: AtomicU64,
}

impl Sweep {
    /// Processes a block, and returns it if it is to be removed.
    fn each(&self, shard: &str, block: BlockKey) -> Result<Option<BlockKey>> {
        let count = |count: &AtomicU64| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        };
        let rank = match self.garbage.judge(shard, &block)? {
            Verdict::Reachable => return count(&self.tally.kept),
            Verdict::Foreign => return count(&self.tally.foreign),
            Verdict::TooNew => return count(&self.tally.left),
            Verdict::Gone => return Ok(None),
            Verdict::Misplaced => {
                let root = self.garbage.store().blocks.layout().root();
                let path = root.join(shard).join(block.file_name());
                self.state.skip(path, SkipReason::WrongShard);
                return Ok(None);
            }
            Verdict::Garbage { rank } => rank,
        };
        match &self.action {
            Action::See => Ok(None),
            Action::Survey(ages) => {
                let size = self.size(&block)?;
                let sizes = size.zip(rank).into_iter();
                sizes.for_each(|(size, rank)| lock(ages).add(rank, self.needed.rounded(size)));
                Ok(None)
            }
            _ if !self.is_chosen(rank, &block)? => count(&self.tally.left),
            Action::DryRun => {
                if let Some(bytes) = self.size(&block)? {
                    self.count_removed(&[(&block, bytes)]);
                }
                Ok(None)
            }
            Action::Remove(_) => Ok(Some(block)),
        }
    }

    fn count_removed(&self, removed: &[(&BlockKey, u64)]) {
        let sum = |total: &AtomicU64, of: &dyn Fn(u64) -> u64| {
            let sum = removed.iter().map(|(_, bytes)| of(*bytes)).sum();
            total.fetch_add(sum, Ordering::Relaxed);
        };
        sum(&self.tally.removed, &|_| 1);
        sum(&self.tally.removed_bytes, &|bytes| bytes);
        sum(&self.tally.freed, &|bytes| self.needed.rounded(bytes));
        if let Some(callback) = &self.on_garbage {
            for (block, bytes) in removed {
                lock(callback)(block.key(), *bytes);
            }
        }
    }

    /// Returns how many more bytes would have to be removed. A block that was chosen and then written was not.
    pub(super) fn missing_bytes(&self) -> u64 {
        let freed = self.tally.freed.load(Ordering::Relaxed);
        self.needed.bytes.saturating_sub(freed)
    }

    /// Returns whether garbage is among what is wanted, and counts it as taken.
    fn is_chosen(&self, rank: Option<Rank>, block: &BlockKey) -> Result<bool> {
        if let (Some(oldest), Some(rank)) = (&self.oldest, rank) {
            let before = lock(oldest).before;
            if rank > before {
                return Ok(false);
            }
            if rank == before {
                let size = self.size(block)?.unwrap_or(0);
                return Ok(lock(oldest).rest.take(self.needed.rounded(size)));
            }
        }
        let take = |limit: u64| limit.checked_sub(1);
        let taken = self
            .limit
            .as_ref()
            .map(|limit| limit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take));
        Ok(taken.is_none_or(|taken| taken.is_ok()))
    }

    /// Removes those of the blocks of a shard that were not written since the mark began.
    fn remove_all(&self, watch: &WriteWatch, shard: &str, blocks: &[BlockKey]) -> Result<()> {
        let store = self.garbage.store();
        for blocks in blocks.chunks(MAX_LOCKED) {
            self.state.check()?;
            // The watch began before the mark. So it knows every write that the mark may have missed, and a write
            // that begins now waits for this lock: it finds the block gone, and writes it again.
            let locked = watch.lock_unwritten(blocks);
            let written = (blocks.len() - locked.blocks().len()) as u64;
            self.tally.kept.fetch_add(written, Ordering::Relaxed);
            // A pending commit that was applied later would undo the removal.
            for block in locked.blocks() {
                store.commit_log.roll_forward_key(block)?;
            }
            let (removed, result) = store.blocks.remove_all(shard, locked.blocks());
            // The callback may wait for a write of one of the keys.
            drop(locked);
            self.count_removed(&removed);
            result?;
        }
        Ok(())
    }

    fn size(&self, block: &BlockKey) -> Result<Option<u64>> {
        let stat = self.garbage.store().blocks.stat(block)?;
        Ok(stat.map(|stat| stat.len))
    }
}

impl BlockVisitor for Sweep {
    type Gathered<'a> = ();

    fn location(&self) -> (Arc<dyn Disk>, &Path) {
        let blocks = &self.garbage.store().blocks;
        (blocks.shared_disk(), blocks.layout().root())
    }

    fn state(&self) -> &ToolState {
        &self.state
    }

    fn gather(&self) {}

    fn visit(&self, ShardBlocks { shard, blocks }: ShardBlocks, (): &mut ()) -> Result<u64> {
        let lifecycle = &self.garbage.store().lifecycle;
        // A close waits for these blocks, and not for the rest of the pass.
        let _guard = match self.action {
            Action::Remove(_) => lifecycle.begin_write((), None)?,
            Action::See | Action::Survey(_) | Action::DryRun => lifecycle.begin_read((), None)?,
        };
        let count = blocks.len() as u64;
        if matches!(self.action, Action::See) {
            self.garbage.see(&shard, &blocks);
        } else {
            let mut chosen = Vec::new();
            for block in blocks {
                self.state.check()?;
                chosen.extend(self.each(&shard, block)?);
            }
            if let Action::Remove(watch) = &self.action {
                self.remove_all(watch, &shard, &chosen)?;
            }
        }
        self.state.advance(|progress| progress.blocks += count)?;
        Ok(0)
    }

    fn finish_gathered(&self, (): ()) -> Result<u64> {
        Ok(0)
    }
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep")
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}
