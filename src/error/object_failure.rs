//! [`ObjectFailure`]: how a request to an object store failed.

use std::io;

use super::Error;

/// How a request to an object store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectFailure {
    /// The bucket or container does not exist.
    BucketMissing,
    /// The credentials were refused, or there are none.
    Unauthenticated,
    /// The credentials do not permit the operation. The response to a HEAD request does not distinguish this from
    /// refused credentials.
    PermissionDenied,
    /// The server asked for fewer requests.
    Throttled,
    /// The server did not respond in time.
    TimedOut,
    /// Anything else: see the source of the error.
    Other,
}

impl ObjectFailure {
    /// Returns what to say after the operation and the location.
    pub(super) fn hint(self) -> &'static str {
        match self {
            ObjectFailure::BucketMissing => {
                ": the bucket does not exist: create it, or correct the URL or the endpoint"
            }
            ObjectFailure::Unauthenticated => ": the credentials are missing or refused",
            ObjectFailure::PermissionDenied => ": the credentials do not permit it",
            ObjectFailure::Throttled => ": the server asks for fewer requests",
            ObjectFailure::TimedOut => ": the server did not respond in time",
            ObjectFailure::Other => "",
        }
    }
}

impl Error {
    /// Returns whether the bucket or container of an object store does not exist.
    #[must_use]
    pub fn is_bucket_missing(&self) -> bool {
        self.object_failure() == Some(ObjectFailure::BucketMissing)
    }

    /// Returns whether an object store refused the credentials: an unknown access key, a wrong secret, an expired
    /// token, or none.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        self.object_failure() == Some(ObjectFailure::Unauthenticated)
    }

    /// Returns whether an object store or the operating system denied the operation.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        self.object_failure() == Some(ObjectFailure::PermissionDenied)
            || self.has_io_kind(io::ErrorKind::PermissionDenied)
    }

    /// Returns whether an object store asked for fewer requests.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.object_failure() == Some(ObjectFailure::Throttled)
    }

    /// Returns whether an object store did not respond in time.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        self.object_failure() == Some(ObjectFailure::TimedOut)
            || self.has_io_kind(io::ErrorKind::TimedOut)
    }

    /// Returns how a request to an object store failed, from wherever it is in the chain.
    #[must_use]
    pub fn object_failure(&self) -> Option<ObjectFailure> {
        match self {
            Error::ObjectStore { failure, .. } => Some(*failure),
            Error::BatchFailed { source }
            | Error::PartlyCommitted { source, .. }
            | Error::PartlyStored { source, .. } => source.object_failure(),
            _ => None,
        }
    }
}
