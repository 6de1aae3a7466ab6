//! [`ObjectDatastore`]: the methods of [`Datastore`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::StreamExt;

use super::batch::ObjectBatch;
use super::query;
use super::shared::Shared;
use crate::datastore::{Batch, Datastore, DiskUsage, KeyStream, ResultStream};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::format::Shard;
use crate::key::Key;
use crate::observe::{Operation, target};
use crate::query::{EntryStream, Query};

/// A datastore whose blocks are objects in an object store.
///
/// Clones are cheap and share the connection. Closing one handle closes all of them.
#[derive(Clone)]
pub struct ObjectDatastore {
    shared: Arc<Shared>,
}

impl ObjectDatastore {
    pub(super) fn new(shared: Shared) -> Self {
        ObjectDatastore {
            shared: Arc::new(shared),
        }
    }

    /// Returns the shard function, or `None` for the layout of go-ds-s3.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.shared.layout.shard()
    }

    /// Returns the URL of the datastore, or the name of the store and the prefix.
    #[must_use]
    pub fn location(&self) -> String {
        self.shared.location()
    }

    /// Returns whether the objects are files of this machine, as with the URL `file:///path`. Otherwise a call may send
    /// requests over a network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.shared.bucket.has_files()
    }

    /// Begins a batch. It makes no request.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Closed`] if the datastore is closed.
    pub async fn batch(&self) -> Result<ObjectBatch> {
        self.shared.check_open()?;
        Ok(ObjectBatch::new(Arc::clone(&self.shared)))
    }
}

impl fmt::Debug for ObjectDatastore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectDatastore")
            .field("location", &self.location())
            .field("shard", &self.shard())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Datastore for ObjectDatastore {
    // Reads take no token: a close would wait for it, and a stream that is no longer polled may hold a read that never
    // ends.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.shared.check_open()?;
        self.shared.get(key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.shared.check_open()?;
        Ok(self.shared.size(key, "has").await?.is_some())
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.shared.check_open()?;
        self.shared.size(key, "get_size").await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.shared.check_open()?;
        tracing::debug!(target: target::QUERY, %query, "query");
        Ok(query::run(&self.shared, query))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let _token = self.shared.begin()?;
        let operation = Operation::begin("put");
        let bytes = value.len();
        let result = self.shared.put(key, value).await;
        operation.end_write(key, bytes, result)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let _token = self.shared.begin()?;
        let operation = Operation::begin("delete");
        let result = self.shared.delete(key).await;
        operation.end_write(key, 0, result)
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        let get = move |key| async move {
            let value = self.get(&key).await;
            (key, value)
        };
        keys.map(get).buffered(self.shared.concurrency).boxed()
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        let has = move |key| async move {
            let has = self.has(&key).await;
            (key, has)
        };
        keys.map(has).buffered(self.shared.concurrency).boxed()
    }

    /// Returns at once: object stores acknowledge a write only when it is durable.
    async fn sync(&self) -> Result<()> {
        Operation::begin("sync").end(self.shared.check_open())
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        Ok(Box::new(ObjectDatastore::batch(self).await?))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        let _token = self.shared.begin()?;
        self.shared.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        let operation = Operation::begin("close");
        if !self.shared.close().await {
            return Ok(());
        }
        tracing::debug!(target: target::STORE, location = self.location(), "closed");
        operation.end(Ok(()))
    }
}
