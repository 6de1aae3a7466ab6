//! [`Rigged`]: a datastore that fails and waits where a test tells it to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::{
    Accuracy, Batch, Datastore, DiskUsage, EntryStream, Error, Key, KeyStream, MemoryDatastore,
    PutStream, Query, Result, ResultStream,
};
use tokio::sync::Semaphore;

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Commit,
    Sync,
    Close,
}

/// A datastore in memory that counts calls and can be told to fail or wait. A clone is another handle to it.
#[derive(Clone, Debug)]
pub(super) struct Rigged {
    inner: MemoryDatastore,
    rig: Arc<Rig>,
}

#[derive(Debug)]
struct Rig {
    name: &'static str,
    failing: Mutex<Option<Call>>,
    rejected: Mutex<Option<Key>>,
    accuracy: Mutex<Accuracy>,
    /// Has no permit while commits have to wait.
    gate: Semaphore,
    batches: AtomicUsize,
    commits: AtomicUsize,
    /// Reads of one key.
    reads: AtomicUsize,
    /// Bulk reads.
    bulk_reads: AtomicUsize,
    bulk_writes: AtomicUsize,
}

impl Rigged {
    /// Returns a datastore that works; its errors have the name.
    pub(super) fn new(name: &'static str) -> Self {
        Rigged {
            inner: MemoryDatastore::new(),
            rig: Arc::new(Rig {
                name,
                failing: Mutex::default(),
                rejected: Mutex::default(),
                accuracy: Mutex::new(Accuracy::Exact),
                gate: Semaphore::new(1),
                batches: AtomicUsize::default(),
                commits: AtomicUsize::default(),
                reads: AtomicUsize::default(),
                bulk_reads: AtomicUsize::default(),
                bulk_writes: AtomicUsize::default(),
            }),
        }
    }

    pub(super) fn fail(&self, call: impl Into<Option<Call>>) {
        *self.rig.failing.lock().unwrap() = call.into();
    }

    /// Makes batches reject this key.
    pub(super) fn reject(&self, key: &str) {
        *self.rig.rejected.lock().unwrap() = Some(Key::new(key));
    }

    pub(super) fn set_accuracy(&self, accuracy: Accuracy) {
        *self.rig.accuracy.lock().unwrap() = accuracy;
    }

    /// Makes commits wait until [`release_commits`](Rigged::release_commits).
    pub(super) fn block_commits(&self) {
        self.rig.gate.try_acquire().unwrap().forget();
    }

    pub(super) fn release_commits(&self) {
        self.rig.gate.add_permits(1);
    }

    /// Returns how many batches were begun.
    pub(super) fn batches(&self) -> usize {
        self.rig.batches.load(Ordering::Relaxed)
    }

    /// Returns how many batches were committed.
    pub(super) fn commits(&self) -> usize {
        self.rig.commits.load(Ordering::Relaxed)
    }

    /// Returns the number of reads of one key, and the number of bulk reads.
    pub(super) fn reads(&self) -> (usize, usize) {
        let [one, many] = [&self.rig.reads, &self.rig.bulk_reads];
        (one.load(Ordering::Relaxed), many.load(Ordering::Relaxed))
    }

    /// How many calls wrote many keys.
    pub(super) fn bulk_writes(&self) -> usize {
        self.rig.bulk_writes.load(Ordering::Relaxed)
    }

    /// The inner datastore in it.
    pub(super) fn inside(&self) -> &MemoryDatastore {
        &self.inner
    }
}

impl Rig {
    fn check(&self, call: Call) -> Result<()> {
        match *self.failing.lock().unwrap() == Some(call) {
            true => Err(Error::Backend {
                message: format!("{call:?} of {} failed", self.name),
                source: None,
            }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Datastore for Rigged {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.rig.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get(key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.rig.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.has(key).await
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        self.rig.bulk_reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get_many(keys)
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        self.rig.bulk_reads.fetch_add(1, Ordering::Relaxed);
        self.inner.has_many(keys)
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.inner.get_size(key).await
    }

    async fn put_many(&self, puts: PutStream<'_>) -> Result<()> {
        self.rig.bulk_writes.fetch_add(1, Ordering::Relaxed);
        self.inner.put_many(puts).await
    }

    async fn delete_many(&self, keys: KeyStream<'_>) -> Result<()> {
        self.rig.bulk_writes.fetch_add(1, Ordering::Relaxed);
        self.inner.delete_many(keys).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.inner.query(query).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.inner.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn sync(&self) -> Result<()> {
        self.rig.check(Call::Sync)?;
        self.inner.sync().await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.rig.batches.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(RiggedBatch {
            inner: self.inner.batch().await?,
            rig: Arc::clone(&self.rig),
        }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        let bytes = self.inner.disk_usage().await?.bytes;
        Ok(DiskUsage::new(bytes, *self.rig.accuracy.lock().unwrap()))
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await?;
        self.rig.check(Call::Close)
    }
}

#[derive(Debug)]
struct RiggedBatch {
    inner: Box<dyn Batch>,
    rig: Arc<Rig>,
}

#[async_trait]
impl Batch for RiggedBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.inner.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.inner.get_size(key).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.inner.query(query).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if self.rig.rejected.lock().unwrap().as_ref() == Some(key) {
            return Err(Error::InvalidKey {
                key: key.to_string(),
                reason: "it is rejected",
            });
        }
        self.inner.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let _gate = self.rig.gate.acquire().await.unwrap();
        self.rig.check(Call::Commit)?;
        self.inner.commit().await?;
        self.rig.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.inner.discard().await
    }
}
