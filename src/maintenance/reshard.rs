//! [`Reshard`]: another shard function for a store.
//!
//! `SHARDING` is replaced by a line that says so, durably; that keeps everybody else out. Then each
//! block that doesn't stand where the new function says is renamed, never over another one. At the end
//! all of that is made durable at once, and `SHARDING` is replaced by the new function. At every moment
//! each block is at its old place or at its new one, so whatever interrupts it, it is begun again and
//! finds what is left to do.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::move_file::{Placed, place};
use super::parallel_walk::{Blocks, Sweeper, for_each_shard, remove_empty_shards, sweep};
use super::progress::{Progress, Watcher};
use super::skipped::{SkipReason, Skipped};
use super::usage::Usage;
use super::work::{StopOnDrop, Work};
use crate::blocking;
use crate::disk::{Disk, OsDisk, if_there};
use crate::error::{Error, Result};
use crate::format::ReshardMarker;
use crate::format::Shard;
use crate::format::{BlockKey, Layout, SET_ASIDE};
use crate::observe::target;
use crate::store::{FlushTarget, Opener, Store, locate};

/// Gives a store another shard function, in place: no block is copied, each is renamed.
///
/// While that is under way, and after it was interrupted, nobody can open the store, kubo neither: each
/// says so, as [`Error::Resharding`]. The same call completes it. One with another function is as good,
/// also with the one that the store had before: that undoes it. Programs that have the store open for
/// reading at the time don't find blocks any more; kubo must not run.
///
/// kubo names the function in its own configuration too (`Datastore.Spec` in `config`, and
/// `datastore_spec`): it opens the store again when both say the new one.
///
/// Files that are no blocks stay where they are, and are reported. Blocks that stand in a shard that is
/// not their own are moved to it. If there is a block already where one should go and both are equal,
/// one of them goes; if they differ, the one that the store had by its old function takes the place, and
/// the other stays beside it with a name that ends in `.kept`.
///
/// ```no_run
/// use ds_flatfs::Shard;
/// use ds_flatfs::maintenance::Reshard;
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let report = Reshard::new(Shard::next_to_last(3)?).run("blocks").await?;
/// println!("{} blocks moved", report.moved);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Reshard {
    to: Shard,
    watcher: Watcher,
}

/// What a [`Reshard`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says what was kept"]
pub struct Resharded {
    /// The function that the store had.
    pub from: Shard,
    /// The function that it has.
    pub to: Shard,
    /// Whether the store had the function already, so that nothing was done.
    pub was_done: bool,
    /// The blocks that were moved to where the new function says.
    pub moved: u64,
    /// The blocks that were there already, and whose second copy was removed.
    pub duplicates: u64,
    /// What was left, and why: the first thousand of it.
    pub kept: Vec<Skipped>,
    /// How much was left in all.
    pub skipped_count: u64,
}

impl Reshard {
    /// To this function.
    pub fn new(to: Shard) -> Self {
        Reshard {
            to,
            watcher: Watcher::none(),
        }
    }

    /// Calls `watch` with the progress now and then; [`Break`](ControlFlow::Break) stops the work with
    /// [`Error::Stopped`]. It may block, but the work waits for it.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let watcher = Watcher::new(watch);
        Reshard { watcher, ..self }
    }

    /// Does it. Commits that a crash cut short are completed before.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`], [`Error::Locked`], [`Error::CommitIncomplete`],
    /// [`Error::UnknownReshardMarker`], [`Error::Stopped`], [`Error::Full`] if there is no room for the new
    /// directories, [`Error::Unexpected`] if something stands where a directory or a block should go, and
    /// [`Error::Io`]. The same call goes on from there. That a shard directory can't be read is told before
    /// anything is changed.
    ///
    /// # Cancel safety
    ///
    /// The work stops at its next step, and the same call completes it.
    ///
    /// # Durability
    ///
    /// When it returns, the store survives a power cut with its new function; before, in a state that
    /// the same call completes.
    pub async fn run(self, path: impl AsRef<Path>) -> Result<Resharded> {
        let root = locate(path.as_ref()).await?;
        self.run_on(Arc::new(OsDisk::default()), root).await
    }

    pub(crate) async fn run_on(self, disk: Arc<dyn Disk>, root: PathBuf) -> Result<Resharded> {
        let Reshard { to, watcher } = self;
        let opening = Opener::on(disk, root);
        let work = Work::new(watcher);
        let _stop = StopOnDrop(Arc::clone(&work));
        let begin = {
            let work = Arc::clone(&work);
            move || Resharder::begin(opening, to, work)
        };
        let Some(resharder) = blocking::run(begin).await? else {
            return Ok(Resharded::nothing(to));
        };
        let resharder = Arc::new(resharder);
        let swept = sweep(&resharder).await;
        blocking::run(move || match swept {
            Ok(()) => resharder.finish(),
            Err(error) => {
                resharder.interrupt(&error);
                Err(error)
            }
        })
        .await
    }
}

impl Resharded {
    fn nothing(shard: Shard) -> Self {
        Resharded {
            from: shard,
            to: shard,
            was_done: true,
            moved: 0,
            duplicates: 0,
            kept: Vec::new(),
            skipped_count: 0,
        }
    }
}

/// A re-sharding that is under way.
struct Resharder {
    store: Store,
    resharding: ReshardMarker,
    from: Layout,
    to: Layout,
    usage: Usage,
    work: Arc<Work>,
    duplicates: AtomicU64,
}

impl Resharder {
    /// `None` if there is nothing to do.
    fn begin(opening: Opener, to: Shard, work: Arc<Work>) -> Result<Option<Self>> {
        let Some((store, resharding)) = opening.open_to_reshard(to)? else {
            return Ok(None);
        };
        let usage = Usage::before(&store)?;
        if let Err(error) = check_access(&store, &work) {
            // Nothing has been changed yet, so the figure of the disk usage is still right.
            return store.close().and(Err(error));
        }
        store.begin_resharding(resharding)?;
        let layout = |shard| Layout::new(store.blocks.layout().root().to_owned(), shard);
        Ok(Some(Resharder {
            from: layout(resharding.from),
            to: layout(to),
            store,
            resharding,
            usage,
            work,
            duplicates: AtomicU64::new(0),
        }))
    }

    fn finish(&self) -> Result<Resharded> {
        remove_empty_shards(self.store.blocks.disk(), self.store.blocks.layout().root())?;
        self.store.finish_resharding(self.resharding)?;
        self.close()?;
        let kept = self.work.take_kept();
        Ok(Resharded {
            from: self.resharding.from,
            to: self.resharding.to,
            was_done: false,
            moved: self.work.progress().blocks,
            duplicates: self.duplicates.load(Ordering::Relaxed),
            kept: kept.first,
            skipped_count: kept.count,
        })
    }

    /// Lets a work that was stopped be taken up without a count of the disk usage.
    fn interrupt(&self, error: &Error) {
        if matches!(error, Error::Stopped)
            && let Err(error) = self.close()
        {
            tracing::warn!(target: target::MAINTENANCE, %error, "cannot close the store; the next open cleans up behind it");
        }
    }

    fn close(&self) -> Result<()> {
        self.usage.after(&self.store, 0)?;
        if self.duplicates.load(Ordering::Relaxed) > 0 {
            // Their sizes are not known any more.
            self.store.saved_usage.mark_stale();
        }
        self.store.close()
    }

    fn path(&self, shard: &str, block: &BlockKey) -> PathBuf {
        let mut path = self.store.blocks.layout().at_root(shard);
        path.push(block.file_name());
        path
    }

    /// Settles blocks that stand in this shard and where they should go as well; how many of them need
    /// no more work.
    fn settle(&self, shard: &str, twice: &[BlockKey]) -> Result<u64> {
        if twice.is_empty() {
            return Ok(0);
        }
        let mut same = Vec::new();
        let mut settled = 0;
        for block in twice {
            let (old, new) = (self.path(shard, block), self.to.block(block));
            if self.store.blocks.is_same(&old, &new)? {
                same.push((old, new));
            } else if self.from.shard_of(block) == shard && self.set_aside(&new)? {
                // The next pass moves the old one.
                settled += 1;
            } else {
                self.work.keep(old, SkipReason::Differs);
            }
        }
        settled += same.len() as u64;
        self.remove_second_copies(&same)?;
        Ok(settled)
    }

    /// Makes room for the block that the store had; whether that could be done.
    fn set_aside(&self, new: &Path) -> Result<bool> {
        let aside = new.with_extension(SET_ASIDE);
        match if_there(self.store.blocks.disk().rename_new(new, &aside)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            moved => {
                moved.map_err(|error| Error::io("set aside", new, error))?;
                Ok(true)
            }
        }
    }

    /// Removes the first of each two equal files, once the second one is durable.
    fn remove_second_copies(&self, same: &[(PathBuf, PathBuf)]) -> Result<()> {
        let files = same.iter().map(|(_, new)| FlushTarget::File(new.clone()));
        self.store
            .blocks
            .flusher()
            .flush(&files.collect::<Vec<_>>())?;
        let shards = same.iter().filter_map(|(_, new)| new.parent());
        self.store.blocks.flush_shards(shards.map(Path::to_owned))?;
        for (old, _) in same {
            if_there(self.store.blocks.disk().remove_file(old))
                .map_err(|error| Error::io("remove", old, error))?;
        }
        self.duplicates
            .fetch_add(same.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether every shard directory can be listed and entered: what can be known to be in the way is told
/// while the store can still be used.
fn check_access(store: &Store, work: &Work) -> Result<()> {
    for_each_shard(store.blocks.disk(), store.blocks.layout().root(), |dir| {
        work.check()?;
        if_there(store.blocks.disk().list(dir)).map_err(|error| Error::io("list", dir, error))?;
        let entered = if_there(store.blocks.disk().stat(&dir.join(".")));
        entered.map_err(|error| Error::io("enter", dir, error))?;
        Ok(())
    })
}

impl Sweeper for Resharder {
    type Gathered<'a> = ();

    fn place(&self) -> (&dyn Disk, &Path) {
        (self.store.blocks.disk(), self.store.blocks.layout().root())
    }

    fn work(&self) -> &Work {
        &self.work
    }

    fn gather(&self) {}

    fn finish_gathered(&self, (): ()) -> Result<u64> {
        Ok(0)
    }

    fn sweep(&self, Blocks { shard, blocks }: Blocks, (): &mut ()) -> Result<u64> {
        let (mut moved, mut twice) = (0, Vec::new());
        for block in blocks {
            let target = self.to.shard_of(&block);
            if *target == *shard {
                continue;
            }
            self.work.check()?;
            let (old, new) = (self.path(&shard, &block), self.path(&target, &block));
            match place(&self.store, &old, &target, &new)? {
                Placed::Moved => moved += 1,
                Placed::Taken => twice.push(block),
                Placed::Gone => {}
                Placed::Elsewhere => {
                    let crosses = io::ErrorKind::CrossesDevices.into();
                    return Err(Error::io("move a block to", new, crosses));
                }
            }
        }
        self.work.advance(|progress| progress.blocks += moved)?;
        Ok(moved + self.settle(&shard, &twice)?)
    }
}

impl fmt::Debug for Resharder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resharder")
            .field("resharding", &self.resharding)
            .finish_non_exhaustive()
    }
}
