//! [`Verifying`]: a datastore that checks values against the hash in their key. Feature `verify`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::StreamExt;

use crate::datastore::{Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::{Error, Result};
use crate::hash::{self, HashError};
use crate::key::Key;
use crate::query::{Entry, EntryStream, Query};

/// A datastore that checks values against the hash in their key, when they are written and when they are read. A
/// value with another hash is neither written nor returned: the call fails with [`Error::Corrupt`].
///
/// It expects keys in the form that [`Key::from_cid`] returns, so it belongs directly above the store of blocks, where
/// keys have no prefix.
///
/// The wrapper checks the values that are put, got and returned by queries, including those of batches. In the stream
/// of a query a corrupt entry is an error, and counts towards the offset and the limit of the query.
/// [`has`](Datastore::has), [`get_size`](Datastore::get_size) and queries for keys and sizes do not read values and
/// check nothing.
///
/// A value cannot be checked if its key is neither a multihash nor a CID, if [`hash::check`] does not know the hash
/// function, or if the digest has less than 20 bytes. Such a value is rejected with an [`Error::InvalidKey`], unless
/// [`allow_unchecked`](Verifying::allow_unchecked) is set.
///
/// Large values are hashed on the blocking pool.
///
/// ```
/// use ds_flatfs::wrappers::Verifying;
/// use ds_flatfs::{Datastore, Error, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let blocks = Verifying::new(MemoryDatastore::new());
/// let hello = Key::for_block(b"hello");
/// blocks.put(&hello, "hello".into()).await?;
/// let rejected = blocks.put(&hello, "jello".into()).await;
/// assert!(matches!(rejected, Err(Error::Corrupt { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Verifying {
    inner: Arc<dyn Datastore>,
    checks: HashChecks,
}

impl Verifying {
    /// Creates a datastore that checks what is written to `datastore` and what is read from it.
    #[must_use]
    pub fn new(datastore: impl Datastore + 'static) -> Self {
        Verifying {
            inner: Arc::new(datastore),
            checks: HashChecks {
                reads: true,
                writes: true,
                allow_unchecked: false,
            },
        }
    }

    /// Sets whether values are checked when they are read. The default is `true`.
    #[must_use]
    pub fn check_reads(mut self, check: bool) -> Self {
        self.checks.reads = check;
        self
    }

    /// Sets whether values are checked before they are written. The default is `true`.
    #[must_use]
    pub fn check_writes(mut self, check: bool) -> Self {
        self.checks.writes = check;
        self
    }

    /// Sets whether values that cannot be checked are written and returned without a check. The default is `false`:
    /// they are rejected.
    #[must_use]
    pub fn allow_unchecked(mut self, allow: bool) -> Self {
        self.checks.allow_unchecked = allow;
        self
    }
}

/// How many values of a bulk read are hashed at the same time.
const CONCURRENT_CHECKS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct HashChecks {
    reads: bool,
    writes: bool,
    allow_unchecked: bool,
}

impl HashChecks {
    async fn on_write(self, key: &Key, value: &Bytes) -> Result<()> {
        if self.writes {
            self.check(key, value).await?;
        }
        Ok(())
    }

    async fn on_read(self, key: &Key, value: Option<Bytes>) -> Result<Option<Bytes>> {
        if let Some(value) = &value
            && self.reads
        {
            self.check(key, value).await?;
        }
        Ok(value)
    }

    /// Checks the entries that have a value.
    fn on_query(self, entries: EntryStream) -> EntryStream {
        if !self.reads {
            return entries;
        }
        entries
            .then(move |item| async move {
                let Entry { key, value, size } = item?;
                let value = self.on_read(&key, value).await?;
                Ok(Entry { key, value, size })
            })
            .boxed()
    }

    async fn check(self, key: &Key, value: &Bytes) -> Result<()> {
        let Some(multihash) = key.to_cid().map(|cid| *cid.hash()) else {
            return self.unchecked(
                key,
                "the value cannot be checked, because the key is neither a multihash nor a CID",
            );
        };
        match hash::check_without_blocking(multihash, value).await? {
            Ok(()) => Ok(()),
            Err(why @ HashError::Mismatch) => Err(Error::Corrupt {
                key: key.to_string(),
                reason: why.to_string(),
            }),
            Err(HashError::Length(_)) => self.unchecked(
                key,
                "the value cannot be checked against a digest of this length",
            ),
            Err(HashError::Unknown(_)) => self.unchecked(
                key,
                "the value cannot be checked, because the hash function is unknown",
            ),
        }
    }

    fn unchecked(self, key: &Key, reason: &'static str) -> Result<()> {
        if self.allow_unchecked {
            return Ok(());
        }
        Err(Error::InvalidKey {
            key: key.to_string(),
            reason,
        })
    }
}

/// Implements a trait for a type with the fields `inner` and `checks`: the methods that [`Datastore`] and [`Batch`]
/// have in common check their values, and the others are given.
macro_rules! impl_with_checks {
    ($trait:ident for $type:ident { $($others:tt)* }) => {
        #[async_trait]
        impl $trait for $type {
            async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
                let value = self.inner.get(key).await?;
                self.checks.on_read(key, value).await
            }

            async fn has(&self, key: &Key) -> Result<bool> {
                self.inner.has(key).await
            }

            async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
                self.inner.get_size(key).await
            }

            async fn query(&self, query: Query) -> Result<EntryStream> {
                let entries = self.inner.query(query).await?;
                Ok(self.checks.on_query(entries))
            }

            async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
                self.checks.on_write(key, &value).await?;
                self.inner.put(key, value).await
            }

            async fn delete(&self, key: &Key) -> Result<()> {
                self.inner.delete(key).await
            }

            $($others)*
        }
    };
}

impl_with_checks!(Datastore for Verifying {
    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        let checks = self.checks;
        let results = self.inner.get_many(keys);
        results
            .map(move |(key, result)| async move {
                let checked = match result {
                    Ok(value) => checks.on_read(&key, value).await,
                    failed => failed,
                };
                (key, checked)
            })
            .buffered(CONCURRENT_CHECKS)
            .boxed()
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        self.inner.has_many(keys)
    }

    async fn sync(&self) -> Result<()> {
        self.inner.sync().await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        let inner = self.inner.batch().await?;
        let checks = self.checks;
        Ok(Box::new(VerifyingBatch { inner, checks }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.inner.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
});

/// A batch of a [`Verifying`].
#[derive(Debug)]
struct VerifyingBatch {
    inner: Box<dyn Batch>,
    checks: HashChecks,
}

impl_with_checks!(Batch for VerifyingBatch {
    async fn commit(self: Box<Self>) -> Result<()> {
        self.inner.commit().await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.inner.discard().await
    }
});
