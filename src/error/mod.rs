//! [`Error`]: the error type of the crate.

mod expected_entry;
mod inspect;
mod object_failure;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;

use itertools::Itertools;

pub use self::expected_entry::ExpectedEntry;
pub use self::object_failure::ObjectFailure;
use crate::key::Key;

/// A [`Result`](std::result::Result) with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of the datastores of this crate.
///
/// `Display` writes one line: what failed, on which path or key, and where it helps, what to do about it.
/// It does not repeat the [`source`](std::error::Error::source), so print the whole chain. `{:#}` of the crate anyhow
/// does that, and so does
///
/// ```
/// use std::error::Error;
///
/// fn describe(error: &dyn Error) -> String {
///     match error.source() {
///         Some(source) => format!("{error}: {}", describe(source)),
///         None => error.to_string(),
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let error = ds_flatfs::FlatFs::options().open("no/such/store").await.unwrap_err();
/// # println!("{}", describe(&error));
/// # }
/// ```
///
/// An absent block is not an error: reads return `None` or `false`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation of the operating system failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation, as a verb: "read", "rename a temp file to".
        action: &'static str,
        /// The file or directory that the operation was about.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// The file system or the quota is full (`ENOSPC`, `EDQUOT`). The operation changed nothing. Blocks
    /// can still be deleted.
    #[error("no space left to {action} {}: free some space; blocks can still be deleted", path.display())]
    Full {
        /// The operation, as a verb.
        action: &'static str,
        /// The file or directory that the operation was about.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// The datastore has been closed.
    #[error("the datastore is closed")]
    Closed,

    /// A write to a store that is open read-only.
    #[error("the store at {} is open read-only: open it for writing to change it", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },

    /// Another writer, in this process or another one, has the store open. Opening it
    /// [read-only](crate::Options::read_only) takes no lock.
    #[error("the store at {} is locked by another writer{}, which must close it first", path.display(), in_process(*owner))]
    Locked {
        /// The store.
        path: PathBuf,
        /// The process id of the writer, if the system reports it. Linux does, except for a process in another PID
        /// namespace or on another machine, and on some file systems, such as btrfs.
        owner: Option<u32>,
    },

    /// kubo, or another process that holds kubo's lock, is running on the repo that the store belongs to.
    #[error("kubo is running on the repo {}{}: stop it first, with `ipfs shutdown`", path.display(), in_process(*owner))]
    KuboRunning {
        /// The directory of the repo.
        path: PathBuf,
        /// The id of its process, as in [`Error::Locked`].
        owner: Option<u32>,
    },

    /// A key that this datastore cannot store. Only writes return this error: for a read, the key is
    /// absent.
    #[error("invalid key {key:?}: {reason}")]
    InvalidKey {
        /// The key that was passed.
        key: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// A directory that is not a store, or a path that is not a directory.
    #[error("{} is not a store: {reason}", path.display())]
    NotAStore {
        /// The path that was to be opened.
        path: PathBuf,
        /// What is missing or wrong there, and what to do about it.
        reason: &'static str,
    },

    /// A store already exists where one was to be created.
    #[error("there is already a store at {}: open it instead", path.display())]
    Exists {
        /// The store.
        path: PathBuf,
    },

    /// The shard function of the store is not the requested one.
    #[error("the store at {} is sharded by {found}, which does not match {wanted}: use {found}, or re-shard it", path.display())]
    ShardMismatch {
        /// The store.
        path: PathBuf,
        /// The shard function of the store.
        found: String,
        /// The requested shard function.
        wanted: String,
    },

    /// A text that is not a shard function.
    #[error("invalid shard function {input:?}: {reason}")]
    InvalidShard {
        /// The text.
        input: String,
        /// The rule that it breaks.
        reason: String,
    },

    /// An option with an invalid value.
    #[error("invalid option {option}: {reason}")]
    InvalidOption {
        /// The name of the option's setter.
        option: &'static str,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// A symbolic link, device or other special file at the path of a directory or a block of the store.
    /// It is neither followed nor replaced.
    #[error("{} is a {found}, but the store needs a {expected} there: move it away or replace it", path.display())]
    Unexpected {
        /// Its path.
        path: PathBuf,
        /// The kind of file that it is.
        found: &'static str,
        /// What the store needs there.
        expected: ExpectedEntry,
    },

    /// A write of this batch failed, or an earlier commit that must be completed first could not be completed. No write
    /// of the batch is committed, now or later. Discard or drop it, and start a new one.
    #[error("the batch failed, and none of it was committed")]
    BatchFailed {
        /// The first error.
        source: Arc<Error>,
    },

    /// A commit failed after its commit point: the batch is committed, but not all of its blocks are
    /// published yet. The store completes the commit before the next write of one of its keys, and in
    /// `sync`, `close` and open.
    #[error("the batch is committed, but not all of it is published yet: the store will complete it from its record {}", record.display())]
    CommitIncomplete {
        /// The commit record from which it will be completed.
        record: PathBuf,
        /// The error that stopped it.
        source: Arc<Error>,
    },

    /// A write was not made, because an earlier batch with the same key is committed and could not be
    /// completed first. The next write of such a key tries again.
    #[error("nothing was written: an earlier commit must be completed first, from its record {}", record.display())]
    EarlierCommit {
        /// The commit record of the earlier batch.
        record: PathBuf,
        /// The error that stopped it.
        source: Arc<Error>,
    },

    /// A batch over several datastores was committed to some of them, then one commit failed. In that datastore and in
    /// those after it, no write of the batch has taken effect.
    #[error("the batch is committed to {}, but not to {failed} and the datastores after it", committed.iter().join(", "))]
    PartlyCommitted {
        /// The prefixes of the datastores to which it is committed.
        committed: Vec<Key>,
        /// The prefix of the datastore whose commit failed.
        failed: Key,
        /// The error of that commit.
        source: Arc<Error>,
    },

    /// A commit record that another version of this crate wrote. It is left as it is.
    #[error("{} is a commit record of unknown version {version}: open the store once with the version of this crate that wrote it", path.display())]
    UnknownCommitRecord {
        /// The record.
        path: PathBuf,
        /// The version that it names.
        version: u32,
    },

    /// A change of the store's shard function was interrupted, or is in progress. Until it is completed,
    /// a block can be in the directory of either function.
    #[error("the store at {} is being re-sharded from {from} to {to}: if no process is doing so now, complete it with `flatfs reshard {} {to}`", path.display(), path.display())]
    Resharding {
        /// The store.
        path: PathBuf,
        /// The old shard function.
        from: String,
        /// The new shard function.
        to: String,
    },

    /// Another version of this crate was re-sharding the store. It is left as it is.
    #[error("the store at {} has a re-sharding marker of unknown version {version}: complete the re-sharding with the version of this crate that began it", path.display())]
    UnknownReshardMarker {
        /// The store.
        path: PathBuf,
        /// The version in its `SHARDING`.
        version: u32,
    },

    /// Two stores that are the same directory, or one of which is inside the other.
    #[error("{} and {} are the same directory, or one is inside the other", path.display(), other.display())]
    Overlap {
        /// The first store.
        path: PathBuf,
        /// The second store.
        other: PathBuf,
    },

    /// An earlier flush to the disk failed, so it is unknown which of the writes before it are durable:
    /// the kernel reports such a failure once and then forgets it. The store refuses writes until it is
    /// opened again. Check it before you rely on it.
    #[error("an earlier flush of the store at {} failed: it refuses writes until it is opened again", path.display())]
    FlushFailed {
        /// The store.
        path: PathBuf,
        /// The error of the flush.
        source: Arc<Error>,
    },

    /// A block whose bytes do not have the hash in its key.
    #[error("the block {key} is corrupt: {reason}")]
    Corrupt {
        /// The block's key, or its CID.
        key: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A block of a DAG that the datastore does not have.
    #[error("the block {cid} is missing from the datastore{}", link_from(parent.as_deref()))]
    MissingBlock {
        /// The CID of the block.
        cid: String,
        /// The CID of a block that links to it. A root has none.
        parent: Option<String>,
    },

    /// A block that is not valid in the codec that its CID names, so its links can't be found.
    #[error("the block {cid} is not valid {codec}: {reason}")]
    InvalidBlock {
        /// The CID of the block.
        cid: String,
        /// The name of the codec.
        codec: &'static str,
        /// What is wrong with the block.
        reason: String,
    },

    /// A block of a codec whose links this crate can't find.
    #[error("cannot find the links of the block {cid}: its codec 0x{codec:x} is not known")]
    UnknownCodec {
        /// The CID of the block.
        cid: String,
        /// The multicodec code of the codec.
        codec: u64,
    },

    /// A directory that cannot be converted to the other version of the format. Nothing was changed.
    #[error("{} prevents the conversion: {reason}", path.display())]
    NotConvertible {
        /// The file or directory that prevents it.
        path: PathBuf,
        /// Why it does, and what to do about it.
        reason: String,
    },

    /// A maintenance function was stopped by its callback. Run it again to complete its work.
    #[error("stopped before the end: run it again to complete the work")]
    Stopped,

    /// There is no tokio runtime, or it is shutting down and runs no more blocking work, or a job that
    /// included this operation has panicked.
    #[error("there is no tokio runtime to run the work, it is shutting down, or the job panicked")]
    Runtime,

    /// A request to an object store failed, after the retries that its client makes.
    #[error("cannot {action} {location}{}", failure.hint())]
    ObjectStore {
        /// The operation, as a verb: "read", "list".
        action: &'static str,
        /// The URL, or the name of the store and the path in it.
        location: String,
        /// What kind of failure it was.
        failure: ObjectFailure,
        /// The response of the server, or the error of the connection. It contains no credentials.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A URL that cannot be opened as an object store.
    #[error("cannot open {url} as an object store: {reason}")]
    InvalidUrl {
        /// The URL, without a password.
        url: String,
        /// What is wrong with it or with its options.
        reason: String,
    },

    /// A commit to an object store failed. Object stores have no transactions, so a part of the batch may have taken
    /// effect. Committing the same writes again is safe.
    #[error(
        "the commit stored {stored} of {puts} blocks and made {deleted} of {deletes} deletes: commit the same writes again"
    )]
    PartlyStored {
        /// How many blocks of the batch are stored.
        stored: usize,
        /// How many blocks the batch puts.
        puts: usize,
        /// How many deletes were made.
        deleted: usize,
        /// How many deletes the batch makes.
        deletes: usize,
        /// The first error.
        source: Arc<Error>,
    },

    /// An error of another implementation of the trait [`Datastore`](crate::Datastore).
    #[error("{message}")]
    Backend {
        /// What failed.
        message: String,
        /// The error of the implementation.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// Names the process that has a lock, if it is known.
fn in_process(owner: Option<u32>) -> String {
    match owner {
        Some(id) if id == process::id() => " in this process".to_owned(),
        Some(id) => format!(" (process {id})"),
        None => String::new(),
    }
}

fn link_from(parent: Option<&str>) -> String {
    let text = |parent| format!(", and {parent} links to it");
    parent.map(text).unwrap_or_default()
}
