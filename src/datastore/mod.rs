//! The traits [`Datastore`] and [`Batch`], and what their methods take and return.

mod blocking;
mod bulk;
mod failures;
mod pointers;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

pub use self::blocking::BlockingReader;
pub use self::bulk::{KeyStream, PutStream, ResultStream, ResultStreamExt, static_stream};
pub(crate) use self::failures::FailuresInARow;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{EntryStream, Query};

/// How many keys the default bulk reads look up at the same time.
const CONCURRENT_READS: usize = 16;

/// A store of values under keys, with go-datastore's methods as async functions.
///
/// The bulk methods have default implementations that use the other methods. A datastore that has a faster way
/// overrides them.
///
/// The trait is object safe: nodes pass an `Arc<dyn Datastore>` around, which is itself a [`Datastore`]. Every
/// method may be called from any number of tasks at the same time.
///
/// # Cancel safety
///
/// The future of every method can be dropped at any point: the call then takes effect as a whole or not at all,
/// and the datastore stays usable. Do not keep a future without polling it, because it can hold a lock or a permit
/// that other calls wait for.
#[async_trait]
pub trait Datastore: fmt::Debug + Send + Sync {
    /// Returns the value of `key`, or `None` if the key has no value.
    ///
    /// # Errors
    ///
    /// Fails if the value cannot be read, or the datastore is closed.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Returns whether `key` has a value.
    ///
    /// # Errors
    ///
    /// Fails if the lookup fails, or the datastore is closed.
    async fn has(&self, key: &Key) -> Result<bool>;

    /// Returns the size of the value of `key` in bytes, or `None` if the key has no value.
    ///
    /// # Errors
    ///
    /// Fails if the lookup fails, or the datastore is closed.
    async fn get_size(&self, key: &Key) -> Result<Option<u64>>;

    /// Returns the entries that match `query`. They are found while the stream is read.
    ///
    /// An entry that is written or deleted after the query began may or may not be in the results.
    ///
    /// # Errors
    ///
    /// Fails if the query cannot begin, or the datastore is closed. Later errors are items of the stream.
    async fn query(&self, query: Query) -> Result<EntryStream>;

    /// Stores `value` under `key`, replacing an earlier value.
    ///
    /// # Errors
    ///
    /// Fails if this datastore cannot store the key, the value cannot be written, or the datastore is closed or
    /// read-only. An earlier value is then unchanged.
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Deletes the value of `key`. A key without a value is not an error.
    ///
    /// # Errors
    ///
    /// Fails if the value cannot be deleted, or the datastore is closed or read-only.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Returns the value of each key, in the order of the keys.
    ///
    /// The keys are taken from the stream while the results are read, a limited number of them ahead, so `keys` may
    /// be of any length. A key that occurs twice has two results. A result can be as old as the moment at which its
    /// key was taken. After the datastore is closed, each result is [`Error::Closed`].
    ///
    /// The stream borrows the datastore. A spawned task that owns a handle can read it, as below. A function that
    /// returns it needs [`static_stream()`]. [`transpose`](ResultStreamExt::transpose) makes the first error end
    /// a `try_collect`.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use ds_flatfs::{Datastore, Key, MemoryDatastore, ResultStreamExt};
    /// use futures::stream::{self, StreamExt, TryStreamExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
    /// let datastore: Arc<dyn Datastore> = Arc::new(MemoryDatastore::new());
    /// let puts = [("/a", "one"), ("/b", "two")].map(|(key, value)| Ok((key.into(), value.into())));
    /// datastore.put_many(stream::iter(puts).boxed()).await?;
    ///
    /// let wanted = ["/a", "/none", "/b"].map(Key::new);
    /// let task = tokio::spawn(async move {
    ///     let values = datastore.get_many(stream::iter(wanted).boxed());
    ///     values.transpose().try_collect::<Vec<_>>().await
    /// });
    /// let values = task.await.expect("no panic")?;
    /// assert_eq!(values[0], ("/a".into(), Some("one".into())));
    /// assert_eq!(values[1], ("/none".into(), None));
    /// # Ok(()) }
    /// ```
    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        keys.map(move |key| async move {
            let value = self.get(&key).await;
            (key, value)
        })
        .buffered(CONCURRENT_READS)
        .boxed()
    }

    /// Returns whether each key has a value, in the order of the keys. Otherwise it is like
    /// [`get_many`](Datastore::get_many).
    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        keys.map(move |key| async move {
            let has = self.has(&key).await;
            (key, has)
        })
        .buffered(CONCURRENT_READS)
        .boxed()
    }

    /// Returns reads that block the thread, for one job on the blocking pool that reads many values. `None`, which is
    /// the default, if the datastore has no such reads: then the other methods are used.
    ///
    /// # Errors
    ///
    /// Fails if the datastore is closed.
    async fn blocking_reader(&self) -> Result<Option<Box<dyn BlockingReader>>> {
        Ok(None)
    }

    /// Stores many values as one [batch](Datastore::batch): after an error none of them is stored. Readers see none
    /// of the values before all of them have been taken from the stream. If a key occurs twice, the batch decides
    /// which value takes effect.
    ///
    /// # Errors
    ///
    /// Fails with the first error item of `puts`, or with an error of the batch. In both cases nothing is stored,
    /// unless the error of the [commit](Batch::commit) says otherwise.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, either all values are stored or none, provided that commits of this datastore are
    /// all or nothing.
    async fn put_many(&self, mut puts: PutStream<'_>) -> Result<()> {
        let batch = self.batch().await?;
        while let Some((key, value)) = puts.try_next().await? {
            batch.put(&key, value).await?;
        }
        batch.commit().await
    }

    /// Deletes the values of many keys as one [batch](Datastore::batch): after an error none of them is deleted.
    /// Keys without a value are not an error.
    ///
    /// # Errors
    ///
    /// Fails with an error of the batch. In that case nothing is deleted, unless the error of the
    /// [commit](Batch::commit) says otherwise.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, either all values are deleted or none, provided that commits of this datastore are
    /// all or nothing.
    async fn delete_many(&self, mut keys: KeyStream<'_>) -> Result<()> {
        let batch = self.batch().await?;
        while let Some(key) = keys.next().await {
            batch.delete(&key).await?;
        }
        batch.commit().await
    }

    /// Makes all acknowledged writes durable: every write that was acknowledged before this call survives a crash
    /// of the machine after the call has returned.
    ///
    /// # Errors
    ///
    /// Fails if any of these writes cannot be made durable.
    async fn sync(&self) -> Result<()>;

    /// Begins a batch: a set of writes that take effect together when the batch is committed.
    ///
    /// # Errors
    ///
    /// Fails if the batch cannot begin, or the datastore is closed or read-only.
    async fn batch(&self) -> Result<Box<dyn Batch>>;

    /// Returns the space that the datastore takes, and how accurate the figure is.
    ///
    /// # Errors
    ///
    /// Fails if the figure is not available, or the datastore is closed.
    async fn disk_usage(&self) -> Result<DiskUsage>;

    /// Waits for running calls and closes the datastore. Every later call on it or on a clone of it returns
    /// [`Error::Closed`], except that closing it again is not an error.
    ///
    /// # Errors
    ///
    /// Fails if the datastore cannot write its final state. It is closed anyway.
    async fn close(&self) -> Result<()>;
}

/// A set of writes that take effect together.
///
/// Reads of the batch see its own puts and deletes over the values of the datastore. Reads of the datastore see
/// them after the commit. The last operation on a key takes effect.
///
/// If a batch puts the same key twice, **the last value takes effect**, as in go-datastore. A store of
/// content-addressed blocks may keep **the first value** instead, because there all values of a key are expected to be
/// equal: [`FlatFs`](crate::FlatFs) does not write a block a second time. A wrapper behaves like the datastore that it
/// wraps.
///
/// After the datastore is closed, every method except [`discard`](Batch::discard) returns [`Error::Closed`].
///
/// Dropping a batch discards it. A commit consumes the batch, so the batch cannot be used afterwards:
///
/// ```compile_fail
/// # async fn twice(batch: Box<dyn ds_flatfs::Batch>) -> ds_flatfs::Result<()> {
/// batch.commit().await?;
/// batch.commit().await // error: the batch was moved
/// # }
/// ```
#[async_trait]
pub trait Batch: fmt::Debug + Send + Sync {
    /// Returns the value that `key` would have if the batch were committed now.
    ///
    /// # Errors
    ///
    /// Fails if the value cannot be read, or an earlier write of the batch failed.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Returns whether `key` would have a value if the batch were committed now.
    ///
    /// # Errors
    ///
    /// Fails if the lookup fails, or an earlier write of the batch failed.
    async fn has(&self, key: &Key) -> Result<bool>;

    /// Returns the size in bytes of the value that `key` would have if the batch were committed now.
    ///
    /// # Errors
    ///
    /// Fails if the lookup fails, or an earlier write of the batch failed.
    async fn get_size(&self, key: &Key) -> Result<Option<u64>>;

    /// Returns the entries that would match `query` if the batch were committed now, each key once. The query sees
    /// the batch's own writes that were made before the call.
    ///
    /// # Errors
    ///
    /// Fails if the query cannot begin, or an earlier write of the batch failed.
    async fn query(&self, query: Query) -> Result<EntryStream>;

    /// Adds a put to the batch. The call may return before the value is written.
    ///
    /// # Errors
    ///
    /// Fails if the datastore cannot store the key, or this or an earlier write of the batch failed.
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Adds a delete to the batch.
    ///
    /// # Errors
    ///
    /// Fails if an earlier write of the batch failed.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Makes all writes of the batch take effect.
    ///
    /// # Errors
    ///
    /// Fails if a write of the batch failed or the commit fails. In both cases nothing has changed, unless the error
    /// says otherwise.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Discards all writes of the batch. Dropping the batch does the same without reporting an error.
    ///
    /// # Errors
    ///
    /// Fails if what was written for the batch cannot be removed.
    async fn discard(self: Box<Self>) -> Result<()>;
}

/// The space that a datastore takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiskUsage {
    /// The size in bytes: the sum of the sizes of files and directories, not the space that the file system
    /// allocates for them.
    pub bytes: u64,
    /// How accurate the figure is.
    pub accuracy: Accuracy,
}

impl DiskUsage {
    /// Creates a figure with its accuracy.
    #[must_use]
    pub fn new(bytes: u64, accuracy: Accuracy) -> Self {
        DiskUsage { bytes, accuracy }
    }
}

/// How accurate a [`DiskUsage`] is. The names are the ones that go-ds-flatfs writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Accuracy {
    /// Everything was counted, and the figure was updated with every write since.
    #[serde(rename = "initial-exact")]
    Exact,
    /// The figure was estimated from a part of the store, or it continues a figure that a crash made stale.
    #[serde(rename = "initial-approximate")]
    Approximate,
    /// The figure was estimated, because the time limit of the count had passed.
    #[serde(rename = "initial-timed-out")]
    TimedOut,
    /// The accuracy is not known.
    #[default]
    #[serde(rename = "unknown", alias = "")]
    Unknown,
}

impl Accuracy {
    /// Returns the name that go-ds-flatfs writes.
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

    /// Parses the name that go-ds-flatfs writes. The empty name means [`Unknown`](Accuracy::Unknown).
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "initial-exact" => Ok(Accuracy::Exact),
            "initial-approximate" => Ok(Accuracy::Approximate),
            "initial-timed-out" => Ok(Accuracy::TimedOut),
            "unknown" | "" => Ok(Accuracy::Unknown),
            _ => Err(Error::InvalidOption {
                option: "accuracy",
                reason: "it must be initial-exact, initial-approximate, initial-timed-out or unknown",
            }),
        }
    }
}
