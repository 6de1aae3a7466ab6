//! [`AutoBatch`]: writes that are collected and committed by themselves, many at a time.

mod batch;
mod commits;
mod overlay;
mod pending;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::batch::OrderedBatch;
use self::commits::{Commits, When};
use self::pending::{Limits, Taken, size};
use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};
use crate::wrappers::bulk::{self, Place};
use crate::wrappers::job;

/// A datastore whose puts and deletes are collected and committed to the datastore below as batches: by
/// themselves once there are many, and at [`flush`](AutoBatch::flush), [`sync`](Datastore::sync) and
/// [`close`](Datastore::close). It is go-datastore's `autobatch`, for imports and for nodes that write
/// many blocks one by one.
///
/// A put or a delete returns at once, with the write in memory. The one that makes a batch full begins
/// its commit and doesn't wait for it, so that more can be collected meanwhile; only if that is full too
/// before the commit is done, writes wait for it. So there are no more values in memory than two batches
/// have, and one for each write that waits.
///
/// All reads and queries, of this handle and its clones, see every write at once. The datastore below
/// has them after their commit; write to it through this only, or the order of writes is lost.
///
/// # Durability
///
/// **An acknowledged write is not durable before the next flush, sync or close has returned**: what isn't
/// committed is lost with the process, and if the last handle is dropped without a close.
///
/// # Errors
///
/// If a commit fails, its writes are kept: they can still be read, and go into the next commit. Until one
/// succeeds, no second batch is collected beside them. The error comes from the call that waits for that
/// commit, or if none does from the next put, delete, flush, sync or close. A put or a delete that reports
/// an error has not been taken; the others have done all they can first. A close gives up what it can't
/// commit.
///
/// The datastore below sees a write only at its commit. If it refuses one with
/// [`Error::InvalidKey`](crate::Error::InvalidKey) or [`Error::Corrupt`](crate::Error::Corrupt), that one
/// is dropped, the others are committed, and the error is reported as above.
///
/// # Cancel safety
///
/// A commit is a task of its own, which goes on when the future is dropped that began it or waits for it.
/// A put that is dropped while it waits has not been taken.
///
/// # Batches
///
/// A [`batch`](Datastore::batch) is one of the datastore below, which sees what is collected here, and
/// whose commit commits that first, so that writes keep their order. If that can't be committed, neither is
/// the batch. A write that is refused there doesn't stop the batch; the next call on this hears of it.
///
/// ```
/// use std::sync::Arc;
/// use ds_flatfs::wrappers::AutoBatch;
/// use ds_flatfs::{Datastore, FlatFs, Key};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// let files = FlatFs::options().open_or_create(path).await?;
/// let blocks = AutoBatch::new(Arc::new(files.clone())).max_writes(500);
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
    commits: Arc<Commits>,
    limits: Limits,
}

impl AutoBatch {
    /// Collects writes for `datastore`. A batch is full with 1,024 writes or 16 MiB of values.
    #[must_use]
    pub fn new(datastore: Arc<dyn Datastore>) -> Self {
        AutoBatch {
            commits: Arc::new(Commits::new(datastore)),
            limits: Limits {
                writes: 1024,
                bytes: 16 << 20,
            },
        }
    }

    /// How many writes make a batch full: 1,024, unless this says otherwise. With 1 or 0 every write is a
    /// batch of its own.
    #[must_use]
    pub fn max_writes(mut self, writes: usize) -> Self {
        self.limits.writes = writes;
        self
    }

    /// How many bytes of values make a batch full: 16 MiB, unless this says otherwise.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Commits what is collected, and returns when all writes that were acknowledged before are committed.
    ///
    /// # Errors
    ///
    /// Those of the commit, and of an earlier one that nobody has heard about; then the commit was tried
    /// all the same. [`Error::Closed`](crate::Error::Closed).
    ///
    /// # Cancel safety
    ///
    /// The commit goes on.
    ///
    /// # Durability
    ///
    /// As commits of the datastore below.
    pub async fn flush(&self) -> Result<()> {
        self.commits.check_open()?;
        let committed = self.commit(When::Any).await;
        self.commits.unheard().and(committed)
    }

    async fn commit(&self, when: When) -> Result<()> {
        Arc::clone(&self.commits).start(when)?.done().await
    }

    /// Where to look for the key in a call for many.
    fn place<T>(&self, key: &Key, answer: impl Fn(Option<Bytes>) -> T) -> Place<'_, Commits, T> {
        match self.commits.written(key) {
            Ok(Some(value)) => Place::Here(Ok(answer(value))),
            Ok(None) => Place::Below(&*self.commits, key.clone()),
            Err(closed) => Place::Here(Err(closed)),
        }
    }

    async fn write(&self, key: &Key, value: Option<&Bytes>) -> Result<()> {
        // A task that only writes to memory would never let others run.
        tokio::task::consume_budget().await;
        loop {
            match self.commits.take(key, value, self.limits)? {
                Taken::WithRoomLeft => return Ok(()),
                Taken::AndFull => {
                    // Without a runtime, the next write that needs room says so.
                    let _ = Arc::clone(&self.commits).start(When::Full(self.limits));
                    return Ok(());
                }
                Taken::Not => self.commit(When::Full(self.limits)).await?,
            }
        }
    }
}

#[async_trait]
impl Datastore for AutoBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.commits.written(key)? {
            Some(value) => Ok(value),
            None => self.commits.below().get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.commits.written(key)? {
            Some(value) => Ok(value.is_some()),
            None => self.commits.below().has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.commits.written(key)? {
            Some(value) => Ok(value.as_ref().map(size)),
            None => self.commits.below().get_size(key).await,
        }
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        bulk::answers(
            keys,
            |key| self.place(key, |value| value),
            |commits, keys| commits.below().get_many(keys),
        )
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        bulk::answers(
            keys,
            |key| self.place(key, |value| value.is_some()),
            |commits, keys| commits.below().has_many(keys),
        )
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let overlay = self.commits.overlay()?;
        let entries = self.commits.below().query(overlay.ask(&query)).await?;
        Ok(overlay.answer(&query, entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.write(key, Some(&value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write(key, None).await
    }

    async fn sync(&self) -> Result<()> {
        let flushed = self.flush().await;
        flushed.and(self.commits.below().sync().await)
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.commits.check_open()?;
        let below = self.commits.below().batch().await?;
        let commits = Arc::clone(&self.commits);
        Ok(Box::new(OrderedBatch::new(commits, below)))
    }

    /// The figure of the datastore below, not exact while there are writes that it doesn't have yet.
    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.commits.check_open()?;
        let waiting = self.commits.is_waiting();
        let mut usage = self.commits.below().disk_usage().await?;
        if waiting && usage.accuracy == Accuracy::Exact {
            usage.accuracy = Accuracy::Approximate;
        }
        Ok(usage)
    }

    async fn close(&self) -> Result<()> {
        job::run(Arc::clone(&self.commits).close()).await
    }
}
