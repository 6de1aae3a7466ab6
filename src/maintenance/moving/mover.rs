//! [`Mover`]: what a move does with the blocks of a shard directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Moved;
use super::pending_copies::{BlockMove, PendingCopies};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::maintenance::move_to_shard::{MoveOutcome, move_to_shard};
use crate::maintenance::parallel_walk::{
    BlockVisitor, ShardBlocks, remove_empty_shards, remove_if_empty,
};
use crate::maintenance::progress::Progress;
use crate::maintenance::skipped::SkipReason;
use crate::maintenance::tool_state::ToolState;
use crate::maintenance::usage_baseline::UsageBaseline;
use crate::observe::target;
use crate::store::{DirState, Opener, Store};

/// A move in progress.
#[derive(Debug)]
pub(super) struct Mover {
    pub(super) old: Store,
    pub(super) new: Store,
    old_usage: UsageBaseline,
    new_usage: UsageBaseline,
    state: Arc<ToolState>,
    duplicates: DuplicateTotals,
}

/// The number of duplicates, and their bytes.
#[derive(Debug, Default)]
struct DuplicateTotals {
    blocks: AtomicU64,
    bytes: AtomicU64,
}

impl Mover {
    /// Opens both stores. Returns `None` if the move is already done.
    pub(super) fn begin(old: Opener, new: Opener, state: Arc<ToolState>) -> Result<Option<Self>> {
        let path = old.root.clone();
        let Some(old) = old.open_for_teardown()? else {
            check_was_moved(path, &new)?;
            return Ok(None);
        };
        let new = match new.open_or_create(old.blocks.layout().shard()) {
            Ok(new) => new,
            Err(error) => {
                // A refused move changes nothing: without the close, the next open would have to count the disk
                // usage again.
                if let Err(error) = old.close() {
                    tracing::warn!(target: target::MAINTENANCE, %error, "cannot close the old store; the next open cleans up");
                }
                return Err(error);
            }
        };
        // Before the walk, which sees only what is in shard directories: a block that is still staged would be lost
        // when the old store is torn down.
        old.commit_log.roll_forward()?;
        new.commit_log.roll_forward()?;
        Ok(Some(Mover {
            old_usage: UsageBaseline::before(&old)?,
            new_usage: UsageBaseline::before(&new)?,
            old,
            new,
            state,
            duplicates: DuplicateTotals::default(),
        }))
    }

    pub(super) fn finish(&self) -> Result<Moved> {
        self.state.report_closing();
        // Renamed blocks are durable in the new store before the old one loses what makes it a store.
        self.new.blocks.flusher().flush_all()?;
        self.close_new()?;
        remove_empty_shards(self.old.blocks.disk(), self.old.blocks.layout().root())?;
        let emptied = self.old.tear_down()?;
        if !emptied {
            self.close_old()?;
        }
        let (progress, skipped) = (self.state.progress(), self.state.take_skipped());
        Ok(Moved {
            blocks: progress.blocks,
            bytes: progress.bytes,
            duplicates: self.duplicates.blocks.load(Ordering::Relaxed),
            skipped: skipped.first,
            skipped_count: skipped.count,
            left_over: skipped.left_over,
            left_over_count: skipped.left_over_count,
            emptied,
            was_done: false,
        })
    }

    /// Closes the stores of a move that was stopped, so that their disk usage need not be counted.
    pub(super) fn interrupt(&self, error: &Error) {
        if matches!(error, Error::Stopped) {
            let closed = self.new.blocks.flusher().flush_all();
            let closed = closed.and_then(|()| self.close_new());
            if let Err(error) = closed.and_then(|()| self.close_old()) {
                tracing::warn!(target: target::MAINTENANCE, %error, "cannot close the stores; the next open cleans up");
            }
        }
    }

    fn close_new(&self) -> Result<()> {
        self.new_usage
            .after(&self.new, signed(self.state.progress().bytes))?;
        self.new.close()
    }

    fn close_old(&self) -> Result<()> {
        let gone = self
            .state
            .progress()
            .bytes
            .saturating_add(self.duplicates.bytes.load(Ordering::Relaxed));
        self.old_usage.after(&self.old, -signed(gone))?;
        self.old.blocks.flusher().flush_all()?;
        self.old.close()
    }

    fn block_move(&self, shard: &str, block: &BlockKey) -> BlockMove {
        let file_name = block.file_name();
        let at = |root: &Path, shard: &str| {
            let mut path = root.join(shard);
            path.push(&file_name);
            path
        };
        let new_shard = self.new.blocks.layout().shard_of(block);
        BlockMove {
            from: at(self.old.blocks.layout().root(), shard),
            to: at(self.new.blocks.layout().root(), &new_shard),
            shard: new_shard.into_owned(),
            len: 0,
        }
    }

    /// Returns whether a block is in a shard directory that is not its own while its own has a block with the
    /// same key. The move then takes the other block.
    fn is_second(&self, shard: &str, block: &BlockKey) -> Result<bool> {
        Ok(*self.old.blocks.layout().shard_of(block) != *shard
            && self
                .old
                .blocks
                .stat_at(&self.old.blocks.layout().block(block))?
                .is_some())
    }

    fn try_rename(
        &self,
        BlockMove {
            from, to, shard, ..
        }: &BlockMove,
    ) -> Result<MoveOutcome> {
        match move_to_shard(&self.new, from, shard, to)? {
            // The system reports that the paths are on two file systems before it looks for a file at the new path.
            MoveOutcome::Elsewhere if self.new.blocks.stat_at(to)?.is_some() => {
                Ok(MoveOutcome::Taken)
            }
            outcome => Ok(outcome),
        }
    }

    /// Returns the size of a block that has just been moved.
    fn len_of(&self, moved: &Path) -> Result<u64> {
        Ok(self.new.blocks.stat_at(moved)?.map_or(0, |stat| stat.len))
    }

    /// Settles the copies and the duplicates, and returns their number.
    fn complete(&self, copies: &mut PendingCopies<'_>) -> Result<u64> {
        let completed = copies.complete()?;
        // Counted before the progress is reported, which may stop the move: the disk usage is computed from
        // these.
        let DuplicateTotals { blocks, bytes } = &self.duplicates;
        blocks.fetch_add(completed.duplicates, Ordering::Relaxed);
        bytes.fetch_add(completed.duplicate_bytes, Ordering::Relaxed);
        self.state.advance(|progress| {
            progress.blocks += completed.copied;
            progress.bytes = progress.bytes.saturating_add(completed.copied_bytes);
        })?;
        Ok(completed.copied + completed.duplicates)
    }

    /// Renames blocks, or adds them to `copies` if they can't be renamed. Returns how many copies were completed.
    /// `renamed` has what was renamed, even after an error.
    fn take_all(
        &self,
        ShardBlocks { shard, blocks }: ShardBlocks,
        renamed: &mut Progress,
        copies: &mut PendingCopies<'_>,
    ) -> Result<u64> {
        let mut completed = 0;
        for block in blocks {
            self.state.check()?;
            let block_move = self.block_move(&shard, &block);
            if self.is_second(&shard, &block)? {
                self.state.skip(block_move.from, SkipReason::Misplaced);
                continue;
            }
            let BlockMove { from, to, .. } = &block_move;
            match self.try_rename(&block_move)? {
                MoveOutcome::Moved => {
                    renamed.blocks += 1;
                    renamed.bytes = renamed.bytes.saturating_add(self.len_of(to)?);
                }
                MoveOutcome::Elsewhere => copies.copy(block_move)?,
                MoveOutcome::Taken if self.new.blocks.is_same(from, to)? => {
                    copies.found(block_move)?
                }
                MoveOutcome::Taken => self.state.skip(block_move.from, SkipReason::Differs),
                MoveOutcome::Gone => {}
            }
            if copies.are_many() {
                completed += self.complete(copies)?;
            }
        }
        Ok(completed)
    }
}

impl BlockVisitor for Mover {
    /// Copies are gathered over several shards: a shard may have few blocks, and a flush of a few costs as
    /// much as a flush of many.
    type Gathered<'a> = PendingCopies<'a>;

    fn location(&self) -> (Arc<dyn Disk>, &Path) {
        let blocks = &self.old.blocks;
        (blocks.shared_disk(), blocks.layout().root())
    }

    fn state(&self) -> &ToolState {
        &self.state
    }

    fn gather(&self) -> PendingCopies<'_> {
        PendingCopies::new(&self.old, &self.new)
    }

    fn visit<'a>(&'a self, blocks: ShardBlocks, copies: &mut PendingCopies<'a>) -> Result<u64> {
        let mut renamed = Progress::default();
        let taken = self.take_all(blocks, &mut renamed, copies);
        // Counted even if the rest has failed: the disk usage is computed from these.
        if renamed.blocks > 0 {
            self.state.advance(|progress| {
                progress.blocks += renamed.blocks;
                progress.bytes = progress.bytes.saturating_add(renamed.bytes);
            })?;
        }
        Ok(renamed.blocks + taken?)
    }

    fn finish_gathered(&self, mut copies: PendingCopies<'_>) -> Result<u64> {
        self.complete(&mut copies)
    }

    /// The quarantine shows which blocks the old store has lost, so the move does not remove it.
    fn visit_quarantine(&self, dir: &Path) -> Result<()> {
        if !remove_if_empty(self.old.blocks.disk(), dir)? {
            self.state.skip(dir.to_owned(), SkipReason::Quarantine);
        }
        Ok(())
    }
}

/// Checks whether an old store that is now an empty directory was moved before: then the new store exists.
/// Otherwise the path is wrong, or its file system is not mounted.
fn check_was_moved(path: PathBuf, new: &Opener) -> Result<()> {
    match new.probe()? {
        DirState::Store(_) => Ok(()),
        DirState::Missing | DirState::Empty => Err(Error::NotAStore {
            path,
            reason: "it is an empty directory, and the new store does not exist",
        }),
        state => Err(new.refusal(&state)),
    }
}

/// Converts a file size. It fits, because the operating system uses an `i64` too.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
