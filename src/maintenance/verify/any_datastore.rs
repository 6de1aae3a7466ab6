//! [`VerifyBlocks`]: checks the blocks of any datastore.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::ready;
use futures::stream::StreamExt;

use super::block_checker::{CheckTally, checker, problem_of_bytes};
use super::finding::{Finding, Problem};
use super::portion::KeySubset;
use super::report::Findings;
use super::until_error;
use crate::blocking;
use crate::datastore::{Datastore, FailuresInARow};
use crate::error::Result;
use crate::hash::INLINE_THRESHOLD;
use crate::key::Key;
use crate::maintenance::Progress;
use crate::maintenance::progress::ProgressCallback;
use crate::maintenance::reporter::Reporter;
use crate::query::{Entry, Query};

/// Checks every block of any datastore against the hash in its key, such as an object store. For a
/// [`FlatFs`](crate::FlatFs) on disk, [`Verify`](super::Verify) finds more: blocks that are not where they belong, and
/// files that are not blocks.
///
/// The path of a finding is the key. Blocks that are read at the same time are in memory.
///
/// ```
/// use ds_flatfs::maintenance::VerifyBlocks;
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let store = MemoryDatastore::new();
/// store.put(&Key::for_block(b"good"), "damaged".into()).await?;
/// let findings: Vec<_> = VerifyBlocks::new(store).start().await?.try_collect().await?;
/// assert_eq!(findings[0].problem.name(), "corrupt");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a verification does nothing until it is started"]
pub struct VerifyBlocks {
    datastore: Arc<dyn Datastore>,
    concurrency: NonZeroUsize,
    subset: Option<KeySubset>,
    callback: ProgressCallback,
}

impl VerifyBlocks {
    /// Prepares a verification of a datastore.
    pub fn new(datastore: impl Datastore + 'static) -> Self {
        VerifyBlocks {
            datastore: Arc::new(datastore),
            concurrency: crate::maintenance::Copy::DEFAULT_CONCURRENCY,
            subset: None,
            callback: ProgressCallback::none(),
        }
    }

    /// Sets how many blocks are read and checked at the same time, by default 64.
    pub fn concurrency(self, concurrency: NonZeroUsize) -> Self {
        VerifyBlocks {
            concurrency,
            ..self
        }
    }

    /// Checks one of `of` subsets of the blocks, which are those of [`Verify::subset`](super::Verify::subset). All blocks
    /// are listed, and only those of the subset are read.
    pub fn subset(self, number: u32, of: NonZeroU32) -> Self {
        let subset = Some(KeySubset::new(number, of));
        VerifyBlocks { subset, ..self }
    }

    /// Calls `watch` with the progress several times a second. If it returns [`Break`](ControlFlow::Break), the
    /// stream ends with [`Error::Stopped`](crate::Error::Stopped). `watch` may block.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let callback = ProgressCallback::new(watch);
        VerifyBlocks { callback, ..self }
    }

    /// Starts the verification, and returns the findings as a stream. A block that was listed and does not exist when it
    /// is to be read is not a finding, but [counted](super::Summary::vanished).
    ///
    /// # Errors
    ///
    /// Fails if the datastore cannot be listed. A block that cannot be read is a finding. The stream ends with an error
    /// if credentials are refused, or if a thousand blocks in a row cannot be read, or 64 in an object store that does
    /// not respond.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future or the stream changes nothing.
    pub async fn start(self) -> Result<Findings> {
        let entries = self.datastore.query(Query::new().keys_only()).await?;
        let checks = Arc::new(Checks {
            datastore: self.datastore,
            tally: Arc::default(),
            reporter: Reporter::new(self.callback),
            failures: FailuresInARow::default(),
        });
        let tally = Arc::clone(&checks.tally);
        let subset = self.subset;
        let is_wanted = move |entry: &Result<Entry>| match (entry, subset) {
            (Ok(entry), Some(subset)) => subset.has(&entry.key),
            _ => true,
        };
        let findings = entries
            .filter(move |entry| ready(is_wanted(entry)))
            .map(move |entry| {
                let checks = Arc::clone(&checks);
                async move { checks.check(entry?.key).await }
            })
            .buffer_unordered(self.concurrency.get())
            .filter_map(|found| ready(found.transpose()));
        let stopped = Arc::new(AtomicBool::new(false));
        Ok(Findings::new(until_error(findings), tally, stopped))
    }
}

struct Checks {
    datastore: Arc<dyn Datastore>,
    tally: Arc<CheckTally>,
    reporter: Reporter,
    failures: FailuresInARow,
}

impl Checks {
    async fn check(&self, key: Key) -> Result<Option<Finding>> {
        let problem = match self.datastore.get(&key).await {
            Ok(None) => {
                self.tally.vanished.fetch_add(1, Ordering::Relaxed);
                // It only asks whether to stop.
                self.reporter.advance(|_| {}).await?;
                return Ok(None);
            }
            Ok(Some(block)) => {
                self.failures.end();
                let size = block.len() as u64;
                self.tally.bytes.fetch_add(size, Ordering::Relaxed);
                problem_of(key.clone(), block).await?
            }
            Err(error) => Some(Problem::Unreadable(Arc::new(self.failures.add(error)?))),
        };
        self.tally.blocks.fetch_add(1, Ordering::Relaxed);
        if matches!(problem, Some(Problem::Unchecked(_))) {
            self.tally.count_unchecked(&key);
        }
        let (blocks, bytes) = (&self.tally.blocks, &self.tally.bytes);
        let advanced = self.reporter.advance(|progress| {
            progress.blocks = blocks.load(Ordering::Relaxed);
            progress.bytes = bytes.load(Ordering::Relaxed);
        });
        advanced.await?;
        Ok(problem.map(|problem| Finding::new(key.as_str(), Some(&key), problem)))
    }
}

/// Checks a block without blocking a worker of the runtime.
async fn problem_of(key: Key, block: Bytes) -> Result<Option<Problem>> {
    let len = block.len();
    let check = move || {
        let mut checker = checker(&key);
        if let Ok(checker) = &mut checker {
            checker.update(&block);
        }
        problem_of_bytes(checker, block.len() as u64)
    };
    if len > INLINE_THRESHOLD {
        return blocking::run(move || Ok(check())).await;
    }
    // Without this, a task that hashes one small block after another would never yield to other tasks.
    tokio::task::consume_budget().await;
    Ok(check())
}
