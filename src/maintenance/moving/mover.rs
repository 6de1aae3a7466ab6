//! [`Mover`]: what is done with some blocks of the old store at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Moved;
use super::copies::Copies;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::maintenance::move_file::{Placed, place};
use crate::maintenance::parallel_walk::{Blocks, Sweeper, remove_empty_shards, remove_if_empty};
use crate::maintenance::progress::Progress;
use crate::maintenance::skipped::SkipReason;
use crate::maintenance::usage::Usage;
use crate::maintenance::work::Work;
use crate::observe::target;
use crate::store::{DirState, Opener, Store};

/// A move that is under way.
#[derive(Debug)]
pub(super) struct Mover {
    pub(super) old: Store,
    pub(super) new: Store,
    old_usage: Usage,
    new_usage: Usage,
    work: Arc<Work>,
    duplicates: Sum,
}

/// Blocks, and their bytes.
#[derive(Debug, Default)]
struct Sum {
    blocks: AtomicU64,
    bytes: AtomicU64,
}

/// A block that is to go to the new store.
#[derive(Clone, Debug)]
pub(super) struct BlockMove {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) shard: String,
    /// In bytes, as far as it is known.
    pub(super) len: u64,
}

impl Mover {
    /// `None` if there is nothing to do, since the old store is none any more.
    pub(super) fn begin(old: Opener, new: Opener, work: Arc<Work>) -> Result<Option<Self>> {
        let path = old.root.clone();
        let Some(old) = old.open_for_teardown()? else {
            check_was_moved(path, &new)?;
            return Ok(None);
        };
        let new = new.open_or_create(old.blocks.layout().shard())?;
        old.commit_log.roll_forward()?;
        new.commit_log.roll_forward()?;
        Ok(Some(Mover {
            old_usage: Usage::before(&old)?,
            new_usage: Usage::before(&new)?,
            old,
            new,
            work,
            duplicates: Sum::default(),
        }))
    }

    pub(super) fn finish(&self) -> Result<Moved> {
        self.new.blocks.flusher().flush_all()?;
        self.close_new()?;
        remove_empty_shards(self.old.blocks.disk(), self.old.blocks.layout().root())?;
        let emptied = self.old.end()?;
        if !emptied {
            self.close_old()?;
        }
        let (progress, kept) = (self.work.progress(), self.work.take_kept());
        Ok(Moved {
            blocks: progress.blocks,
            bytes: progress.bytes,
            duplicates: self.duplicates.blocks.load(Ordering::Relaxed),
            kept: kept.first,
            skipped_count: kept.count,
            emptied,
            was_done: false,
        })
    }

    /// Lets a work that was stopped be taken up without a count of the disk usage.
    pub(super) fn interrupt(&self, error: &Error) {
        if matches!(error, Error::Stopped) {
            let closed = self.new.blocks.flusher().flush_all();
            let closed = closed.and_then(|()| self.close_new());
            if let Err(error) = closed.and_then(|()| self.close_old()) {
                tracing::warn!(target: target::MAINTENANCE, %error, "cannot close the stores; the next open cleans up behind them");
            }
        }
    }

    fn close_new(&self) -> Result<()> {
        self.new_usage
            .after(&self.new, signed(self.work.progress().bytes))?;
        self.new.close()
    }

    fn close_old(&self) -> Result<()> {
        let gone = self.work.progress().bytes + self.duplicates.bytes.load(Ordering::Relaxed);
        self.old_usage.after(&self.old, -signed(gone))?;
        self.old.blocks.flusher().flush_all()?;
        self.old.close()
    }

    fn passenger(&self, shard: &str, block: &BlockKey) -> BlockMove {
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

    /// Whether a block stands in a shard that is not its own while its key has a block in the right one,
    /// which is the one to be moved.
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
    ) -> Result<Placed> {
        match place(&self.new, from, shard, to)? {
            // That is said before anybody looks whether there is something already.
            Placed::Elsewhere if self.new.blocks.stat_at(to)?.is_some() => Ok(Placed::Taken),
            placed => Ok(placed),
        }
    }

    /// How long a block is that has just been moved.
    fn len_of(&self, moved: &Path) -> Result<u64> {
        Ok(self.new.blocks.stat_at(moved)?.map_or(0, |stat| stat.len))
    }

    /// Settles what was copied and what was there already; answers how many blocks these are.
    fn settle(&self, copies: &mut Copies<'_>) -> Result<u64> {
        let settled = copies.settle()?;
        // Before the watcher is told, which may stop the work: the disk usage hangs on these.
        let Sum { blocks, bytes } = &self.duplicates;
        blocks.fetch_add(settled.duplicates, Ordering::Relaxed);
        bytes.fetch_add(settled.duplicate_bytes, Ordering::Relaxed);
        self.work.advance(|progress| {
            progress.blocks += settled.copied;
            progress.bytes += settled.copied_bytes;
        })?;
        Ok(settled.copied + settled.duplicates)
    }

    /// Renames blocks, or where that can't be done lets `copies` have them; answers how many of these
    /// are settled. What was renamed is in `renamed`, also after an error.
    fn take_all(
        &self,
        Blocks { shard, blocks }: Blocks,
        renamed: &mut Progress,
        copies: &mut Copies<'_>,
    ) -> Result<u64> {
        let mut settled = 0;
        for block in blocks {
            self.work.check()?;
            let passenger = self.passenger(&shard, &block);
            if self.is_second(&shard, &block)? {
                self.work.keep(passenger.from, SkipReason::Misplaced);
                continue;
            }
            let BlockMove { from, to, .. } = &passenger;
            match self.try_rename(&passenger)? {
                Placed::Moved => {
                    renamed.blocks += 1;
                    renamed.bytes += self.len_of(to)?;
                }
                Placed::Elsewhere => copies.copy(passenger)?,
                Placed::Taken if self.new.blocks.is_same(from, to)? => copies.found(passenger)?,
                Placed::Taken => self.work.keep(passenger.from, SkipReason::Differs),
                Placed::Gone => {}
            }
            if copies.are_many() {
                settled += self.settle(copies)?;
            }
        }
        Ok(settled)
    }
}

impl Sweeper for Mover {
    /// A shard may have few blocks, and a flush costs as much for a few as for many.
    type Gathered<'a> = Copies<'a>;

    fn place(&self) -> (&dyn Disk, &Path) {
        (self.old.blocks.disk(), self.old.blocks.layout().root())
    }

    fn work(&self) -> &Work {
        &self.work
    }

    fn gather(&self) -> Copies<'_> {
        Copies::new(&self.old, &self.new)
    }

    fn sweep<'a>(&'a self, blocks: Blocks, copies: &mut Copies<'a>) -> Result<u64> {
        let mut renamed = Progress::default();
        let taken = self.take_all(blocks, &mut renamed, copies);
        // Those count also if the rest is stopped: the figures of the disk usage hang on them.
        if renamed.blocks > 0 {
            self.work.advance(|progress| {
                progress.blocks += renamed.blocks;
                progress.bytes += renamed.bytes;
            })?;
        }
        Ok(renamed.blocks + taken?)
    }

    fn finish_gathered(&self, mut copies: Copies<'_>) -> Result<u64> {
        self.settle(&mut copies)
    }

    /// It tells which blocks the old store lost, so it is not for a tool to remove.
    fn quarantine(&self, dir: &Path) -> Result<()> {
        if !remove_if_empty(self.old.blocks.disk(), dir)? {
            self.work.keep(dir.to_owned(), SkipReason::Quarantine);
        }
        Ok(())
    }
}

/// Whether the old store, now an empty directory, can have been moved: then there is a new one. Else its
/// name is a wrong one, or that of a place where nothing is mounted.
fn check_was_moved(path: PathBuf, new: &Opener) -> Result<()> {
    match new.look()? {
        DirState::Store(_) => Ok(()),
        DirState::Missing | DirState::Empty => Err(Error::NotAStore {
            path,
            reason: "it is an empty directory, and there is no store either where it should go",
        }),
        place => Err(new.refusal(&place)),
    }
}

/// Sizes of files fit: the operating system counts them in an `i64` too.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
