//! What an [`Error`] is about, and its conversion to an [`io::Error`].

use std::io;
use std::path::{Path, PathBuf};

use super::Error;

impl Error {
    /// Wraps an error of the operating system as [`Error::Full`] or [`Error::Io`].
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full {
                action,
                path,
                source,
            },
            _ => Error::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Returns the file, directory or store that the error is about, if any.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Io { path, .. }
            | Error::Full { path, .. }
            | Error::ReadOnly { path }
            | Error::Locked { path, .. }
            | Error::KuboRunning { path, .. }
            | Error::NotAStore { path, .. }
            | Error::Exists { path }
            | Error::ShardMismatch { path, .. }
            | Error::Unexpected { path, .. }
            | Error::UnknownCommitRecord { path, .. }
            | Error::NotConvertible { path, .. }
            | Error::Resharding { path, .. }
            | Error::UnknownReshardMarker { path, .. }
            | Error::Overlap { path, .. }
            | Error::FlushFailed { path, .. } => Some(path),
            Error::CommitIncomplete { record, .. } | Error::EarlierCommit { record, .. } => {
                Some(record)
            }
            Error::BatchFailed { source }
            | Error::PartlyCommitted { source, .. }
            | Error::PartlyStored { source, .. } => source.path(),
            Error::Closed
            | Error::InvalidKey { .. }
            | Error::InvalidShard { .. }
            | Error::InvalidOption { .. }
            | Error::Corrupt { .. }
            | Error::MissingBlock { .. }
            | Error::InvalidBlock { .. }
            | Error::UnknownCodec { .. }
            | Error::Stopped
            | Error::Runtime
            | Error::ObjectStore { .. }
            | Error::InvalidUrl { .. }
            | Error::Backend { .. } => None,
        }
    }

    /// Returns the error of the operating system, at whatever depth it is in the chain of sources.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Error::Io { source, .. } | Error::Full { source, .. } => Some(source),
            Error::BatchFailed { source }
            | Error::CommitIncomplete { source, .. }
            | Error::EarlierCommit { source, .. }
            | Error::PartlyCommitted { source, .. }
            | Error::PartlyStored { source, .. }
            | Error::FlushFailed { source, .. } => source.io_error(),
            _ => None,
        }
    }

    /// Returns whether the I/O error behind this one is of this kind.
    pub(crate) fn has_io_kind(&self, kind: io::ErrorKind) -> bool {
        self.io_error().is_some_and(|error| error.kind() == kind)
    }

    /// Returns whether the datastore has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Error::Closed)
    }

    /// Returns whether another writer has the store open, or kubo is running on its repo.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Error::Locked { .. } | Error::KuboRunning { .. })
    }

    /// Returns whether another program had a file open in a way that prevented the operation, throughout the two
    /// seconds for which it was retried. Only Windows lets programs do that. The operation can be tried again.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.has_io_kind(io::ErrorKind::ResourceBusy)
    }

    /// Returns whether the disk or the quota is full, here or in the write that made a batch fail.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Error::Full { .. } => true,
            Error::BatchFailed { source }
            | Error::CommitIncomplete { source, .. }
            | Error::EarlierCommit { source, .. }
            | Error::PartlyCommitted { source, .. }
            | Error::PartlyStored { source, .. } => source.is_full(),
            _ => false,
        }
    }
}

/// Wraps the error in an [`io::Error`] of the same [kind](io::ErrorKind) as the error of the operating system,
/// if there is one.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error, error.io_error()) {
            (_, Some(source)) => source.kind(),
            _ if error.is_bucket_missing() => io::ErrorKind::NotFound,
            _ if error.is_permission_denied() || error.is_unauthenticated() => {
                io::ErrorKind::PermissionDenied
            }
            _ if error.is_timed_out() => io::ErrorKind::TimedOut,
            (Error::InvalidKey { .. }, _)
            | (Error::InvalidShard { .. }, _)
            | (Error::InvalidOption { .. } | Error::InvalidUrl { .. }, _) => {
                io::ErrorKind::InvalidInput
            }
            (Error::Corrupt { .. } | Error::InvalidBlock { .. }, _) => io::ErrorKind::InvalidData,
            (Error::MissingBlock { .. }, _) => io::ErrorKind::NotFound,
            (Error::Exists { .. }, _) => io::ErrorKind::AlreadyExists,
            (Error::ReadOnly { .. }, _) => io::ErrorKind::ReadOnlyFilesystem,
            (Error::Locked { .. } | Error::KuboRunning { .. }, _) => io::ErrorKind::ResourceBusy,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
