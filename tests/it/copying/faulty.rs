//! [`Faulty`]: a datastore in memory that fails where a test tells it to, and returns to the runtime in each call.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::{
    Batch, Datastore, DiskUsage, Entry, EntryStream, Error, Key, MemoryDatastore, Query, Result,
};
use futures::StreamExt;
use futures::stream;

/// A datastore in memory. A clone is another handle to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Faulty {
    pub(super) inner: MemoryDatastore,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Keys that are listed, and whose values can't be read.
    pub(super) unreadable: Vec<Key>,
    /// Keys that are listed, and have no value.
    pub(super) vanished: Vec<Key>,
    /// Whether the listing begins with an error.
    pub(super) listing: bool,
    /// Whether lookups fail.
    pub(super) lookups: bool,
    /// Whether batches fail to commit.
    pub(super) commits: bool,
}

impl Faulty {
    pub(super) fn over(inner: MemoryDatastore) -> Self {
        Faulty {
            inner,
            faults: Arc::default(),
        }
    }

    pub(super) fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    /// Returns the faults, after the runtime had its turn.
    async fn faults(&self) -> Faults {
        tokio::task::yield_now().await;
        self.faults.lock().unwrap().clone()
    }
}

pub(super) fn fault() -> Error {
    Error::Backend {
        message: "a fault of the test".to_owned(),
        source: None,
    }
}

fn fail_if(failing: bool) -> Result<()> {
    if failing { Err(fault()) } else { Ok(()) }
}

#[async_trait]
impl Datastore for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let faults = self.faults().await;
        fail_if(faults.unreadable.contains(key))?;
        match faults.vanished.contains(key) {
            true => Ok(None),
            false => self.inner.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        fail_if(self.faults().await.lookups)?;
        self.inner.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.inner.get_size(key).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let listing = self.faults().await.listing;
        let error = listing.then(fault).map(Err::<Entry, _>);
        Ok(stream::iter(error)
            .chain(self.inner.query(query).await?)
            .boxed())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.inner.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn sync(&self) -> Result<()> {
        self.inner.sync().await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        fail_if(self.faults().await.commits)?;
        self.inner.batch().await
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.inner.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
