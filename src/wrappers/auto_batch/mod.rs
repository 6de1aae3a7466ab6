//! [`AutoBatch`]: collects writes and commits many of them at a time.

mod batch;
mod committer;
mod overlay;
mod write_buffer;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::batch::OrderedBatch;
use self::committer::{CommitWhen, Committer};
use self::write_buffer::{Added, BatchLimits, size};
use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::detached;
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};
use crate::wrappers::bulk::{self, Route};

/// A datastore that collects puts and deletes and commits them to the inner datastore as batches: go-datastore's
/// `autobatch`, for imports and for nodes that write many blocks one by one. It commits when a batch is full, and at
/// [`flush`](AutoBatch::flush), [`sync`](Datastore::sync) and [`close`](Datastore::close).
///
/// A put or a delete returns at once, with the write in memory. The write that fills a batch starts the commit and does
/// not wait for it, so that more writes can be collected while it runs. If the next batch is also full before the
/// commit ends, writes wait for the commit. So at most the values of two batches are in memory, and one for each write
/// that waits.
///
/// All reads and queries of this handle and its clones see every write at once. The inner datastore has a write after
/// its commit. Write to the inner datastore through this wrapper only, or the order of writes is lost.
///
/// If a key is put several times, the last value is committed.
///
/// # Durability
///
/// **An acknowledged write is not durable before the next flush, sync or close has returned.** Uncommitted writes are
/// lost with the process, and when the last handle is dropped without a close.
///
/// # Errors
///
/// If a commit fails, its writes stay in memory: they can be read, and are part of the next commit. Until a commit
/// succeeds, no second batch is collected. The error is returned by the call that waits for the commit, or, if none
/// does, by the next put, delete, flush, sync or close. A put or delete that returns an error was not accepted; flush,
/// sync and close do their work before they return it. A close drops the writes that it cannot commit.
///
/// The inner datastore gets a write only when it is committed. If it rejects the write with
/// [`Error::InvalidKey`](crate::Error::InvalidKey) or [`Error::Corrupt`](crate::Error::Corrupt), that write is dropped,
/// the others are committed, and the error is returned as described above.
///
/// # Cancel safety
///
/// A commit runs in a task of its own, which continues when the future that started it or waits for it is dropped. A
/// put whose future is dropped while it waits was not accepted.
///
/// # Batches
///
/// A [`batch`](Datastore::batch) is a batch of the inner datastore. Its reads see the collected writes, and its commit
/// first commits those, so that all writes keep their order. If they cannot be committed, the batch is not committed
/// either. A collected write that is rejected does not stop the batch; the next call on this datastore returns its
/// error.
///
/// ```
/// use ds_flatfs::wrappers::AutoBatch;
/// use ds_flatfs::{Datastore, FlatFs, Key};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// let files = FlatFs::options().open_or_create(path).await?;
/// let blocks = AutoBatch::new(files.clone()).max_writes(500);
/// let key = Key::new("/CIQONE");
/// blocks.put(&key, "block".into()).await?;
/// assert!(blocks.has(&key).await? && !files.has(&key).await?);
/// blocks.flush().await?;
/// assert!(files.has(&key).await?);
/// blocks.close().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct AutoBatch {
    committer: Arc<Committer>,
    limits: BatchLimits,
}

impl AutoBatch {
    /// Creates a datastore that collects writes for `datastore`. A batch is full when it has 1,024 writes or 16 MiB of
    /// values.
    #[must_use]
    pub fn new(datastore: impl Datastore + 'static) -> Self {
        AutoBatch {
            committer: Arc::new(Committer::new(Arc::new(datastore))),
            limits: BatchLimits {
                writes: 1024,
                bytes: 16 << 20,
            },
        }
    }

    /// Sets how many writes fill a batch. The default is 1,024. With 1 or 0 every write is a batch of its own.
    #[must_use]
    pub fn max_writes(mut self, writes: usize) -> Self {
        self.limits.writes = writes;
        self
    }

    /// Sets how many bytes of values fill a batch. The default is 16 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Commits the collected writes. When the call returns, all writes that were acknowledged before it are committed.
    ///
    /// # Errors
    ///
    /// Fails if the commit fails, or with the error of an earlier commit that was not reported yet; in that case too
    /// the commit is tried. Returns [`Error::Closed`](crate::Error::Closed) after a close.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the commit continues.
    ///
    /// # Durability
    ///
    /// The writes are as durable as the inner datastore makes its commits.
    pub async fn flush(&self) -> Result<()> {
        self.committer.check_open()?;
        let committed = self.commit(CommitWhen::Any).await;
        self.committer.take_unreported().and(committed)
    }

    async fn commit(&self, when: CommitWhen) -> Result<()> {
        Arc::clone(&self.committer).start(when)?.wait().await
    }

    /// Returns where to read the key in a bulk read. `result` makes the result of a key from its collected write.
    fn route<T>(&self, key: &Key, result: impl Fn(Option<Bytes>) -> T) -> Route<'_, Committer, T> {
        match self.committer.last_write(key) {
            Ok(Some(value)) => Route::Known(Ok(result(value))),
            Ok(None) => Route::Inner(&*self.committer, key.clone()),
            Err(closed) => Route::Known(Err(closed)),
        }
    }

    async fn write(&self, key: &Key, value: Option<&Bytes>) -> Result<()> {
        // Without this, a task that only writes to memory would never yield to other tasks.
        tokio::task::consume_budget().await;
        loop {
            match self.committer.add(key, value, self.limits)? {
                Added::WithRoomLeft => return Ok(()),
                Added::NowFull => {
                    // This fails if there is no runtime. The write was accepted, so the next write that needs room
                    // reports that.
                    let _ = Arc::clone(&self.committer).start(CommitWhen::Full(self.limits));
                    return Ok(());
                }
                Added::NoRoom => self.commit(CommitWhen::Full(self.limits)).await?,
            }
        }
    }
}

#[async_trait]
impl Datastore for AutoBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.committer.last_write(key)? {
            Some(value) => Ok(value),
            None => self.committer.inner().get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.committer.last_write(key)? {
            Some(value) => Ok(value.is_some()),
            None => self.committer.inner().has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.committer.last_write(key)? {
            Some(value) => Ok(value.as_ref().map(size)),
            None => self.committer.inner().get_size(key).await,
        }
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        bulk::read(
            keys,
            |key| self.route(key, |value| value),
            |committer, keys| committer.inner().get_many(keys),
        )
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        bulk::read(
            keys,
            |key| self.route(key, |value| value.is_some()),
            |committer, keys| committer.inner().has_many(keys),
        )
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let overlay = self.committer.overlay()?;
        let entries = self
            .committer
            .inner()
            .query(overlay.inner_query(&query))
            .await?;
        Ok(overlay.results(&query, entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.write(key, Some(&value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write(key, None).await
    }

    async fn sync(&self) -> Result<()> {
        let flushed = self.flush().await;
        flushed.and(self.committer.inner().sync().await)
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.committer.check_open()?;
        let inner = self.committer.inner().batch().await?;
        let committer = Arc::clone(&self.committer);
        Ok(Box::new(OrderedBatch::new(committer, inner)))
    }

    /// Returns the figure of the inner datastore, which is not exact while there are uncommitted writes.
    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.committer.check_open()?;
        let has_writes = self.committer.has_writes();
        let mut usage = self.committer.inner().disk_usage().await?;
        if has_writes && usage.accuracy == Accuracy::Exact {
            usage.accuracy = Accuracy::Approximate;
        }
        Ok(usage)
    }

    async fn close(&self) -> Result<()> {
        detached::run(Arc::clone(&self.committer).close()).await
    }
}
