//! [`Move`]: moves all blocks of a store into another one.
//!
//! On one file system each block is renamed, never over another file. Across file systems several thousand blocks at a
//! time, from any shards, are copied to temp files of the new store, flushed together, renamed to their final names and
//! flushed again, and only then removed from the old store. So at every moment each block is complete in at least one
//! of the two stores, and an interrupted move can be repeated and finds what is left to do. A block of the new store is
//! regarded as the copy of an old one only if both are equal byte for byte.

mod mover;
mod pending_copies;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::mover::Mover;
use super::parallel_walk::visit_blocks;
use super::progress::{Progress, ProgressCallback};
use super::skipped::Skipped;
use super::tool_state::{StopOnDrop, ToolState};
use crate::blocking;
use crate::disk::{Disk, OsDisk, canonical};
use crate::error::{Error, Result};
use crate::format::Shard;
#[cfg(doc)]
use crate::store::Options;
use crate::store::{Opener, locate};

/// Moves all blocks of a store into another one. The stores may have different shard functions, and be on
/// different file systems.
///
/// The new store is opened, or created if its directory is missing or empty: then it has the shard function
/// of the old one, unless [another one](Move::shard) is asked for. It may have blocks already. The old
/// store becomes an empty directory, unless something was skipped: then it stays a store.
///
/// Files that are not blocks stay where they are, and are reported. So does a block that differs from the block
/// with the same key in the new store: one of the two may be truncated. If both are equal, the old one is
/// removed.
///
/// During the move each block is in one of the two stores, and no other program can open either of them for
/// writing. The files keep their permissions.
///
/// ```no_run
/// use ds_flatfs::maintenance::Move;
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let report = Move::new("blocks", "/mnt/large/blocks").run().await?;
/// println!("{} blocks moved, {} entries skipped", report.blocks, report.skipped_count);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a move does nothing until it is run"]
pub struct Move {
    old: PathBuf,
    new: PathBuf,
    shard: Option<Shard>,
    callback: ProgressCallback,
}

/// What a [`Move`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it tells what was skipped"]
pub struct Moved {
    /// The number of blocks that were moved to the new store.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of blocks that were in the new store already, and were removed from the old one.
    pub duplicates: u64,
    /// The entries that were skipped, and why. Only the first thousand are listed.
    pub skipped: Vec<Skipped>,
    /// The number of all entries that were skipped.
    pub skipped_count: u64,
    /// The temp files that an old version of go-ds-flatfs left among the blocks. Only the first thousand are
    /// listed. They stay where they are, and are not counted as skipped, because they contain no data of the
    /// store.
    pub left_over: Vec<Skipped>,
    /// The number of all such temp files.
    pub left_over_count: u64,
    /// Whether the old store is an empty directory now.
    pub emptied: bool,
    /// Whether the old store was an empty directory before, so that there was nothing to do.
    pub was_done: bool,
}

impl Move {
    /// Prepares a move of all blocks of the store in the directory `old` to the store in the directory `new`.
    pub fn new(old: impl AsRef<Path>, new: impl AsRef<Path>) -> Self {
        Move {
            old: old.as_ref().to_owned(),
            new: new.as_ref().to_owned(),
            shard: None,
            callback: ProgressCallback::none(),
        }
    }

    /// Sets the shard function of the new store, by default that of the old one. A new store that exists
    /// already must have this function.
    pub fn shard(self, shard: Shard) -> Self {
        let shard = Some(shard);
        Move { shard, ..self }
    }

    /// Calls `watch` with the progress from time to time. If it returns [`Break`](ControlFlow::Break), the
    /// move stops with [`Error::Stopped`]. `watch` may block; the move waits for it.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let callback = ProgressCallback::new(watch);
        Move { callback, ..self }
    }

    /// Runs the move. Pending commits of both stores are applied first. If the old store is an empty
    /// directory and the new store exists, the move is already done; without a new store it is an error.
    ///
    /// # Errors
    ///
    /// - [`Error::Overlap`]: the two are the same directory, or one is inside the other.
    /// - The errors of [`Options::open`] and [`Options::create`], for either store.
    /// - [`Error::CommitIncomplete`]: a pending commit can't be applied.
    /// - [`Error::Stopped`]: the callback has stopped the move.
    /// - [`Error::Full`]: a file system is full.
    /// - [`Error::Unexpected`]: something else is at the path of a directory or a block.
    /// - [`Error::Io`]: a step fails.
    ///
    /// After an error the same call continues the move.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the move stops at its next step, and the same call completes it.
    ///
    /// # Durability
    ///
    /// When the call has returned, the whole move survives a power cut. A power cut during the call loses no
    /// block: each is durable in one of the stores.
    pub async fn run(self) -> Result<Moved> {
        let (old, new) = (
            canonical_at(&self.old).await?,
            canonical_at(&self.new).await?,
        );
        // Each store gets its own disk, because a disk remembers the file system on which it was used.
        let disk = || Arc::new(OsDisk::default()) as Arc<dyn Disk>;
        self.run_on((disk(), old), (disk(), new)).await
    }

    pub(crate) async fn run_on(
        self,
        old: (Arc<dyn Disk>, PathBuf),
        new: (Arc<dyn Disk>, PathBuf),
    ) -> Result<Moved> {
        let Move {
            shard, callback, ..
        } = self;
        check_apart(&old.1, &new.1)?;
        let old = Opener::on(old.0, old.1);
        let mut new = Opener::on(new.0, new.1);
        if let Some(shard) = shard {
            new.options = new.options.shard(shard);
        }
        let state = ToolState::new(callback);
        let _stop = StopOnDrop(Arc::clone(&state));
        let begin = {
            let state = Arc::clone(&state);
            move || Mover::begin(old, new, state)
        };
        let Some(mover) = blocking::run(begin).await? else {
            return Ok(Moved {
                emptied: true,
                was_done: true,
                ..Moved::default()
            });
        };
        let mover = Arc::new(mover);
        let visited = visit_blocks(&mover).await;
        blocking::run(move || match visited {
            Ok(()) => mover.finish(),
            Err(error) => {
                mover.interrupt(&error);
                Err(error)
            }
        })
        .await
    }
}

async fn canonical_at(path: &Path) -> Result<PathBuf> {
    let path = locate(path).await?;
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
