//! [`Verify`] checks every block of a store against the hash in its key, and [`Repair`] repairs what can be
//! repaired. Feature `verify`.

mod any_datastore;
mod block_checker;
mod check_options;
mod check_walk;
mod finding;
mod in_flight;
mod lost_blocks;
mod pass;
mod portion;
mod repair;
mod repair_mover;
mod repair_passes;
mod report;
mod restore;
mod sharding;

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, Stream, StreamExt};

pub use self::any_datastore::VerifyBlocks;
use self::block_checker::{BlockChecker, CheckDepth};
use self::check_options::CheckOptions;
use self::check_walk::{CheckItem, CheckWalk};
pub use self::finding::{Finding, Problem, Remedy};
use self::pass::{Pass, PassTask};
use self::portion::KeySubset;
pub use self::repair::Repair;
pub use self::report::{Findings, Summary};
use crate::blocking;
use crate::disk::{Disk, OsDisk};
use crate::error::Result;
use crate::format::Layout;
use crate::maintenance::Progress;
use crate::maintenance::progress::ProgressCallback;
use crate::store::locate;

/// Checks every block of a store against the hash in its key. It takes no lock and changes nothing on disk, so it works
/// on a file system that is mounted read-only, and while a writer has the store open.
///
/// ```
/// use ds_flatfs::maintenance::Verify;
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// # ds_flatfs::FlatFs::options().create(&path).await?.close().await?;
/// let mut findings = Verify::new(path).start().await?;
/// while let Some(finding) = findings.try_next().await? {
///     println!("{finding}");
/// }
/// assert_eq!(findings.summary().wrong, 0);
/// # Ok(()) }
/// ```
///
/// # What is wrong
///
/// A block is wrong if its bytes don't have the hash in its key, if it can't be read, or if it is not where
/// readers look for it. Also wrong are a link where a block or a directory should be, a `SHARDING` that names
/// no shard function, a pending commit, and a block that is [lost](Problem::Lost): a repair moved it to
/// `.quarantine`, and the store has no other copy. Foreign and leftover files, and blocks whose keys are not
/// a hash of a known function, are reported, but they are [not wrong](Problem::is_wrong). The
/// [summary](Summary::unchecked) counts the blocks that could not be checked.
///
/// # What is in memory
///
/// A part of each block that is being checked, at most 128 KiB; the names of a few dozen blocks; findings that were not
/// taken from the stream yet, at most a few thousand; and the entries of `.temp`, one for each batch.
#[derive(Debug)]
#[must_use = "a verification does nothing until it is started"]
pub struct Verify {
    options: CheckOptions,
}

impl Verify {
    /// Prepares a verification of the store in the directory `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Verify {
            options: CheckOptions::new(path.as_ref().to_owned()),
        }
    }

    /// Sets whether to check only names and sizes, without reading blocks. This finds empty, misplaced and lost
    /// blocks.
    pub fn quick(mut self, quick: bool) -> Self {
        self.options.depth = if quick {
            CheckDepth::Quick
        } else {
            CheckDepth::Full
        };
        self
    }

    /// Sets how many blocks are checked at the same time, by default as many as there are cores.
    pub fn concurrency(mut self, blocks: NonZeroUsize) -> Self {
        self.options.concurrency = Some(blocks);
        self
    }

    /// Checks one of `of` subsets of the blocks, counted from 1: those whose keys are in this part of all possible
    /// keys. A subset is about as large as the others, has the same blocks in every store and at any time, and all
    /// subsets together have all blocks. What is not a block is checked with every subset.
    ///
    /// A number of 0 counts as 1, and a number above `of` counts as `of`.
    pub fn subset(mut self, number: u32, of: NonZeroU32) -> Self {
        self.options.subset = Some(KeySubset::new(number, of));
        self
    }

    /// Limits how many bytes of blocks are read in a second.
    pub fn limit_rate(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.options.bytes_per_second = Some(bytes_per_second);
        self
    }

    /// Calls `watch` with the progress several times a second. If it returns [`Break`](ControlFlow::Break), the
    /// stream ends with [`Error::Stopped`](crate::Error::Stopped). `watch` may block.
    pub fn on_progress(
        mut self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.options.callback = ProgressCallback::new(watch);
        self
    }

    /// Starts the verification, and returns the findings as a stream.
    ///
    /// A block that another process removes during its check is not reported. A temp file or batch of a
    /// running writer may be reported if it exists from the beginning to the end.
    ///
    /// # Errors
    ///
    /// Returns [`Error::NotAStore`](crate::Error::NotAStore) if the directory does not look like a store, and
    /// [`Error::Io`](crate::Error::Io).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn start(self) -> Result<Findings> {
        let root = locate(&self.options.path).await?;
        self.start_on(Arc::new(OsDisk::default()), root).await
    }

    pub(crate) async fn start_on(
        self,
        disk: Arc<dyn Disk>,
        root: std::path::PathBuf,
    ) -> Result<Findings> {
        let jobs = self.options.jobs();
        let begun = blocking::run(move || {
            let (shard, finding) = sharding::read(&disk, &root)?;
            let in_flight = in_flight::find(&*disk, &root);
            let (checker, progress) = self.options.begin(Arc::clone(&disk), &root)?;
            let layout = shard.map(|shard| Layout::new(root.clone(), shard));
            let walk = CheckWalk::new(Arc::clone(&disk), root, layout.clone());
            let lost = layout.map(|layout| lost_blocks::find(disk, layout));
            Ok((finding, in_flight, checker, progress, walk, lost))
        });
        let (sharding, in_flight, checker, progress, walk, lost) = begun.await?;
        let (tally, stopped) = (Arc::clone(&progress.tally), Arc::clone(&checker.stopped));
        let disk = Arc::clone(&checker.disk);
        let pass = Pass::new(VerifyTask { checker }, walk, progress, Arc::clone(&stopped));
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

struct VerifyTask {
    checker: BlockChecker,
}

impl PassTask for VerifyTask {
    fn each(&self, item: CheckItem, buffer: &mut [u8]) -> Result<Option<Finding>> {
        Ok(match item {
            CheckItem::Finding(finding) => Some(finding),
            CheckItem::LeftOver(path) => Some(left_over(path)),
            CheckItem::Block(file) => self.checker.check(&file, buffer),
        })
    }
}

fn left_over(path: PathBuf) -> Finding {
    Finding::new(path, None, Problem::Leftover)
}

/// Returns the findings of a job as a stream.
fn each(found: Result<Vec<Finding>>) -> impl Stream<Item = Result<Finding>> + Send {
    let found = match found {
        Ok(found) => found.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    stream::iter(found)
}

/// Returns the stream up to its first error.
fn until_error(
    stream: impl Stream<Item = Result<Finding>> + Send,
) -> impl Stream<Item = Result<Finding>> + Send {
    stream.scan(false, |has_failed, item| {
        let item = (!*has_failed).then_some(item);
        *has_failed |= matches!(item, Some(Err(_)));
        ready(item)
    })
}
