//! [`FlatFs`] as a [`Datastore`]. This module is above the store, which knows nothing of batches.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{Stream, StreamExt};

use crate::datastore::{Batch, BlockingReader, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};
use crate::store::FlatFs;

impl FlatFs {
    /// Stores many blocks as one [batch](FlatFs::batch): all of them or, after an error, none. An error item of
    /// `puts` says that the source of the blocks has failed.
    ///
    /// # Errors
    ///
    /// Returns the first error item of `puts`, and the errors of [`batch`](FlatFs::batch) and of its puts and its
    /// [commit](crate::FlatBatch::commit).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, either all blocks are stored or none.
    ///
    /// # Durability
    ///
    /// As for a [commit](crate::FlatBatch::commit).
    pub async fn put_many(
        &self,
        puts: impl Stream<Item = Result<(Key, Bytes)>> + Send,
    ) -> Result<()> {
        Datastore::put_many(self, puts.boxed()).await
    }

    /// Deletes many blocks as one [batch](FlatFs::batch): all of them or, after an error, none. An absent block is
    /// not an error.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`batch`](FlatFs::batch) and of its deletes and its
    /// [commit](crate::FlatBatch::commit).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, either all blocks are deleted or none.
    ///
    /// # Durability
    ///
    /// As for a [commit](crate::FlatBatch::commit).
    pub async fn delete_many(&self, keys: impl Stream<Item = Key> + Send) -> Result<()> {
        Datastore::delete_many(self, keys.boxed()).await
    }
}

/// These methods do the same as the inherent methods of [`FlatFs`].
#[async_trait]
impl Datastore for FlatFs {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        FlatFs::get(self, key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        FlatFs::has(self, key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        FlatFs::get_size(self, key).await
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        FlatFs::get_many(self, keys)
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        FlatFs::has_many(self, keys)
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        FlatFs::query(self, query).await
    }

    async fn blocking_reader(&self) -> Result<Option<Box<dyn BlockingReader>>> {
        FlatFs::blocking_reader(self).await.map(Some)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        FlatFs::put(self, key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        FlatFs::delete(self, key).await
    }

    async fn sync(&self) -> Result<()> {
        FlatFs::sync(self).await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        Ok(Box::new(FlatFs::batch(self).await?))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        FlatFs::disk_usage(self).await
    }

    async fn close(&self) -> Result<()> {
        FlatFs::close(self).await
    }
}
