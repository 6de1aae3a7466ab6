//! [`OpenFiles`]: limits the number of files that a store has open.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::blocks::{MAX_SINGLE_FLUSHES, PARALLEL_FLUSHES};
use super::options::MIN_OPEN_FILES;
use crate::disk;
use crate::error::{Error, Result};
use crate::observe;

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
