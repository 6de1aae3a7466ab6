//! [`Copy`]: copies the blocks that another datastore lacks.
//!
//! A pipeline of streams: find the keys that the destination lacks, read and check their blocks, several at a time, and
//! write them. A copy records no progress anywhere else, so one that was killed continues from what the destination
//! has.
//!
//! [`Copy`]: struct@Copy

#[cfg(feature = "dag")]
mod dag;
mod report;
mod run;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

#[cfg(feature = "dag")]
use cid::Cid;
use tokio::sync::Semaphore;

pub use self::report::{Copied, CopyFailure};
use self::report::{FailureCallback, Tally};
use self::run::Run;
use super::progress::{Progress, ProgressCallback};
use super::reporter::Reporter;
#[cfg(feature = "dag")]
use crate::dag::UnknownCodec;
use crate::datastore::Datastore;
use crate::error::Result;

/// Copies all blocks that another datastore lacks. Any two datastores can be the source and the destination.
///
/// A block that the destination has is left as it is, and is not read. With the feature `verify` each block is
/// [checked](crate::hash::check) against the hash in its key before it is written. Blocks that are damaged, cannot
/// be read or have vanished since they were listed are left out and reported, and all others are copied.
///
/// Blocks are read one by one, [many at a time](Copy::concurrency). They are written in [batches](Datastore::batch) of
/// at most 8,192 blocks or 256 MiB, or [one by one](Copy::batches). Memory holds the blocks that are being read and
/// those that are being written, for any number of blocks.
///
/// ```
/// use ds_flatfs::maintenance::Copy;
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let (source, destination) = (MemoryDatastore::new(), MemoryDatastore::new());
/// source.put(&Key::new("/CIQONE"), "one".into()).await?;
/// let report = Copy::new(&source, &destination).run().await?;
/// assert_eq!((report.blocks, report.failed_count), (1, 0));
/// assert!(destination.has(&Key::new("/CIQONE")).await?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a copy does nothing until it is run"]
pub struct Copy<'a> {
    source: &'a dyn Datastore,
    destination: &'a dyn Datastore,
    concurrency: NonZeroUsize,
    compares_listings: bool,
    uses_batches: bool,
    #[cfg(feature = "verify")]
    verified: bool,
    #[cfg(feature = "dag")]
    roots: Option<Vec<Cid>>,
    #[cfg(feature = "dag")]
    unknown_codec: UnknownCodec,
    callback: ProgressCallback,
    on_failure: FailureCallback,
}

impl<'a> Copy<'a> {
    /// The default of [`concurrency`](Copy::concurrency).
    pub const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

    /// Prepares a copy from `source` to `destination`.
    pub fn new(source: &'a dyn Datastore, destination: &'a dyn Datastore) -> Self {
        Copy {
            source,
            destination,
            concurrency: Copy::DEFAULT_CONCURRENCY,
            compares_listings: false,
            uses_batches: true,
            #[cfg(feature = "verify")]
            verified: true,
            #[cfg(feature = "dag")]
            roots: None,
            #[cfg(feature = "dag")]
            unknown_codec: UnknownCodec::default(),
            callback: ProgressCallback::none(),
            on_failure: FailureCallback::default(),
        }
    }

    /// Sets how many blocks are read at the same time, and without [batches](Copy::batches) how many are written, by
    /// default [64](Copy::DEFAULT_CONCURRENCY).
    pub fn concurrency(self, concurrency: NonZeroUsize) -> Self {
        Copy {
            concurrency,
            ..self
        }
    }

    /// Sets how the copy finds out what the destination lacks: by comparing its listing with that of the source, or,
    /// by default, by a lookup of each key.
    ///
    /// A listing is for destinations that take a request for each lookup, and list a thousand keys by one
    /// request: an object store. Both listings are read in the order of the keys, which costs memory as for a
    /// [`Diff`](super::Diff): for a datastore that does not list its keys in order, it grows with their number. A lookup
    /// of each key needs none.
    pub fn compare_listings(self, compares_listings: bool) -> Self {
        Copy {
            compares_listings,
            ..self
        }
    }

    /// Sets whether blocks are written in batches, which is the default, or by a put for each,
    /// [many at a time](Copy::concurrency).
    ///
    /// Batches are for destinations that publish or flush many blocks at once, such as a [`FlatFs`](crate::FlatFs). In
    /// an object store a batch is sent only when it is complete.
    pub fn batches(self, uses_batches: bool) -> Self {
        Copy {
            uses_batches,
            ..self
        }
    }

    /// Sets whether blocks are checked against the hashes in their keys, which is the default. Feature `verify`.
    ///
    /// A block whose key is not a hash, or has a hash function that is not known, is copied without a check and
    /// [counted](Copied::unchecked).
    #[cfg(feature = "verify")]
    pub fn verified(self, verified: bool) -> Self {
        Copy { verified, ..self }
    }

    /// Copies only the blocks of the DAGs below these roots. Feature `dag`.
    ///
    /// The copy reads all blocks of the source that may have links. Of the blocks without links, it reads those that
    /// the destination lacks, and looks each of them up there. A block that the source lacks is a
    /// [failure](Copied::failed), and so is one whose links cannot be found. Parents are copied before their children,
    /// so a root in the destination does not mean that its DAG is complete; a report without failures does. The number
    /// of blocks is not known before the end. The CIDs of all blocks of the DAGs are in memory, about 100 bytes for
    /// each.
    #[cfg(feature = "dag")]
    pub fn roots(self, roots: impl IntoIterator<Item = Cid>) -> Self {
        let roots = Some(roots.into_iter().collect());
        Copy { roots, ..self }
    }

    /// Sets what a copy of [roots](Copy::roots) does with a block of a codec whose links cannot be found. By default it
    /// is not copied, and is a [failure](Copied::failed). Feature `dag`.
    #[cfg(feature = "dag")]
    pub fn unknown_codec(self, unknown_codec: UnknownCodec) -> Self {
        Copy {
            unknown_codec,
            ..self
        }
    }

    /// Calls `watch` with the progress several times a second. If it returns [`Break`](ControlFlow::Break), the copy
    /// completes the blocks that it has begun and returns [`Error::Stopped`](crate::Error::Stopped). `watch` may
    /// block.
    ///
    /// The progress counts the keys of the source that are done, including those that the destination had, and the
    /// bytes that were read. So that the [total](Progress::total_blocks) is known, the keys of the source are listed
    /// a second time while the copy runs.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let callback = ProgressCallback::new(watch);
        Copy { callback, ..self }
    }

    /// Calls `report` with each block that is not copied, and each entry that [is not a block](CopyFailure::is_not_a_block), as
    /// soon as that is known, so that nothing is lost if the copy itself fails later. It must not block for long, because
    /// the copy waits for it.
    pub fn on_failure(self, report: impl FnMut(&CopyFailure) + Send + 'static) -> Self {
        let on_failure = FailureCallback(Some(Box::new(report)));
        Copy { on_failure, ..self }
    }

    /// Runs the copy.
    ///
    /// # Errors
    ///
    /// Fails if the listing of the source cannot begin, if the destination fails, if one of them is closed, if
    /// credentials are refused, or if a thousand blocks in a row cannot be read, or 64 in an object store that does not
    /// respond; and returns [`Error::Stopped`](crate::Error::Stopped) if the
    /// callback asks for it. The same call continues the copy.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the last portion may be stored. The same call continues the copy.
    ///
    /// # Durability
    ///
    /// The copy ends with a [`sync`](Datastore::sync) of the destination, so every copied block survives a crash
    /// after the call has returned.
    pub async fn run(self) -> Result<Copied> {
        let run = Run {
            source: self.source,
            destination: self.destination,
            concurrency: self.concurrency.get(),
            compares_listings: self.compares_listings,
            uses_batches: self.uses_batches,
            #[cfg(feature = "verify")]
            verified: self.verified,
            #[cfg(feature = "dag")]
            roots: self.roots,
            #[cfg(feature = "dag")]
            unknown_codec: self.unknown_codec,
            reporter: Reporter::new(self.callback),
            tally: Tally::new(self.on_failure),
            reads: Arc::new(Semaphore::new(self.concurrency.get())),
        };
        run.copy().await
    }
}
