//! [`Copied`]: what a copy did.

use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::key::Key;
use crate::sync::lock;

/// What a [`Copy`](super::Copy) did.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "it tells which blocks were not copied"]
pub struct Copied {
    /// The number of blocks that were copied.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of blocks that the destination had already.
    pub present: u64,
    /// The number of copied blocks that could not be checked: their keys are not hashes, or have hash functions
    /// that are not known. Without the feature `verify`, and without checks, it is 0.
    pub unchecked: u64,
    /// What was not copied, and why. Only the first thousand are listed.
    pub failed: Vec<CopyFailure>,
    /// The number of all failures.
    pub failed_count: u64,
}

/// A block that was not copied, or a part of the source that could not be listed.
#[derive(Debug)]
#[non_exhaustive]
pub struct CopyFailure {
    /// The key of the block, or `None` if the listing of the source has failed for an entry.
    pub key: Option<Key>,
    /// The reason: [`Error::Corrupt`] for a damaged block, otherwise the error of the source.
    pub error: Error,
}

/// The report of a copy that is running.
#[derive(Debug, Default)]
pub(super) struct Tally {
    copied: Mutex<Copied>,
    failures_in_a_row: Mutex<u64>,
}

impl Tally {
    const MAX_LISTED: usize = 1000;
    /// After this number of blocks in a row that can't be read, the source is regarded as failed.
    const MAX_FAILURES_IN_A_ROW: u64 = 1000;

    pub(super) fn count(&self, change: impl FnOnce(&mut Copied)) {
        change(&mut lock(&self.copied));
    }

    /// Notes that a block could be read.
    pub(super) fn was_read(&self) {
        *lock(&self.failures_in_a_row) = 0;
    }

    /// Notes that a block could not be read.
    ///
    /// # Errors
    ///
    /// Returns the error if it is not about this block alone, or too many blocks in a row could not be read.
    pub(super) fn could_not_read(&self, key: Option<Key>, error: Error) -> Result<()> {
        let failures = {
            let mut failures = lock(&self.failures_in_a_row);
            *failures += 1;
            *failures
        };
        if matches!(error, Error::Closed | Error::Runtime)
            || failures >= Tally::MAX_FAILURES_IN_A_ROW
        {
            return Err(error);
        }
        self.fail(key, error);
        Ok(())
    }

    pub(super) fn fail(&self, key: Option<Key>, error: Error) {
        self.count(|copied| {
            copied.failed_count += 1;
            if copied.failed.len() < Tally::MAX_LISTED {
                copied.failed.push(CopyFailure { key, error });
            }
        });
    }

    pub(super) fn take(&self) -> Copied {
        std::mem::take(&mut lock(&self.copied))
    }
}
