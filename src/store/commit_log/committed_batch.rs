//! [`CommittedBatch`]: a batch that is being committed, or is committed and not applied yet.

use std::path::PathBuf;
use std::sync::Arc;

use crate::blocking;
use crate::error::Error;
use crate::format::{COMMIT, CommitRecord, Put};
use crate::store::blocks::PARALLEL_FLUSHES;

/// The minimum number of blocks for which a thread is started. It is low in tests, so that they run several
/// threads.
const MIN_BLOCKS_PER_THREAD: usize = if cfg!(test) { 2 } else { 512 };

/// Whether a committed batch is applied for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    /// A block that is no longer in the batch's directory has already been published.
    Again,
}

/// A batch's directory, and its commit record.
#[derive(Debug, Default)]
pub(crate) struct CommittedBatch {
    pub(crate) dir: PathBuf,
    pub(crate) record: CommitRecord,
    /// Whether the contents of all staged blocks were flushed when they were written.
    pub(crate) is_flushed: bool,
}

impl CommittedBatch {
    /// Returns the path of the commit record.
    pub(super) fn record_path(&self) -> PathBuf {
        self.dir.join(COMMIT)
    }

    /// Processes the puts, in parallel chunks if there are many.
    pub(super) fn in_parallel<R: Send>(&self, process: impl Fn(&[Put]) -> R + Sync) -> Vec<R> {
        let puts = &self.record.puts;
        let threads = blocking::processors().min(PARALLEL_FLUSHES);
        let chunk = puts.len().div_ceil(threads).max(MIN_BLOCKS_PER_THREAD);
        blocking::parallel_chunks(puts, chunk, process)
    }

    /// Returns the error of a commit that could not be applied, and will be tried again.
    pub(super) fn incomplete(&self, error: Error) -> Error {
        Error::CommitIncomplete {
            record: self.record_path(),
            source: Arc::new(error),
        }
    }
}
