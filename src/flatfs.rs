//! [`FlatFs`] as a [`Datastore`]. This is above the store, which does not know batches.

use async_trait::async_trait;
use bytes::Bytes;

use crate::datastore::{Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};
use crate::store::FlatFs;

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
