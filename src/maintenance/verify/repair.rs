//! [`Repair`]: repairs what can be repaired.
//!
//! A repair makes two passes over the store. The first one moves damaged blocks into quarantine, so that the
//! path of a misplaced good block is free in the second one. Then lost blocks are restored from copies. Each
//! step is one rename, so a repair that was killed has done some of the steps, and a second one does the
//! others.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::future::ready;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::block_checker::{BlockChecker, CheckDepth, CheckTally};
use super::check_options::CheckOptions;
use super::check_walk::CheckWalk;
use super::finding::{Finding, Problem, Remedy};
use super::pass::{Pass, PassProgress};
use super::repair_mover::RepairMover;
use super::repair_passes::{MoveMisplaced, QuarantineDamaged};
use super::report::Findings;
use super::{each, in_flight, lost_blocks, restore, until_error};
use crate::blocking;
use crate::disk::{Disk, OsDisk};
use crate::error::Result;
use crate::maintenance::progress::{Phase, Progress, ProgressCallback};
use crate::store::{Options, Purpose, locate};

/// Checks a store as [`Verify`](super::Verify) does, and repairs what can be repaired.
///
/// It opens the store for writing, so it takes the lock, applies pending commits, and removes what is left in
/// `.temp`. Then
///
/// - damaged blocks are moved to `.quarantine/` in the store, which neither this crate nor kubo reads: `<KEY>.data`, or
///   `2/<KEY>.data` and so on if that name is taken;
/// - so are temp files that an old version of go-ds-flatfs left in shard directories: `put-` and a number;
/// - misplaced blocks are moved to their shard directories, if their hash is right or can't be checked. If an
///   equal block is there already, they are moved into quarantine; if a different one is, both stay;
/// - blocks that are not in the store are restored, if there is a good [copy](Repair::copies) of them.
///
/// Nothing is overwritten, and nothing else is removed. Files that can't be read stay as they are. At the end
/// every block that has a copy in quarantine and none in the store is [lost](Problem::Lost). Every
/// verification and repair reports that until the copy is removed from the quarantine, or the block is
/// restored.
#[must_use = "a repair does nothing until it is started"]
pub struct Repair {
    options: CheckOptions,
    copies: BoxStream<'static, Result<(Cid, Bytes)>>,
    lost_only: bool,
}

impl Repair {
    /// Prepares a repair of the store in the directory `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Repair {
            options: CheckOptions::new(path.as_ref().to_owned()),
            copies: stream::empty().boxed(),
            lost_only: false,
        }
    }

    /// The same as [`Verify::quick`](super::Verify::quick), except that the hashes of misplaced blocks are
    /// checked.
    pub fn quick(mut self, quick: bool) -> Self {
        self.options.depth = if quick {
            CheckDepth::Quick
        } else {
            CheckDepth::Full
        };
        self
    }

    /// The same as [`Verify::concurrency`](super::Verify::concurrency).
    pub fn concurrency(mut self, blocks: NonZeroUsize) -> Self {
        self.options.concurrency = Some(blocks);
        self
    }

    /// The same as [`Verify::on_progress`](super::Verify::on_progress).
    pub fn on_progress(
        mut self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.options.callback = ProgressCallback::new(watch);
        self
    }

    /// Sets copies of blocks, for example from a backup. A copy is put into the store if the store does not have
    /// the block, and the copy has the hash in its CID. The stream is read in order after everything else is done.
    pub fn copies(
        mut self,
        copies: impl Stream<Item = Result<(Cid, Bytes)>> + Send + 'static,
    ) -> Self {
        self.copies = copies.boxed();
        self
    }

    /// Sets whether to restore only blocks that are in quarantine, because this repair or an earlier one found
    /// them damaged. Otherwise every block that the store does not have is restored, even one that was deleted
    /// after the backup was made.
    pub fn lost_only(mut self, lost_only: bool) -> Self {
        self.lost_only = lost_only;
        self
    }

    /// Opens the store, and returns a stream of what is found and done. The store is closed at its end.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Options::open`].
    ///
    /// # Cancel safety
    ///
    /// If the stream is dropped, the steps in progress are completed, and the store is locked until then.
    /// Another repair does the rest.
    ///
    /// # Durability
    ///
    /// What the stream has reported as done survives a power cut.
    pub async fn start(self) -> Result<Findings> {
        let root = locate(&self.options.path).await?;
        self.start_on(Arc::new(OsDisk::default()), root).await
    }

    pub(crate) async fn start_on(self, disk: Arc<dyn Disk>, root: PathBuf) -> Result<Findings> {
        let jobs = self.options.jobs();
        let (reader, path) = (Arc::clone(&disk), root.clone());
        let in_flight = blocking::run(move || Ok(in_flight::find(&*reader, &path))).await?;
        let options = Options::new();
        let flatfs = options.begin_on(Arc::clone(&disk), root.clone(), Purpose::Open);
        let flatfs = flatfs.await?;
        let options = self.options;
        let begun = blocking::run(move || {
            let (checker, progress) = options.begin(Arc::clone(&disk), &root)?;
            Ok((recovered(&*disk, in_flight), checker, progress))
        });
        let (recovered, checker, progress) = begun.await?;
        let (tally, stopped) = (Arc::clone(&progress.tally), Arc::clone(&checker.stopped));
        let mover = Arc::new(RepairMover::new(flatfs.clone()));
        let passes = passes(&mover, &checker, &progress, jobs);
        let store = &flatfs.store;
        let lost = lost_blocks::find(store.blocks.shared_disk(), store.blocks.layout().clone());
        let to_copies = stream::once(progress.clone().begin_phase(Phase::Copies));
        let work = each(Ok(recovered))
            .chain(passes)
            .chain(errors(to_copies))
            .chain(restore::restore(mover, self.copies, self.lost_only))
            .chain(lost);
        let close = stream::once(async move {
            // At this point it is too late to stop.
            let _ = progress.begin_phase(Phase::Closing).await;
            flatfs.close().await
        });
        Ok(Findings::new(
            until_error(work).chain(errors(close)),
            tally,
            stopped,
        ))
    }
}

impl std::fmt::Debug for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repair")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Returns the findings about `.temp` from before the open, with what the open has done about them.
fn recovered(disk: &dyn Disk, mut before: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut before {
        if !in_flight::is_there(disk, finding) {
            finding.remedy = Some(match finding.problem {
                Problem::PendingCommit => Remedy::Completed,
                _ => Remedy::Removed,
            });
        }
    }
    before
}

/// Returns the errors of steps that find nothing.
fn errors(
    steps: impl Stream<Item = Result<()>> + Send,
) -> impl Stream<Item = Result<Finding>> + Send {
    steps.filter_map(|done| ready(done.err().map(Err)))
}

/// Runs both passes, the second one after the first.
fn passes(
    mover: &Arc<RepairMover>,
    checker: &BlockChecker,
    progress: &PassProgress,
    jobs: usize,
) -> impl Stream<Item = Result<Finding>> + Send + use<> {
    let (first, second) = (
        QuarantineDamaged {
            checker: checker.clone(),
            mover: Arc::clone(mover),
        },
        MoveMisplaced {
            checker: BlockChecker {
                depth: CheckDepth::Full,
                // The first pass has counted these blocks.
                tally: Arc::new(CheckTally::default()),
                ..checker.clone()
            },
            mover: Arc::clone(mover),
        },
    );
    let store = Arc::clone(&mover.flatfs.store);
    let walk = move || {
        let layout = store.blocks.layout();
        let root = layout.root().to_owned();
        CheckWalk::new(store.blocks.shared_disk(), root, Some(layout.clone()))
    };
    let stopped = Arc::clone(&checker.stopped);
    let again = PassProgress {
        phase: Phase::Misplaced,
        ..progress.clone()
    };
    let first = Pass::new(first, walk(), progress.clone(), Arc::clone(&stopped)).run(jobs);
    let second = Pass::new(second, walk(), again, stopped).run(jobs);
    first.chain(second)
}
