//! [`Store`]: what all handles of a store share, and the order in which work acquires it. [`OpenFiles`] limits the
//! number of files that it has open.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Options;
use super::blocks::{Blocks, MAX_SINGLE_FLUSHES, PARALLEL_FLUSHES};
use super::commit_log::CommitLog;
use super::group_commit::GroupCommit;
use super::key_locks::KeyLocks;
use super::lifecycle::{Lifecycle, WorkGuard};
use super::options::MIN_OPEN_FILES;
use super::saved_usage::SavedUsage;
use crate::blocking::WorkQueue;
use crate::disk::{self, LockGuard};
use crate::error::{Error, Result};
use crate::observe;

/// What all handles of a store share.
///
/// Work acquires what it needs in this order:
///
/// 1. The key lock, or the locks of all keys of a commit in the order of the keys. Two commits that took
///    them in different orders could wait for each other.
/// 2. A permit for an open file, or for an entry in the queue of durable writes. A write that took it before
///    its key lock would hold it while it waits for the lock, and writes of one key could take all permits
///    while the write that has the lock waits for one.
/// 3. The token that a close waits for. A future that is no longer polled may wait for a lock or a permit for
///    ever; without a token it doesn't keep a close waiting. A commit and a discard are exceptions: they take
///    the token first, because a close must not leave their directories behind.
///
/// The sweep of a garbage collection takes a permit and a token first, and then only key locks that are free: it does not
/// wait for one.
///
/// The last two are in one [`WorkGuard`], which also has the job's handle to the store. A job, once it
/// has started, runs to its end; it rolls pending commits of its keys forward before it changes one.
pub(crate) struct Store {
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) commit_log: Arc<CommitLog>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) saved_usage: SavedUsage,
    pub(crate) key_locks: Arc<KeyLocks>,
    pub(crate) open_files: OpenFiles,
    /// Runs the writes that flush nothing, and those of batches.
    pub(crate) work_queue: Arc<WorkQueue>,
    /// Runs the durable writes.
    pub(crate) group_commit: Arc<GroupCommit<StoreGuard>>,
    pub(crate) options: Options,
}

/// The guard that a job of a store holds.
pub(crate) type StoreGuard = WorkGuard<Arc<Store>>;

impl Store {
    /// Creates an open store, before its recovery. `lock` is the lock of a writer.
    pub(super) fn new(
        blocks: Blocks,
        options: Options,
        lock: Option<Box<dyn LockGuard>>,
        usage_is_stale: bool,
    ) -> Self {
        let blocks = Arc::new(blocks);
        let commit_log = Arc::new(CommitLog::new(Arc::clone(&blocks), options.durability));
        Store {
            lifecycle: Lifecycle::new(Arc::clone(&blocks), lock),
            saved_usage: SavedUsage::new(Arc::clone(&blocks), usage_is_stale),
            key_locks: Arc::default(),
            open_files: OpenFiles::new(options.max_open_files),
            work_queue: WorkQueue::new(options.write_concurrency),
            group_commit: GroupCommit::new(Arc::clone(&blocks), Arc::clone(&commit_log)),
            commit_log,
            blocks,
            options,
        }
    }

    /// Waits for a file permit, and begins work that reads.
    pub(crate) async fn begin_read(self: &Arc<Self>) -> Result<StoreGuard> {
        self.begin_read_with(self.open_files.permit().await?)
    }

    /// Begins work that reads.
    pub(crate) fn begin_read_with(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
    ) -> Result<StoreGuard> {
        self.lifecycle.begin_read(Arc::clone(self), Some(permit))
    }

    /// Waits for a file permit, and begins work that writes.
    pub(crate) async fn begin_write(self: &Arc<Self>) -> Result<StoreGuard> {
        self.begin_write_with(self.open_files.permit().await?)
    }

    /// Begins work that writes.
    pub(crate) fn begin_write_with(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
    ) -> Result<StoreGuard> {
        self.lifecycle.begin_write(Arc::clone(self), Some(permit))
    }
}

/// Shows the path only: the queued writes of a store have handles to it.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("root", &self.blocks.layout().root())
            .finish_non_exhaustive()
    }
}

/// The number of files for which no permit is taken: three for the lock and the root, which stay open; those
/// of a flush to the disk, of which one runs at a time, and of a group of durable writes; and one each for
/// the checkpoint of the disk usage, the beginning of its count, a `sync` and a close.
const RESERVED: usize = 3 + PARALLEL_FLUSHES + MAX_SINGLE_FLUSHES + 4;

/// Permits for open files.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    /// For files that are open for the length of a job.
    jobs: Arc<Semaphore>,
    max_jobs: usize,
    /// For listings that stay open between jobs.
    listings: Arc<Semaphore>,
}

impl OpenFiles {
    /// Creates permits for at most `max` files, or by default for a part of the files that the process may
    /// have open.
    pub(super) fn new(max: Option<usize>) -> Self {
        let max = max.unwrap_or_else(default_max);
        // A listing has the root and one shard open.
        let listings = max / 8;
        let max_jobs = max.saturating_sub(2 * listings + RESERVED);
        OpenFiles {
            jobs: Arc::new(Semaphore::new(max_jobs)),
            max_jobs,
            listings: Arc::new(Semaphore::new(listings)),
        }
    }

    /// Waits for a permit to have a file open for the length of a job.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let jobs = Arc::clone(&self.jobs);
        observe::open_files(|| self.max_jobs - jobs.available_permits());
        jobs.acquire_owned().await.map_err(|_| Error::Closed)
    }

    /// Returns a permit to have a file open for the length of a job, if one is available at once.
    pub(crate) fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.jobs).try_acquire_owned().ok()
    }

    /// Returns a permit to keep a listing open between jobs, if one is available at once.
    pub(crate) fn try_listing(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.listings).try_acquire_owned().ok()
    }

    /// Returns the number of available permits for jobs.
    #[cfg(test)]
    pub(crate) fn available(&self) -> usize {
        self.jobs.available_permits()
    }
}

/// Returns a quarter of the number of files that the process may have open, within bounds.
fn default_max() -> usize {
    const MAX: u64 = 256;
    let files = disk::open_file_limit() / 4;
    usize::try_from(files.min(MAX)).map_or(MIN_OPEN_FILES, |files| files.max(MIN_OPEN_FILES))
}
