//! A datastore that fails and waits where a test wants it to.

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

/// A datastore in memory that is rigged; a clone is another handle to it.
#[derive(Clone, Debug)]
pub(super) struct Rigged {
    sound: MemoryDatastore,
    rig: Arc<Rig>,
}

#[derive(Debug)]
struct Rig {
    name: &'static str,
    failing: Mutex<Option<Call>>,
    refused: Mutex<Option<Key>>,
    accuracy: Mutex<Accuracy>,
    /// Closed, it holds up every commit.
    gate: Semaphore,
    batches: AtomicUsize,
    commits: AtomicUsize,
    /// Reads of one key,
    reads: AtomicUsize,
    /// and of many.
    reads_of_many: AtomicUsize,
    writes_of_many: AtomicUsize,
}

impl Rigged {
    /// One that works, with the name that its errors will have.
    pub(super) fn new(name: &'static str) -> Self {
        Rigged {
            sound: MemoryDatastore::new(),
            rig: Arc::new(Rig {
                name,
                failing: Mutex::default(),
                refused: Mutex::default(),
                accuracy: Mutex::new(Accuracy::Exact),
                gate: Semaphore::new(1),
                batches: AtomicUsize::default(),
                commits: AtomicUsize::default(),
                reads: AtomicUsize::default(),
                reads_of_many: AtomicUsize::default(),
                writes_of_many: AtomicUsize::default(),
            }),
        }
    }

    pub(super) fn fail(&self, call: impl Into<Option<Call>>) {
        *self.rig.failing.lock().unwrap() = call.into();
    }

    /// Batches don't take this key.
    pub(super) fn refuse(&self, key: &str) {
        *self.rig.refused.lock().unwrap() = Some(Key::new(key));
    }

    pub(super) fn is_as_accurate_as(&self, accuracy: Accuracy) {
        *self.rig.accuracy.lock().unwrap() = accuracy;
    }

    /// Holds up commits until [`let_commit`](Rigged::let_commit).
    pub(super) fn hold_commits(&self) {
        self.rig.gate.try_acquire().unwrap().forget();
    }

    pub(super) fn let_commit(&self) {
        self.rig.gate.add_permits(1);
    }

    /// How many batches were begun.
    pub(super) fn batches(&self) -> usize {
        self.rig.batches.load(Ordering::Relaxed)
    }

    /// How many batches were committed.
    pub(super) fn commits(&self) -> usize {
        self.rig.commits.load(Ordering::Relaxed)
    }

    /// How many calls read a key, and how many read many.
    pub(super) fn reads(&self) -> (usize, usize) {
        let [one, many] = [&self.rig.reads, &self.rig.reads_of_many];
        (one.load(Ordering::Relaxed), many.load(Ordering::Relaxed))
    }

    /// How many calls wrote many keys.
    pub(super) fn writes_of_many(&self) -> usize {
        self.rig.writes_of_many.load(Ordering::Relaxed)
    }

    /// The sound datastore in it.
    pub(super) fn inside(&self) -> &MemoryDatastore {
        &self.sound
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
        self.sound.get(key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.rig.reads.fetch_add(1, Ordering::Relaxed);
        self.sound.has(key).await
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        self.rig.reads_of_many.fetch_add(1, Ordering::Relaxed);
        self.sound.get_many(keys)
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        self.rig.reads_of_many.fetch_add(1, Ordering::Relaxed);
        self.sound.has_many(keys)
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.sound.get_size(key).await
    }

    async fn put_many(&self, puts: PutStream<'_>) -> Result<()> {
        self.rig.writes_of_many.fetch_add(1, Ordering::Relaxed);
        self.sound.put_many(puts).await
    }

    async fn delete_many(&self, keys: KeyStream<'_>) -> Result<()> {
        self.rig.writes_of_many.fetch_add(1, Ordering::Relaxed);
        self.sound.delete_many(keys).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.sound.query(query).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.sound.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.sound.delete(key).await
    }

    async fn sync(&self) -> Result<()> {
        self.rig.check(Call::Sync)?;
        self.sound.sync().await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.rig.batches.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(RiggedBatch {
            sound: self.sound.batch().await?,
            rig: Arc::clone(&self.rig),
        }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        let bytes = self.sound.disk_usage().await?.bytes;
        Ok(DiskUsage::new(bytes, *self.rig.accuracy.lock().unwrap()))
    }

    async fn close(&self) -> Result<()> {
        self.sound.close().await?;
        self.rig.check(Call::Close)
    }
}

#[derive(Debug)]
struct RiggedBatch {
    sound: Box<dyn Batch>,
    rig: Arc<Rig>,
}

#[async_trait]
impl Batch for RiggedBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.sound.get(key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.sound.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.sound.get_size(key).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.sound.query(query).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if self.rig.refused.lock().unwrap().as_ref() == Some(key) {
            return Err(Error::InvalidKey {
                key: key.to_string(),
                reason: "it is refused",
            });
        }
        self.sound.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.sound.delete(key).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let _gate = self.rig.gate.acquire().await.unwrap();
        self.rig.check(Call::Commit)?;
        self.sound.commit().await?;
        self.rig.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.sound.discard().await
    }
}
