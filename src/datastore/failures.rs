//! [`FailuresInARow`]: tells a datastore that has failed from blocks that can't be read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ObjectFailure, Result};

/// After this number of blocks in a row that can't be read, the datastore is regarded as failed.
const MAX_FAILURES: u64 = 1000;
/// The number of requests in a row that fail without a result for their object. The client has repeated each of them for
/// minutes, so a larger number would take hours.
const MAX_FAILED_REQUESTS: u64 = 64;

/// How many blocks in a row could not be read.
#[derive(Debug, Default)]
pub(crate) struct FailuresInARow(AtomicU64);

impl FailuresInARow {
    /// Notes that a block could be read.
    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Notes that a block could not be read, and returns the error.
    ///
    /// # Errors
    ///
    /// Fails with the error if it is not about this block alone, or too many blocks in a row could not be read.
    pub(crate) fn add(&self, error: Error) -> Result<Error> {
        let failures = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let max = match (&error, error.object_failure()) {
            (Error::Closed | Error::Runtime, _) => 0,
            (_, Some(ObjectFailure::Unauthenticated | ObjectFailure::BucketMissing)) => 0,
            // An object can have permissions of its own.
            (_, Some(ObjectFailure::PermissionDenied) | None) => MAX_FAILURES,
            (_, Some(_)) => MAX_FAILED_REQUESTS,
        };
        match failures < max {
            true => Ok(error),
            false => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(failure: ObjectFailure) -> Error {
        Error::ObjectStore {
            action: "read",
            location: "s3://bucket/A".to_owned(),
            failure,
            source: "a fault".into(),
        }
    }

    /// Returns the number of failures that are noted before one is returned.
    fn noted(error: impl Fn() -> Error) -> usize {
        let failures = FailuresInARow::default();
        (0..2000)
            .take_while(|_| failures.add(error()).is_ok())
            .count()
    }

    #[test]
    fn errors_of_the_whole_datastore_are_returned_at_once() {
        assert_eq!(noted(|| Error::Closed), 0);
        assert_eq!(noted(|| request(ObjectFailure::Unauthenticated)), 0);
        assert_eq!(noted(|| request(ObjectFailure::BucketMissing)), 0);
    }

    #[test]
    fn a_server_that_is_down_is_given_up_earlier_than_blocks_without_permission() {
        assert_eq!(noted(|| request(ObjectFailure::TimedOut)), 63);
        assert_eq!(noted(|| request(ObjectFailure::PermissionDenied)), 999);
    }

    #[test]
    fn a_block_that_is_read_ends_the_row() {
        let failures = FailuresInARow::default();
        for _ in 0..100 {
            for _ in 0..63 {
                assert!(failures.add(request(ObjectFailure::Other)).is_ok());
            }
            failures.end();
        }
    }
}
