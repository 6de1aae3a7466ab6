//! [`Verifying`]: values checked against the hash in their key.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::StreamExt;

use crate::datastore::{Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::{Error, Result};
use crate::hash::{self, HashError};
use crate::key::Key;
use crate::query::{Entry, EntryStream, Query};

/// A datastore whose values are checked against the hash in their key, when they are written and when
/// they are read. A value that hasn't it is an [`Error::Corrupt`]: it is not written, or not answered.
///
/// Keys are as [`Key::from_cid`] makes them, so it belongs right above the blocks, where keys have no
/// prefix.
///
/// Checked are the values that are put, got, and answered by queries, also through batches; an entry
/// that is corrupt is an error in the stream of a query, and has counted for its offset and limit.
/// [`has`](Datastore::has) and [`get_size`](Datastore::get_size) don't read values and check nothing, nor
/// do queries for keys and sizes.
///
/// A value that can't be checked is refused with an [`Error::InvalidKey`] unless
/// [`allow_other_keys`](Verifying::allow_other_keys) says otherwise: its key is no multihash and no CID,
/// or has a hash function that [`hash::check`] doesn't know, or a digest of less than 20 bytes.
///
/// Large values are hashed on the blocking pool.
///
/// ```
/// use std::sync::Arc;
/// use ds_flatfs::wrappers::Verifying;
/// use ds_flatfs::{Datastore, Error, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let blocks = Verifying::new(Arc::new(MemoryDatastore::new()));
/// let hello = Key::new("/CIQCZ4SNXJP3BIYOE3UDWKWFXHRJ4GYWDZOB7J2CLZZQIM3CSOFZQJA");
/// blocks.put(&hello, "hello".into()).await?;
/// let refused = blocks.put(&hello, "jello".into()).await;
/// assert!(matches!(refused, Err(Error::Corrupt { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Verifying {
    below: Arc<dyn Datastore>,
    checks: Checks,
}

impl Verifying {
    /// Checks what is written to `datastore` and what is read from it.
    #[must_use]
    pub fn new(datastore: Arc<dyn Datastore>) -> Self {
        Verifying {
            below: datastore,
            checks: Checks {
                reads: true,
                writes: true,
                other_keys: false,
            },
        }
    }

    /// Whether values are checked when they are read: they are, unless this says otherwise.
    #[must_use]
    pub fn check_reads(mut self, check: bool) -> Self {
        self.checks.reads = check;
        self
    }

    /// Whether values are checked before they are written: they are, unless this says otherwise.
    #[must_use]
    pub fn check_writes(mut self, check: bool) -> Self {
        self.checks.writes = check;
        self
    }

    /// Whether values that can't be checked are let pass: they are refused, unless this says otherwise.
    #[must_use]
    pub fn allow_other_keys(mut self, allow: bool) -> Self {
        self.checks.other_keys = allow;
        self
    }
}

/// How many of many values are checked at a time.
const CHECKS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Checks {
    reads: bool,
    writes: bool,
    other_keys: bool,
}

impl Checks {
    async fn written(self, key: &Key, value: &Bytes) -> Result<()> {
        if self.writes {
            self.check(key, value).await?;
        }
        Ok(())
    }

    async fn read(self, key: &Key, value: Option<Bytes>) -> Result<Option<Bytes>> {
        if let Some(value) = &value
            && self.reads
        {
            self.check(key, value).await?;
        }
        Ok(value)
    }

    /// The entries, with those that have a value checked.
    fn answered(self, entries: EntryStream) -> EntryStream {
        if !self.reads {
            return entries;
        }
        entries
            .then(move |item| async move {
                let Entry { key, value, size } = item?;
                let value = self.read(&key, value).await?;
                Ok(Entry { key, value, size })
            })
            .boxed()
    }

    async fn check(self, key: &Key, value: &Bytes) -> Result<()> {
        let Some(multihash) = key.to_cid().map(|cid| *cid.hash()) else {
            return self.unchecked(key, "it is no multihash and no CID to check the value with");
        };
        match hash::check_without_blocking(multihash, value).await? {
            Ok(()) => Ok(()),
            Err(why @ HashError::Mismatch) => Err(Error::Corrupt {
                key: key.to_string(),
                reason: why.to_string(),
            }),
            Err(HashError::Length(_)) => self.unchecked(
                key,
                "the value can't be checked with a digest of this length",
            ),
            Err(HashError::Unknown(_)) => {
                self.unchecked(key, "the value can't be checked with this hash function")
            }
        }
    }

    fn unchecked(self, key: &Key, reason: &'static str) -> Result<()> {
        if self.other_keys {
            return Ok(());
        }
        Err(Error::InvalidKey {
            key: key.to_string(),
            reason,
        })
    }
}

#[async_trait]
impl Datastore for Verifying {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let value = self.below.get(key).await?;
        self.checks.read(key, value).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.below.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.below.get_size(key).await
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        let checks = self.checks;
        let answers = self.below.get_many(keys);
        answers
            .map(move |(key, answer)| async move {
                let checked = match answer {
                    Ok(value) => checks.read(&key, value).await,
                    failed => failed,
                };
                (key, checked)
            })
            .buffered(CHECKS)
            .boxed()
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        self.below.has_many(keys)
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let entries = self.below.query(query).await?;
        Ok(self.checks.answered(entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.checks.written(key, &value).await?;
        self.below.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.below.delete(key).await
    }

    async fn sync(&self) -> Result<()> {
        self.below.sync().await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        let below = self.below.batch().await?;
        let checks = self.checks;
        Ok(Box::new(VerifyingBatch { below, checks }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.below.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        self.below.close().await
    }
}

/// A batch of a [`Verifying`].
#[derive(Debug)]
struct VerifyingBatch {
    below: Box<dyn Batch>,
    checks: Checks,
}

#[async_trait]
impl Batch for VerifyingBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let value = self.below.get(key).await?;
        self.checks.read(key, value).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.below.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.below.get_size(key).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let entries = self.below.query(query).await?;
        Ok(self.checks.answered(entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.checks.written(key, &value).await?;
        self.below.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.below.delete(key).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.below.commit().await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.below.discard().await
    }
}
