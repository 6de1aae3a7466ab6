//! [`CommittedBatch`]: a batch that is being committed, or is committed and not applied yet.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::format::{COMMIT, CommitRecord};

/// A batch's directory, and its commit record.
#[derive(Debug)]
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

    /// Returns the error of a commit that could not be applied, and will be tried again.
    pub(super) fn incomplete(&self, error: Error) -> Error {
        Error::CommitIncomplete {
            record: self.record_path(),
            source: Arc::new(error),
        }
    }
}
