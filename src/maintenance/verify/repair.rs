//! [`Repair`]: puts right what can be put right.
//!
//! A repair goes through the store twice: what is damaged goes into quarantine first, so that a good block
//! that stands in the wrong place finds its own one free. Then what was lost is put back from copies.
//! Each step is one rename, so a repair that was killed has done some of its steps, and a second one does
//! the others.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::future::ready;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::check::{Depth, Examiner, Tally};
use super::finding::{Finding, Problem, Remedy};
use super::options::Common;
use super::pass::{Pass, Teller};
use super::repair_moves::RepairMover;
use super::repair_passes::{Damaged, Misplaced};
use super::report::Findings;
use super::walk::Walk;
use super::{copies, each, in_flight, quarantine, until_error};
use crate::blocking;
use crate::disk::{Disk, OsDisk};
use crate::error::Result;
use crate::maintenance::Progress;
use crate::maintenance::progress::Watcher;
use crate::store::{Options, Purpose, locate};

/// Looks at everything in a store as [`Verify`](super::Verify) does, and puts right what can be put right.
///
/// It opens the store to write, so it takes the lock, carries out commits that were interrupted, and removes
/// what is left over in `.temp`. Then
///
/// - damaged blocks are moved to `.quarantine/` in the store, which neither this crate nor kubo looks into:
///   `<KEY>.data`, or where there is one already `2/<KEY>.data` and so on;
/// - blocks in the wrong place are moved to where they belong, if their hash is right or can't be checked.
///   If the same block stands there already, they go into quarantine; if another one does, both stay;
/// - blocks that are not in the store are put back, if there is a good [copy](Repair::copies) of them.
///
/// Nothing is overwritten, and nothing else removed. What couldn't be read is left alone. At the end every
/// block of which there is a copy in quarantine and none in the store is [lost](Problem::Lost). That is
/// told by every verification and repair until the copy is taken out of the quarantine, or the block is
/// back.
#[must_use = "nothing is repaired before it is started"]
pub struct Repair {
    common: Common,
    copies: BoxStream<'static, Result<(Cid, Bytes)>>,
}

impl Repair {
    /// Repairs the store in the directory `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Repair {
            common: Common::new(path.as_ref().to_owned()),
            copies: stream::empty().boxed(),
        }
    }

    /// As [`Verify::quick`](super::Verify::quick). Of blocks in the wrong place the hash is checked all
    /// the same.
    pub fn quick(mut self, quick: bool) -> Self {
        self.common.depth = if quick { Depth::Quick } else { Depth::Full };
        self
    }

    /// As [`Verify::concurrency`](super::Verify::concurrency).
    pub fn concurrency(mut self, blocks: NonZeroUsize) -> Self {
        self.common.concurrency = Some(blocks);
        self
    }

    /// As [`Verify::on_progress`](super::Verify::on_progress).
    pub fn on_progress(
        mut self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.common.watcher = Watcher::new(watch);
        self
    }

    /// Copies of blocks, say from a backup: those that the store doesn't have then are put into it, if they
    /// have the hash that their CID says. They are asked for after everything else is done, in order.
    pub fn copies(
        mut self,
        copies: impl Stream<Item = Result<(Cid, Bytes)>> + Send + 'static,
    ) -> Self {
        self.copies = copies.boxed();
        self
    }

    /// Opens the store, and answers what is found and done as a stream. The store is closed at its end.
    ///
    /// # Errors
    ///
    /// As [`Options::open`].
    ///
    /// # Cancel safety
    ///
    /// What is under way is done; another repair does the rest. The store is locked until then.
    ///
    /// # Durability
    ///
    /// What the stream says is done survives a power cut.
    pub async fn start(self) -> Result<Findings> {
        let root = locate(&self.common.path).await?;
        self.start_on(Arc::new(OsDisk::default()), root).await
    }

    pub(crate) async fn start_on(self, disk: Arc<dyn Disk>, root: PathBuf) -> Result<Findings> {
        let jobs = self.common.jobs();
        let (reader, path) = (Arc::clone(&disk), root.clone());
        let in_flight = blocking::run(move || Ok(in_flight::look(&*reader, &path))).await?;
        let options = Options::new();
        let flatfs = options.begin_on(Arc::clone(&disk), root.clone(), Purpose::Open);
        let flatfs = flatfs.await?;
        let common = self.common;
        let begun = blocking::run(move || {
            let (examiner, teller) = common.begin(Arc::clone(&disk), &root)?;
            Ok((recovered(&*disk, in_flight), examiner, teller))
        });
        let (recovered, examiner, teller) = begun.await?;
        let (tally, stopped) = (Arc::clone(&teller.tally), Arc::clone(&examiner.stopped));
        let mender = Arc::new(RepairMover::new(flatfs.clone()));
        let passes = passes(&mender, &examiner, &teller, jobs);
        let store = &flatfs.store;
        let lost = quarantine::lost(store.blocks.shared_disk(), store.blocks.layout().clone());
        let work = each(Ok(recovered))
            .chain(passes)
            .chain(copies::restore(mender, self.copies))
            .chain(lost);
        let close = stream::once(async move { flatfs.close().await });
        let close = close.filter_map(|closed| ready(closed.err().map(Err)));
        Ok(Findings::new(
            until_error(work).chain(close),
            tally,
            stopped,
        ))
    }
}

impl std::fmt::Debug for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repair")
            .field("common", &self.common)
            .finish_non_exhaustive()
    }
}

/// What the open has done about what was in flight before.
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

/// Both passes, the second one begun when the first one is done.
fn passes(
    mender: &Arc<RepairMover>,
    examiner: &Examiner,
    teller: &Teller,
    jobs: usize,
) -> impl Stream<Item = Result<Finding>> + Send + use<> {
    let (first, second) = (
        Damaged {
            examiner: examiner.clone(),
            mender: Arc::clone(mender),
        },
        Misplaced {
            examiner: Examiner {
                depth: Depth::Full,
                // They have been counted.
                tally: Arc::new(Tally::default()),
                ..examiner.clone()
            },
            mender: Arc::clone(mender),
        },
    );
    let store = Arc::clone(&mender.flatfs.store);
    let walk = move || {
        let layout = store.blocks.layout();
        let root = layout.root().to_owned();
        Walk::new(store.blocks.shared_disk(), root, Some(layout.clone()))
    };
    let stopped = Arc::clone(&examiner.stopped);
    let again = Teller {
        is_first: false,
        ..teller.clone()
    };
    let first = Pass::new(first, walk(), teller.clone(), Arc::clone(&stopped)).run(jobs);
    let second = Pass::new(second, walk(), again, stopped).run(jobs);
    first.chain(second)
}
