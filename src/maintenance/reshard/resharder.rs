//! [`Resharder`]: re-shards the blocks of a shard directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Resharded;
use crate::disk::{Disk, if_there};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout, ReshardMarker, SET_ASIDE, Shard};
use crate::maintenance::move_to_shard::{MoveOutcome, move_to_shard};
use crate::maintenance::parallel_walk::{BlockVisitor, ShardBlocks, remove_empty_shards};
use crate::maintenance::skipped::SkipReason;
use crate::maintenance::tool_state::ToolState;
use crate::maintenance::usage_baseline::UsageBaseline;
use crate::observe::target;
use crate::store::{FlushTarget, Opener, Store};
use crate::walk::shard_dirs;

/// The role of one of the copies of a block.
enum CopyRank {
    /// The block that the store had.
    Block,
    /// Another copy, while the block is at this path.
    Stray { block: PathBuf },
    /// A copy that is where no source function places it, while no source has the block.
    Unclaimed,
}

/// A re-sharding in progress.
pub(super) struct Resharder {
    store: Store,
    resharding: ReshardMarker,
    /// The layouts by which the block of a key may be placed. Of several copies, the first one in this order
    /// is the block.
    sources: Vec<Layout>,
    to: Layout,
    usage: UsageBaseline,
    state: Arc<ToolState>,
    duplicates: AtomicU64,
}

impl Resharder {
    /// Opens the store and writes the marker. Returns `None` if the store has the function already.
    pub(super) fn begin(opener: Opener, to: Shard, state: Arc<ToolState>) -> Result<Option<Self>> {
        let Some((store, resharding)) = opener.open_to_reshard(to)? else {
            return Ok(None);
        };
        let usage = UsageBaseline::before(&store)?;
        if let Err(error) = check_access(&store, &state) {
            // Nothing has been changed yet, so the disk usage is still right.
            return store.close().and(Err(error));
        }
        // Before the first block moves: no other program may open the store while blocks are in the
        // directories of two functions.
        store.begin_resharding(&resharding)?;
        let layout = |shard| Layout::new(store.blocks.layout().root().to_owned(), shard);
        Ok(Some(Resharder {
            sources: resharding.sources().map(layout).collect(),
            to: layout(to),
            store,
            resharding,
            usage,
            state,
            duplicates: AtomicU64::new(0),
        }))
    }

    pub(super) fn finish(&self) -> Result<Resharded> {
        self.state.report_closing();
        // While the marker keeps other programs out: kubo takes no lock, and could be about to create a block in one
        // of these directories.
        remove_empty_shards(self.store.blocks.disk(), self.store.blocks.layout().root())?;
        self.store.finish_resharding(&self.resharding)?;
        self.close()?;
        let skipped = self.state.take_skipped();
        Ok(Resharded {
            from: self.resharding.from,
            to: self.resharding.to,
            was_done: false,
            moved: self.state.progress().blocks,
            duplicates: self.duplicates.load(Ordering::Relaxed),
            skipped: skipped.first,
            skipped_count: skipped.count,
            left_over: skipped.left_over,
            left_over_count: skipped.left_over_count,
        })
    }

    /// Closes the store of a re-sharding that was stopped, so that its disk usage need not be counted.
    pub(super) fn interrupt(&self, error: &Error) {
        if matches!(error, Error::Stopped)
            && let Err(error) = self.close()
        {
            tracing::warn!(target: target::MAINTENANCE, %error, "cannot close the store; the next open cleans up");
        }
    }

    fn close(&self) -> Result<()> {
        self.usage.after(&self.store, 0)?;
        if self.duplicates.load(Ordering::Relaxed) > 0 {
            // The sizes of the removed copies are no longer known.
            self.store.saved_usage.mark_stale();
        }
        self.store.close()
    }

    fn path(&self, shard: &str, block: &BlockKey) -> PathBuf {
        let mut path = self.store.blocks.layout().at_root(shard);
        path.push(block.file_name());
        path
    }

    /// Returns the role of the copy of a block in this shard.
    ///
    /// The block is the first copy in the order of the sources. Every step keeps that true: a block leaves a
    /// source directory only when no later one has a copy.
    fn rank(&self, shard: &str, block: &BlockKey) -> Result<CopyRank> {
        for source in &self.sources {
            if *source.shard_of(block) == *shard {
                return Ok(CopyRank::Block);
            }
            let path = source.block(block);
            if self.exists(&path)? {
                return Ok(CopyRank::Stray { block: path });
            }
        }
        Ok(CopyRank::Unclaimed)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        match self.store.blocks.disk().stat(path) {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
                _ => Err(Error::io("stat", path, error)),
            },
        }
    }

    /// Sets aside the other copies of a block that is about to leave this shard.
    fn set_aside_strays(&self, shard: &str, target: &str, block: &BlockKey) -> Result<()> {
        if self.sources.len() < 2 {
            return Ok(());
        }
        for source in &self.sources {
            let dir = source.shard_of(block);
            let stray = source.block(block);
            if *dir == *shard || *dir == *target || !self.exists(&stray)? {
                continue;
            }
            let original = self.path(shard, block);
            if self.store.blocks.is_same(&stray, &original)? {
                self.remove_second_copies(&[(stray, original)])?;
            } else {
                self.set_aside(&stray)?;
            }
            // This is durable before the block moves: after a power cut a stray that was still here would be
            // mistaken for the block.
            let dir = self.store.blocks.layout().at_root(&dir);
            self.store.blocks.shards().flush([dir])?;
        }
        Ok(())
    }

    /// Settles blocks that are in this shard directory and in their new one. Returns how many were changed.
    fn complete(&self, shard: &str, twice: &[BlockKey]) -> Result<u64> {
        if twice.is_empty() {
            return Ok(0);
        }
        let mut same = Vec::new();
        let mut completed = 0;
        for block in twice {
            let (old, new) = (self.path(shard, block), self.to.block(block));
            if self.store.blocks.is_same(&old, &new)? {
                same.push((old, new));
                continue;
            }
            // The copy is looked up again after its rank is known: once no earlier source has the block, no
            // other job moves it.
            let is_block = matches!(self.rank(shard, block)?, CopyRank::Block);
            if !self.exists(&old)? {
                continue;
            }
            if is_block {
                self.set_aside(&new)?;
                // The next pass moves the block.
                completed += 1;
            } else {
                self.state.skip(old, SkipReason::Differs);
            }
        }
        completed += same.len() as u64;
        self.remove_second_copies(&same)?;
        Ok(completed)
    }

    /// Renames a copy that is in the way to a name that no program mistakes for that of a block.
    fn set_aside(&self, copy: &Path) -> Result<()> {
        let others = (2..).map(|number: u32| format!("{number}.{SET_ASIDE}"));
        for extension in std::iter::once(SET_ASIDE.to_owned()).chain(others) {
            let aside = copy.with_extension(extension);
            match if_there(self.store.blocks.disk().rename_new(copy, &aside)) {
                // A copy that was set aside earlier has that name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                moved => {
                    moved.map_err(|error| Error::io("set aside", copy, error))?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes the first file of each pair of equal files.
    fn remove_second_copies(&self, same: &[(PathBuf, PathBuf)]) -> Result<()> {
        // The second file is durable before the first one goes: it may never have been flushed, and a power
        // cut could lose both.
        let files = same.iter().map(|(_, new)| FlushTarget::File(new.clone()));
        self.store
            .blocks
            .flusher()
            .flush(&files.collect::<Vec<_>>())?;
        let shards = same.iter().filter_map(|(_, new)| new.parent());
        self.store
            .blocks
            .shards()
            .flush(shards.map(Path::to_owned))?;
        for (old, _) in same {
            self.store.blocks.disk().remove_if_there(old)?;
        }
        self.duplicates
            .fetch_add(same.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Checks that every shard directory can be listed and entered, so that such an error is reported while the
/// store can still be used.
fn check_access(store: &Store, state: &ToolState) -> Result<()> {
    for dir in shard_dirs(store.blocks.disk(), store.blocks.layout().root())? {
        let dir = dir?;
        state.check()?;
        if_there(store.blocks.disk().list(&dir)).map_err(|error| Error::io("list", &dir, error))?;
        let entered = if_there(store.blocks.disk().stat(&dir.join(".")));
        entered.map_err(|error| Error::io("enter", &dir, error))?;
    }
    Ok(())
}

impl BlockVisitor for Resharder {
    type Gathered<'a> = ();

    fn location(&self) -> (Arc<dyn Disk>, &Path) {
        let blocks = &self.store.blocks;
        (blocks.shared_disk(), blocks.layout().root())
    }

    fn state(&self) -> &ToolState {
        &self.state
    }

    fn gather(&self) {}

    fn finish_gathered(&self, (): ()) -> Result<u64> {
        Ok(0)
    }

    fn visit(&self, ShardBlocks { shard, blocks }: ShardBlocks, (): &mut ()) -> Result<u64> {
        let (mut moved, mut twice) = (0, Vec::new());
        for block in blocks {
            let target = self.to.shard_of(&block);
            if *target == *shard {
                continue;
            }
            self.state.check()?;
            let (old, new) = (self.path(&shard, &block), self.path(&target, &block));
            match self.rank(&shard, &block)? {
                CopyRank::Block => self.set_aside_strays(&shard, &target, &block)?,
                // If a stray were moved to the target, the next run would mistake it for the block. If the block
                // itself has not moved yet, the next pass deals with the stray.
                CopyRank::Stray { block: found } if found == new => {
                    twice.push(block);
                    continue;
                }
                CopyRank::Stray { .. } => {
                    self.state.skip(old, SkipReason::Misplaced);
                    continue;
                }
                CopyRank::Unclaimed => {}
            }
            match move_to_shard(&self.store, &old, &target, &new)? {
                MoveOutcome::Moved => moved += 1,
                MoveOutcome::Taken => twice.push(block),
                MoveOutcome::Gone => {}
                MoveOutcome::Elsewhere => {
                    let crosses = io::ErrorKind::CrossesDevices.into();
                    return Err(Error::io("move a block to", new, crosses));
                }
            }
        }
        self.state.advance(|progress| progress.blocks += moved)?;
        Ok(moved + self.complete(&shard, &twice)?)
    }
}

impl fmt::Debug for Resharder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resharder")
            .field("resharding", &self.resharding)
            .finish_non_exhaustive()
    }
}
