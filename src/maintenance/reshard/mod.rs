//! [`Reshard`]: changes the shard function of a store.
//!
//! A durable marker replaces the shard function in `SHARDING`, so that no other program opens the store. Then
//! each block that isn't where the new function places it is renamed, never over another file. At the end all
//! renames are flushed together, and the new function replaces the marker. At every moment each block is
//! where one of the functions in the marker places it, so an interrupted re-sharding can be repeated and
//! finds what is left to do.

mod resharder;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::resharder::Resharder;
use super::parallel_walk::visit_blocks;
use super::progress::{Progress, ProgressCallback};
use super::skipped::Skipped;
use super::tool_state::{StopOnDrop, ToolState};
use crate::blocking;
use crate::disk::{Disk, OsDisk};
use crate::error::Result;
use crate::format::Shard;
use crate::store::{Opener, locate};

/// Changes the shard function of a store in place. Each block is renamed, and none is copied.
///
/// During the re-sharding, and after an interrupted one, no program can open the store: kubo refuses it, and
/// this crate returns [`Error::Resharding`](crate::Error::Resharding). The same call completes the
/// re-sharding. A call with another function moves all blocks to where that one places them, so a call with the
/// old function undoes the re-sharding. Programs that already have the store open for reading do not find the
/// moved blocks. kubo must not be running.
///
/// kubo names the function in its own configuration too (`Datastore.Spec` in `config`, and
/// `datastore_spec`). It opens the store again when both name the new function.
///
/// Files that are not blocks stay where they are, and are reported. Blocks in a shard directory that is not
/// their own are moved to their own. If there is already a file where a block should go and the two are
/// equal, one of them is removed. If they differ, the one that the store found by its old function becomes
/// the block, and the other one is renamed: its name then ends in `.kept`.
///
/// ```no_run
/// use ds_flatfs::Shard;
/// use ds_flatfs::maintenance::Reshard;
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let report = Reshard::new("blocks", Shard::next_to_last(3)?).run().await?;
/// println!("{} blocks moved", report.moved);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a re-sharding does nothing until it is run"]
pub struct Reshard {
    path: PathBuf,
    to: Shard,
    callback: ProgressCallback,
}

/// What a [`Reshard`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it tells what was skipped"]
pub struct Resharded {
    /// The function that the store had.
    pub from: Shard,
    /// The function that it has.
    pub to: Shard,
    /// Whether the store already had the function, so that there was nothing to do.
    pub was_done: bool,
    /// The number of blocks that were moved to where the new function places them.
    pub moved: u64,
    /// The number of blocks that were there already, and whose second copy was removed.
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
}

impl Reshard {
    /// Prepares a re-sharding of the store in the directory `path` to the function `to`.
    pub fn new(path: impl AsRef<Path>, to: Shard) -> Self {
        Reshard {
            path: path.as_ref().to_owned(),
            to,
            callback: ProgressCallback::none(),
        }
    }

    /// Calls `watch` with the progress from time to time. If it returns [`Break`](ControlFlow::Break), the
    /// re-sharding stops with [`Error::Stopped`](crate::Error::Stopped). `watch` may block; the re-sharding
    /// waits for it.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let callback = ProgressCallback::new(watch);
        Reshard { callback, ..self }
    }

    /// Runs the re-sharding. Pending commits are applied first.
    ///
    /// # Errors
    ///
    /// - [`Error::NotAStore`](crate::Error::NotAStore): there is no store.
    /// - [`Error::Locked`](crate::Error::Locked): a writer has the store open.
    /// - [`Error::CommitIncomplete`](crate::Error::CommitIncomplete): a pending commit can't be applied.
    /// - [`Error::UnknownReshardMarker`](crate::Error::UnknownReshardMarker): another version of this crate has begun
    ///   a re-sharding.
    /// - [`Error::Stopped`](crate::Error::Stopped): the callback has stopped the re-sharding.
    /// - [`Error::Full`](crate::Error::Full): there is no space for the new directories.
    /// - [`Error::Unexpected`](crate::Error::Unexpected): something else is at the path of a directory or a block.
    /// - [`Error::Io`](crate::Error::Io): a step fails.
    ///
    /// After an error the same call continues the re-sharding. A shard directory that can't be read is reported
    /// before anything is changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the re-sharding stops at its next step, and the same call completes it.
    ///
    /// # Durability
    ///
    /// When the call has returned, the store with its new function survives a power cut. After a power cut
    /// during the call, the same call completes the re-sharding.
    pub async fn run(self) -> Result<Resharded> {
        let root = locate(&self.path).await?;
        self.run_on(Arc::new(OsDisk::default()), root).await
    }

    pub(crate) async fn run_on(self, disk: Arc<dyn Disk>, root: PathBuf) -> Result<Resharded> {
        let Reshard { to, callback, .. } = self;
        let opener = Opener::on(disk, root);
        let state = ToolState::new(callback);
        let _stop = StopOnDrop(Arc::clone(&state));
        let begin = {
            let state = Arc::clone(&state);
            move || Resharder::begin(opener, to, state)
        };
        let Some(resharder) = blocking::run(begin).await? else {
            return Ok(Resharded::nothing(to));
        };
        let resharder = Arc::new(resharder);
        let visited = visit_blocks(&resharder).await;
        blocking::run(move || match visited {
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
            skipped: Vec::new(),
            skipped_count: 0,
            left_over: Vec::new(),
            left_over_count: 0,
        }
    }
}
