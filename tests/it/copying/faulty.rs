//! [`Faulty`]: a datastore in memory that fails where a test tells it to, and returns to the runtime in each call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::{
    Batch, Datastore, DiskUsage, Entry, EntryStream, Error, Key, MemoryDatastore, Query, Result,
};
use futures::stream;
use futures::{StreamExt, TryStreamExt};

/// A datastore in memory. A clone is another handle to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Faulty {
    pub(super) inner: MemoryDatastore,
    faults: Arc<Mutex<Faults>>,
    /// How many reads are running.
    reads: Arc<AtomicUsize>,
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
    /// Whether the listing ends with an error.
    pub(super) listing_end: bool,
    /// Whether the listing has no sizes.
    pub(super) sizeless: bool,
    /// A datastore whose reads must end before a put does.
    pub(super) puts_wait_for: Option<Faulty>,
}

impl Faulty {
    pub(super) fn over(inner: MemoryDatastore) -> Self {
        Faulty {
            inner,
            faults: Arc::default(),
            reads: Arc::default(),
        }
    }

    pub(super) fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    /// Yields to the runtime once, and returns the faults.
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
        self.reads.fetch_add(1, Ordering::SeqCst);
        let faults = self.faults().await;
        self.reads.fetch_sub(1, Ordering::SeqCst);
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
        let faults = self.faults().await;
        let error = |fails: bool| stream::iter(fails.then(|| Err::<Entry, _>(fault())));
        let entries = self.inner.query(query).await?;
        let entries = entries.map_ok(move |entry| match faults.sizeless {
            true => Entry::from_key(entry.key),
            false => entry,
        });
        let (begin, end) = (error(faults.listing), error(faults.listing_end));
        Ok(begin.chain(entries).chain(end).boxed())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if let Some(source) = self.faults().await.puts_wait_for {
            let mut polls = 0;
            while source.reads.load(Ordering::SeqCst) > 0 {
                polls += 1;
                fail_if(polls > 10_000)?;
                tokio::task::yield_now().await;
            }
        }
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
