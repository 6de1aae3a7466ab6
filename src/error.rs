//! The one error type of the crate.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use itertools::Itertools;

use crate::key::Key;

/// A [`Result`](std::result::Result) with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in a datastore of this crate.
///
/// `Display` is one line that says what failed, where, and where it helps what to do about it. It
/// does not repeat the [`source`](std::error::Error::source), so print the whole chain.
///
/// That a block is absent is not an error: reads answer `None` or `false`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a step.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, as a verb: "read", "rename to".
        action: &'static str,
        /// The file or directory it was being done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The file system or the quota is full (`ENOSPC`, `EDQUOT`). The operation changed nothing.
    /// Deleting blocks still works.
    #[error("no space left to {action} {}: free some space, deleting blocks still works", path.display())]
    Full {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or directory it was being done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The datastore has been closed.
    #[error("the datastore is closed")]
    Closed,

    /// A write to a datastore that was opened for reading only.
    #[error("the datastore at {} is open read-only", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },

    /// Another writer, in this process or in another one, has the store open. To open it
    /// [read-only](crate::Options::read_only) takes no lock.
    #[error("the datastore at {} is locked by another writer, which must close it first", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },

    /// kubo, or another process that holds kubo's lock, is running on the repo that the store belongs to.
    #[error("kubo is running on the repo {}: stop it first, with `ipfs shutdown`", path.display())]
    KuboRunning {
        /// The directory of the repo.
        path: PathBuf,
    },

    /// A key that this datastore can't hold. Only writes say so: a read answers "not there".
    #[error("invalid key {key:?}: {reason}")]
    InvalidKey {
        /// The key as it was given.
        key: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// A directory that is not a datastore, or a path that is not a directory.
    #[error("{} is not a datastore: {reason}", path.display())]
    NotAStore {
        /// What was to be opened.
        path: PathBuf,
        /// What is missing or wrong there, and what to do.
        reason: &'static str,
    },

    /// `create` on a directory that already holds a datastore.
    #[error("there is already a datastore at {}: open it instead", path.display())]
    Exists {
        /// The store.
        path: PathBuf,
    },

    /// A store whose shard function is not the one that was asked for.
    #[error("the datastore at {} is sharded by {found}, which does not match {wanted}", path.display())]
    ShardMismatch {
        /// The store.
        path: PathBuf,
        /// The shard function that the store has.
        found: String,
        /// The shard function that was asked for.
        wanted: String,
    },

    /// Text that names no shard function.
    #[error("invalid shard function {input:?}: {reason}")]
    InvalidShard {
        /// The text.
        input: String,
        /// The rule that it breaks.
        reason: String,
    },

    /// An option whose value makes no sense.
    #[error("invalid option {option}: {reason}")]
    InvalidOption {
        /// The name of the option's setter.
        option: &'static str,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// A symbolic link, device or other special file where the store keeps a directory or a block.
    /// It is neither followed nor replaced.
    #[error("{} is a {found} where the datastore keeps a {expected}: replace it by the real thing", path.display())]
    Unexpected {
        /// Where it stands.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },

    /// A write of this batch failed, or an earlier commit that has to be completed first could not be, and
    /// the batch with it: nothing of it will be committed. Discard or drop it, and start a new one.
    #[error("the batch failed, nothing of it was committed")]
    BatchFailed {
        /// The first failure.
        source: Arc<Error>,
    },

    /// A commit failed after its commit point: the batch is committed, but not all of it is in its
    /// final place yet. The store completes it before it next writes one of the batch's keys, and at
    /// `sync`, `close` and open.
    #[error("the batch is committed but not yet in place; its record is {}", record.display())]
    CommitIncomplete {
        /// The intent record from which it will be completed.
        record: PathBuf,
        /// What stopped it.
        source: Arc<Error>,
    },

    /// A write was not made: a batch that was committed before has one of its keys, and has to be put in
    /// place first, which could not be done. The next such write tries again.
    #[error("nothing was written: an earlier batch has to be put in place first; its record is {}", record.display())]
    EarlierCommit {
        /// The intent record of the earlier batch.
        record: PathBuf,
        /// What stopped it.
        source: Arc<Error>,
    },

    /// A batch over several datastores was committed to some of them, and then to one more it could not
    /// be: there and behind it nothing of the batch has taken effect.
    #[error("the batch is committed to {}, but not to {failed} and what comes after it", committed.iter().join(", "))]
    PartlyCommitted {
        /// The prefixes of the datastores that have it.
        committed: Vec<Key>,
        /// The prefix of the datastore that refused it.
        failed: Key,
        /// Why it did.
        source: Arc<Error>,
    },

    /// An intent record that another version of this crate wrote. It is left as it is.
    #[error("{} is a commit record of unknown version {version}: open the store once with the version of this crate that wrote it", path.display())]
    UnknownCommitRecord {
        /// The record.
        path: PathBuf,
        /// The version that it names.
        version: u32,
    },

    /// A store whose shard function was being changed when that was interrupted: until it is completed,
    /// nobody can tell where a block stands.
    #[error("the datastore at {} is being re-sharded from {from} to {to}: if nobody is at it, complete that with `flatfs reshard {} {to}`", path.display(), path.display())]
    Resharding {
        /// The store.
        path: PathBuf,
        /// The shard function that it had.
        from: String,
        /// The one that it is to have.
        to: String,
    },

    /// A store that another version of this crate was re-sharding. It is left as it is.
    #[error("the datastore at {} is being re-sharded by unknown version {version} of that: complete it with the version of this crate that began it", path.display())]
    UnknownReshardMarker {
        /// The store.
        path: PathBuf,
        /// The version that its `SHARDING` names.
        version: u32,
    },

    /// Two stores one of which is the other, or stands in it.
    #[error("{} and {} are the same directory, or one is in the other", path.display(), other.display())]
    Overlap {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },

    /// An earlier flush to the disk failed, and nobody can tell what of the writes before it is
    /// durable: the kernel reports such a failure once and then forgets it. The store takes no more
    /// writes until it is opened again; check it before you trust it.
    #[error("an earlier flush of the datastore at {} failed, it takes no more writes until it is opened again", path.display())]
    FlushFailed {
        /// The store.
        path: PathBuf,
        /// The failure.
        source: Arc<Error>,
    },

    /// A block whose bytes don't have the hash that its key says.
    #[error("the block {key} is corrupt: {reason}")]
    Corrupt {
        /// The block's key.
        key: String,
        /// What was found.
        reason: String,
    },

    /// A store, or what might be one, that can't be converted to the other version of its format.
    /// Nothing was changed.
    #[error("{} is in the way of a conversion: {reason}", path.display())]
    NotConvertible {
        /// What is in the way.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },

    /// A tool for whole stores was stopped by its own callback. Run it again to complete its work.
    #[error("stopped before the end: run it again to complete it")]
    Stopped,

    /// There is no tokio runtime, or it is shutting down and does not run blocking work any more, or the
    /// work of others that this was to be done together with has panicked.
    #[error("there is no tokio runtime to run the work, or it is shutting down or has lost it")]
    Runtime,

    /// An error of another implementation of the traits.
    #[error("{message}")]
    Backend {
        /// What failed.
        message: String,
        /// The implementation's own error.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    /// An error of the operating system, sorted into [`Error::Full`] or [`Error::Io`].
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

    /// The file, directory or store that the error is about, if it is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Io { path, .. }
            | Error::Full { path, .. }
            | Error::ReadOnly { path }
            | Error::Locked { path }
            | Error::KuboRunning { path }
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
            Error::BatchFailed { source } | Error::PartlyCommitted { source, .. } => source.path(),
            Error::Closed
            | Error::InvalidKey { .. }
            | Error::InvalidShard { .. }
            | Error::InvalidOption { .. }
            | Error::Corrupt { .. }
            | Error::Stopped
            | Error::Runtime
            | Error::Backend { .. } => None,
        }
    }

    /// What the operating system said, wherever in the chain it stands.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Error::Io { source, .. } | Error::Full { source, .. } => Some(source),
            Error::BatchFailed { source }
            | Error::CommitIncomplete { source, .. }
            | Error::EarlierCommit { source, .. }
            | Error::PartlyCommitted { source, .. }
            | Error::FlushFailed { source, .. } => source.io_error(),
            _ => None,
        }
    }

    /// Whether the I/O error behind this one is of this kind.
    pub(crate) fn has_io_kind(&self, kind: io::ErrorKind) -> bool {
        self.io_error().is_some_and(|error| error.kind() == kind)
    }

    /// Whether the datastore has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Error::Closed)
    }

    /// Whether another writer has the store open, or kubo is running on its repo.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Error::Locked { .. } | Error::KuboRunning { .. })
    }

    /// Whether the disk or the quota is full, here or in the write that made a batch fail.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Error::Full { .. } => true,
            Error::BatchFailed { source }
            | Error::CommitIncomplete { source, .. }
            | Error::EarlierCommit { source, .. }
            | Error::PartlyCommitted { source, .. } => source.is_full(),
            _ => false,
        }
    }
}

/// Keeps the [kind](io::ErrorKind) of what the operating system said, and the whole error as the
/// inner one.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error, error.io_error()) {
            (_, Some(source)) => source.kind(),
            (Error::InvalidKey { .. }, _)
            | (Error::InvalidShard { .. }, _)
            | (Error::InvalidOption { .. }, _) => io::ErrorKind::InvalidInput,
            (Error::Corrupt { .. }, _) => io::ErrorKind::InvalidData,
            (Error::Exists { .. }, _) => io::ErrorKind::AlreadyExists,
            (Error::ReadOnly { .. }, _) => io::ErrorKind::ReadOnlyFilesystem,
            (Error::Locked { .. } | Error::KuboRunning { .. }, _) => io::ErrorKind::ResourceBusy,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
