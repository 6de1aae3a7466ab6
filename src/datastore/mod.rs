//! The contract: [`Datastore`] and [`Batch`].

mod pointers;
mod static_stream;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

pub use self::static_stream::static_stream;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{EntryStream, Query};

/// Keys, as they come, for a call about many of them.
pub type KeyStream<'a> = BoxStream<'a, Key>;

/// Keys with the values to put, as they come; an error says that what makes them has failed.
pub type PutStream<'a> = BoxStream<'a, Result<(Key, Bytes)>>;

/// What was found out about each of many keys, in the order of the keys.
///
/// An error is about its key alone, and doesn't end the stream. Dropping the stream ends the reads.
pub type ResultStream<'a, T> = BoxStream<'a, (Key, Result<T>)>;

/// How many of many keys are looked up at a time, unless a datastore knows better.
const AT_ONCE: usize = 16;

/// A store of values under keys: go-datastore's verbs, awaited.
///
/// The methods for many keys are made of the others; a datastore that can do better has its own.
///
/// The trait is object safe: nodes pass an `Arc<dyn Datastore>` around, which is a [`Datastore`] itself.
/// Every method may be called from any number of tasks at once.
///
/// An implementation's futures can be dropped at any point: the call then took effect as a whole or
/// not at all, and the datastore stays usable. One that is neither dropped nor polled any more may hold
/// what other calls wait for.
#[async_trait]
pub trait Datastore: fmt::Debug + Send + Sync {
    /// The value of `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the value can't be read, or the datastore is closed.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Whether `key` has a value.
    ///
    /// # Errors
    ///
    /// If that can't be found out, or the datastore is closed.
    async fn has(&self, key: &Key) -> Result<bool>;

    /// The size of the value of `key` in bytes, or `None` if there is no value.
    ///
    /// # Errors
    ///
    /// If that can't be found out, or the datastore is closed.
    async fn get_size(&self, key: &Key) -> Result<Option<u64>>;

    /// The entries that `query` asks for, found while the stream is read.
    ///
    /// An entry that is written or deleted after the query began may be in the answer or not.
    ///
    /// # Errors
    ///
    /// If the datastore is closed or the query can't begin; later errors are items of the stream.
    async fn query(&self, query: Query) -> Result<EntryStream>;

    /// Stores `value` under `key`, in place of an earlier value.
    ///
    /// # Errors
    ///
    /// If the key is one that this datastore can't hold, the value can't be written, or the datastore
    /// is closed or read-only. The earlier value, if there was one, is still there then.
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Removes the value of `key`. It is no error if there is none.
    ///
    /// # Errors
    ///
    /// If the value can't be removed, or the datastore is closed or read-only.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// The values of many keys, each with its key, in the order of the keys, which are taken as the
    /// answers are read: some at a time, so `keys` may be of any length. A key that comes twice is
    /// answered twice.
    ///
    /// An answer may be as old as the moment in which its key was taken. Once the datastore is closed
    /// each answer is [`Error::Closed`].
    ///
    /// The stream borrows the datastore; [`static_stream`] makes one that keeps a handle to it instead.
    ///
    /// ```
    /// # use ds_flatfs::{Datastore, Key, MemoryDatastore};
    /// use futures::stream::{self, StreamExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
    /// # let datastore = MemoryDatastore::new();
    /// let puts = [("/a", "one"), ("/b", "two")].map(|(key, value)| Ok((key.into(), value.into())));
    /// datastore.put_many(stream::iter(puts).boxed()).await?;
    ///
    /// let wanted = ["/a", "/none", "/b"].map(Key::new);
    /// let mut answers = datastore.get_many(stream::iter(wanted).boxed());
    /// while let Some((key, value)) = answers.next().await {
    ///     println!("{key}: {:?}", value?);
    /// }
    /// # Ok(()) }
    /// ```
    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        keys.map(move |key| async move {
            let value = self.get(&key).await;
            (key, value)
        })
        .buffered(AT_ONCE)
        .boxed()
    }

    /// Whether each of many keys has a value; as [`get_many`](Datastore::get_many).
    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        keys.map(move |key| async move {
            let has = self.has(&key).await;
            (key, has)
        })
        .buffered(AT_ONCE)
        .boxed()
    }

    /// Stores many values as one [batch](Datastore::batch): all of them, or after an error none. Of a key
    /// that comes twice the first value counts. Before the last one was taken nobody sees any.
    ///
    /// # Errors
    ///
    /// The first error that `puts` brings, which ends it, and those of a batch: nothing is stored then,
    /// unless a [commit](Batch::commit) says otherwise.
    ///
    /// # Cancel safety
    ///
    /// All is stored or nothing, as far as commits of this datastore are so.
    async fn put_many(&self, mut puts: PutStream<'_>) -> Result<()> {
        let batch = self.batch().await?;
        while let Some((key, value)) = puts.try_next().await? {
            batch.put(&key, value).await?;
        }
        batch.commit().await
    }

    /// Removes the values of many keys as one [batch](Datastore::batch): all of them, or after an error
    /// none. It is no error if some have none.
    ///
    /// # Errors
    ///
    /// Those of a batch: nothing is removed then, unless a [commit](Batch::commit) says otherwise.
    ///
    /// # Cancel safety
    ///
    /// All is removed or nothing, as far as commits of this datastore are so.
    async fn delete_many(&self, mut keys: KeyStream<'_>) -> Result<()> {
        let batch = self.batch().await?;
        while let Some(key) = keys.next().await {
            batch.delete(&key).await?;
        }
        batch.commit().await
    }

    /// A barrier: every write that was acknowledged before this call survives a crash of the machine
    /// after it returned.
    ///
    /// # Errors
    ///
    /// If anything of it could not be made durable.
    async fn sync(&self) -> Result<()>;

    /// Begins a batch: writes that take effect together, at its commit.
    ///
    /// # Errors
    ///
    /// If it can't begin, or the datastore is closed or read-only.
    async fn batch(&self) -> Result<Box<dyn Batch>>;

    /// The space that the datastore takes, and how far the figure can be trusted.
    ///
    /// # Errors
    ///
    /// If the datastore is closed, or can't tell.
    async fn disk_usage(&self) -> Result<DiskUsage>;

    /// Waits for running work and closes the datastore. Every later call on it or on a clone of it
    /// says [`Error::Closed`], but closing again is no error.
    ///
    /// # Errors
    ///
    /// If what is to be written at the end can't be. The datastore is closed all the same.
    async fn close(&self) -> Result<()>;
}

/// Writes that are collected and take effect together.
///
/// Reads through the batch see its own puts and deletes over the datastore's values; reads of the
/// datastore don't see them until the commit. The last operation on a key takes effect, with the
/// value first put: values are expected to be named by their content, so a second put of a key
/// doesn't write again.
///
/// After the datastore was closed every call but [`discard`](Batch::discard) says [`Error::Closed`].
///
/// Dropping a batch discards it. A commit takes the batch, so there is no using it afterwards:
///
/// ```compile_fail
/// # async fn twice(batch: Box<dyn ds_flatfs::Batch>) -> ds_flatfs::Result<()> {
/// batch.commit().await?;
/// batch.commit().await // the batch is gone
/// # }
/// ```
#[async_trait]
pub trait Batch: fmt::Debug + Send + Sync {
    /// The value of `key` as it would be after a commit now.
    ///
    /// # Errors
    ///
    /// If the value can't be read, or the batch has failed.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Whether `key` would have a value after a commit now.
    ///
    /// # Errors
    ///
    /// If that can't be found out, or the batch has failed.
    async fn has(&self, key: &Key) -> Result<bool>;

    /// The size in bytes of the value that `key` would have after a commit now.
    ///
    /// # Errors
    ///
    /// If that can't be found out, or the batch has failed.
    async fn get_size(&self, key: &Key) -> Result<Option<u64>>;

    /// The entries as they would be after a commit now, each key once. The batch's own writes are
    /// those made before the call.
    ///
    /// # Errors
    ///
    /// If the query can't begin, or the batch has failed.
    async fn query(&self, query: Query) -> Result<EntryStream>;

    /// Adds a put. It may return before the value is written.
    ///
    /// # Errors
    ///
    /// If the key is one that the datastore can't hold, or this or an earlier write failed.
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Adds a delete.
    ///
    /// # Errors
    ///
    /// If an earlier write failed.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Makes everything in the batch take effect.
    ///
    /// # Errors
    ///
    /// If a write of the batch failed or the commit does; nothing has changed then, unless the error
    /// says otherwise.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Throws everything in the batch away. Dropping the batch does the same without saying how it
    /// went.
    ///
    /// # Errors
    ///
    /// If what was written for the batch can't be removed.
    async fn discard(self: Box<Self>) -> Result<()>;
}

/// How much space a datastore takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiskUsage {
    /// In bytes: the sizes of files and directories, not the blocks that the file system allots.
    pub bytes: u64,
    /// How far the figure can be trusted.
    pub accuracy: Accuracy,
}

impl DiskUsage {
    /// A figure with its accuracy.
    #[must_use]
    pub fn new(bytes: u64, accuracy: Accuracy) -> Self {
        DiskUsage { bytes, accuracy }
    }
}

/// How far a [`DiskUsage`] can be trusted; the names are those that go-ds-flatfs writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Accuracy {
    /// Counted in full, and kept up to date since.
    #[serde(rename = "initial-exact")]
    Exact,
    /// Estimated from a part, or carried on from a figure that a crash made stale.
    #[serde(rename = "initial-approximate")]
    Approximate,
    /// Estimated when the time for the count was over.
    #[serde(rename = "initial-timed-out")]
    TimedOut,
    /// Nothing is known.
    #[default]
    #[serde(rename = "unknown", alias = "")]
    Unknown,
}

impl Accuracy {
    /// The name that go-ds-flatfs writes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Accuracy::Exact => "initial-exact",
            Accuracy::Approximate => "initial-approximate",
            Accuracy::TimedOut => "initial-timed-out",
            Accuracy::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Accuracy {
    type Err = Error;

    /// The empty name stands for [`Unknown`](Accuracy::Unknown), as in go-ds-flatfs.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "initial-exact" => Ok(Accuracy::Exact),
            "initial-approximate" => Ok(Accuracy::Approximate),
            "initial-timed-out" => Ok(Accuracy::TimedOut),
            "unknown" | "" => Ok(Accuracy::Unknown),
            _ => Err(Error::InvalidOption {
                option: "accuracy",
                reason: "it is none of initial-exact, initial-approximate, initial-timed-out, unknown",
            }),
        }
    }
}
