//! Checks every block of a store against the hash in its key, and repairs what can be repaired. Feature
//! `verify`.
//!
//! ```
//! use ds_flatfs::maintenance::verify::Verify;
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("blocks");
//! # ds_flatfs::FlatFs::options().create(&path).await?.close().await?;
//! let mut findings = Verify::new(path).start().await?;
//! while let Some(finding) = findings.try_next().await? {
//!     println!("{finding}");
//! }
//! assert_eq!(findings.summary().wrong, 0);
//! # Ok(()) }
//! ```
//!
//! # What is wrong
//!
//! A block is wrong if its bytes are not those that its key names, if it can't be read, or if it doesn't
//! stand where readers look for it; so is a link in the place of a block or of a directory, a `SHARDING`
//! that names no shard function, a commit that was not carried out, and a block that is
//! [lost](Problem::Lost): a repair moved it to `.quarantine`, and the store has no other copy. What is
//! foreign or left over, and blocks whose keys are no hash of a known kind, are told too, but they are
//! [not wrong](Problem::is_wrong).
//!
//! # What is in memory
//!
//! A part of each block that is being looked at, at most 128 KiB, whatever the size of the block; the names
//! of some dozens of blocks; findings that have not been taken from the stream, some thousands at most; and
//! what is in `.temp`, an entry a batch.

mod check;
mod copies;
mod finding;
mod in_flight;
mod options;
mod pass;
mod quarantine;
mod repair;
mod repair_moves;
mod repair_passes;
mod report;
mod sharding;
mod walk;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, Stream, StreamExt};

use self::check::{Depth, Examiner};
pub use self::finding::{Finding, Problem, Remedy};
use self::options::Common;
use self::pass::{Pass, Task};
pub use self::repair::Repair;
pub use self::report::{Findings, Summary};
use self::walk::{Walk, WalkItem};
use crate::blocking;
use crate::disk::{Disk, OsDisk};
use crate::error::Result;
use crate::format::Layout;
use crate::maintenance::Progress;
use crate::maintenance::progress::Watcher;
use crate::store::locate;

/// Looks at everything in a store, and only looks: it takes no lock and changes nothing on disk, so it
/// works on a file system that is mounted read-only, and beside a writer.
#[derive(Debug)]
#[must_use = "nothing is looked at before it is started"]
pub struct Verify {
    common: Common,
}

impl Verify {
    /// Looks at the store in the directory `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Verify {
            common: Common::new(path.as_ref().to_owned()),
        }
    }

    /// Whether to look at names and sizes only, and not to read blocks: that finds empty blocks, and what is
    /// in the wrong place or lost.
    pub fn quick(mut self, quick: bool) -> Self {
        self.common.depth = if quick { Depth::Quick } else { Depth::Full };
        self
    }

    /// How many blocks are looked at side by side: as many as there are cores, unless this says otherwise.
    pub fn concurrency(mut self, blocks: NonZeroUsize) -> Self {
        self.common.concurrency = Some(blocks);
        self
    }

    /// Calls `watch` with the progress, some times a second; [`Break`](ControlFlow::Break) ends the stream
    /// with [`Error::Stopped`](crate::Error::Stopped). It may block.
    pub fn on_progress(
        mut self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.common.watcher = Watcher::new(watch);
        self
    }

    /// Begins, and answers what is found as a stream.
    ///
    /// Beside a writer a block that goes while it is looked at is no finding. What that writer has in
    /// flight may be one, if it is so from the beginning to the end.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`](crate::Error::NotAStore) if there is nothing that looks like a store, and
    /// [`Error::Io`](crate::Error::Io).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn start(self) -> Result<Findings> {
        let root = locate(&self.common.path).await?;
        self.start_on(Arc::new(OsDisk::default()), root).await
    }

    pub(crate) async fn start_on(
        self,
        disk: Arc<dyn Disk>,
        root: std::path::PathBuf,
    ) -> Result<Findings> {
        let jobs = self.common.jobs();
        let begun = blocking::run(move || {
            let (shard, finding) = sharding::read(&disk, &root)?;
            let in_flight = in_flight::look(&*disk, &root);
            let (examiner, teller) = self.common.begin(Arc::clone(&disk), &root)?;
            let layout = shard.map(|shard| Layout::new(root.clone(), shard));
            let walk = Walk::new(Arc::clone(&disk), root, layout.clone());
            let lost = layout.map(|layout| quarantine::lost(disk, layout));
            Ok((finding, in_flight, examiner, teller, walk, lost))
        });
        let (sharding, in_flight, examiner, teller, walk, lost) = begun.await?;
        let (tally, stopped) = (Arc::clone(&teller.tally), Arc::clone(&examiner.stopped));
        let disk = Arc::clone(&examiner.disk);
        let pass = Pass::new(Look { examiner }, walk, teller, Arc::clone(&stopped));
        let left = stream::once(blocking::run(move || {
            Ok(in_flight::still_there(&*disk, in_flight))
        }));
        let findings = stream::iter(sharding.map(Ok))
            .chain(pass.run(jobs))
            .chain(left.flat_map(each))
            .chain(stream::iter(lost).flatten());
        Ok(Findings::new(until_error(findings), tally, stopped))
    }
}

struct Look {
    examiner: Examiner,
}

impl Task for Look {
    fn each(&self, met: WalkItem, buffer: &mut [u8]) -> Result<Option<Finding>> {
        Ok(match met {
            WalkItem::Finding(finding) => Some(finding),
            WalkItem::Block(file) => self.examiner.examine(&file, buffer),
        })
    }
}

/// What a job has found, one by one.
fn each(found: Result<Vec<Finding>>) -> impl Stream<Item = Result<Finding>> + Send {
    let found = match found {
        Ok(found) => found.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    stream::iter(found)
}

/// The stream up to its first error.
fn until_error(
    stream: impl Stream<Item = Result<Finding>> + Send,
) -> impl Stream<Item = Result<Finding>> + Send {
    stream.scan(false, |has_failed, item| {
        let item = (!*has_failed).then_some(item);
        *has_failed |= matches!(item, Some(Err(_)));
        ready(item)
    })
}
