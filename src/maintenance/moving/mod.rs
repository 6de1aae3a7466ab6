//! [`Move`]: all blocks of a store into another one.
//!
//! On one file system each block is renamed, never over another one. Across file systems some thousand
//! blocks at a time, of any shards, are copied to temp files of the new store, made durable together, renamed to their
//! places, made durable there, and only then removed from the old store. So at every moment each block is
//! whole in at least one of the two; whatever interrupts it, it is begun again and finds what is left to
//! do. A copy in the new store that is not byte for byte the block in the old one is never taken for it.

mod copies;
mod mover;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::mover::Mover;
use super::parallel_walk::sweep;
use super::progress::{Progress, Watcher};
use super::skipped::Skipped;
use super::work::{StopOnDrop, Work};
use crate::blocking;
use crate::disk::{Disk, OsDisk, canonical};
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::store::{Opener, Options, locate};

/// Moves all blocks of a store into another one, whatever their shard functions are, on one file system
/// or across two.
///
/// The new store is opened, or created if its directory is missing or empty: then with the shard function
/// of the old one, unless [another one](Move::shard) is asked for. It may have blocks already. The old
/// store is emptied and left as an empty directory. Only if something was kept there it stays a store.
///
/// What is no block stays where it is, and is reported. So is a block of which the new store has another
/// one that differs from it: one of the two may be cut short. If both are equal, the old one goes.
///
/// While it runs each block is in one of the two stores, and nobody else can open either of them for
/// writing. The permissions of the files stay what they are.
///
/// ```no_run
/// use ds_flatfs::maintenance::Move;
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let report = Move::new().run("blocks", "/mnt/large/blocks").await?;
/// println!("{} blocks moved, {} things kept", report.blocks, report.skipped_count);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Move {
    shard: Option<Shard>,
    watcher: Watcher,
}

/// What a [`Move`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says what was kept"]
pub struct Moved {
    /// The blocks that are in the new store now and were not before.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The blocks that were in the new store already, and whose second copy was removed from the old one.
    pub duplicates: u64,
    /// What was left in the old store, and why: the first thousand of it.
    pub kept: Vec<Skipped>,
    /// How much was left in all.
    pub skipped_count: u64,
    /// Whether the old store is none any more, but an empty directory.
    pub emptied: bool,
    /// Whether the old store was an empty directory before, so that nothing was done.
    pub was_done: bool,
}

impl Default for Move {
    fn default() -> Self {
        Move::new()
    }
}

impl Move {
    /// With the default options.
    pub fn new() -> Self {
        Move {
            shard: None,
            watcher: Watcher::none(),
        }
    }

    /// The shard function of the new store: that of the old one if it is created, unless this says
    /// otherwise. A new store that is there already must have this one.
    pub fn shard(self, shard: Shard) -> Self {
        let shard = Some(shard);
        Move { shard, ..self }
    }

    /// Calls `watch` with the progress now and then; [`Break`](ControlFlow::Break) stops the work with
    /// [`Error::Stopped`]. It may block, but the work waits for it.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let watcher = Watcher::new(watch);
        Move { watcher, ..self }
    }

    /// Does it. Commits that a crash cut short are completed before. An old store that is an empty
    /// directory was moved before if there is a new one; else it is no store.
    ///
    /// # Errors
    ///
    /// [`Error::Overlap`] if one of the two is the other, or stands in it; what [`Options::open`] and
    /// [`Options::create`] say of either; [`Error::CommitIncomplete`], [`Error::Stopped`],
    /// [`Error::Full`], [`Error::Unexpected`] if something stands where a directory or a block should go,
    /// and [`Error::Io`]. The same call goes on from there.
    ///
    /// # Cancel safety
    ///
    /// The work stops at its next step, and the same call completes it.
    ///
    /// # Durability
    ///
    /// When it returns, all of it survives a power cut; before, each block does, in one of the stores.
    pub async fn run(self, old: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<Moved> {
        let (old, new) = (canonical_at(old).await?, canonical_at(new).await?);
        // Each knows the file system of its store.
        let disk = || Arc::new(OsDisk::default()) as Arc<dyn Disk>;
        self.run_on((disk(), old), (disk(), new)).await
    }

    pub(crate) async fn run_on(
        self,
        old: (Arc<dyn Disk>, PathBuf),
        new: (Arc<dyn Disk>, PathBuf),
    ) -> Result<Moved> {
        let Move { shard, watcher } = self;
        check_apart(&old.1, &new.1)?;
        let mut options = Options::new();
        if let Some(shard) = shard {
            options = options.shard(shard);
        }
        let old = Opener::on(old.0, old.1);
        let new = Opener {
            options,
            ..Opener::on(new.0, new.1)
        };
        let work = Work::new(watcher);
        let _stop = StopOnDrop(Arc::clone(&work));
        let begin = {
            let work = Arc::clone(&work);
            move || Mover::begin(old, new, work)
        };
        let Some(mover) = blocking::run(begin).await? else {
            return Ok(Moved {
                emptied: true,
                was_done: true,
                ..Moved::default()
            });
        };
        let mover = Arc::new(mover);
        let swept = sweep(&mover).await;
        blocking::run(move || match swept {
            Ok(()) => mover.finish(),
            Err(error) => {
                mover.interrupt(&error);
                Err(error)
            }
        })
        .await
    }
}

async fn canonical_at(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = locate(path.as_ref()).await?;
    blocking::run(move || canonical(&path).map_err(|error| Error::io("find", path, error))).await
}

fn check_apart(old: &Path, new: &Path) -> Result<()> {
    if old.starts_with(new) || new.starts_with(old) {
        return Err(Error::Overlap {
            path: old.to_owned(),
            other: new.to_owned(),
        });
    }
    Ok(())
}
