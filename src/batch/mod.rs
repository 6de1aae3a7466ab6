//! [`FlatBatch`]: writes that take effect together.
//!
//! Puts are written in the background into the batch's own directory below `.temp`; the commit publishes them
//! all. Until the commit record is written, nothing in the store has changed. From then on the batch is
//! committed, even after a crash.

mod commit;
mod put_set;
mod scan;
mod staging;
mod staging_dirs;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tracing::Instrument as _;

use self::put_set::StagedWrite;
use self::staging::Stage;
use crate::blocking;
use crate::datastore::Batch;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;
use crate::observe::{self, Operation, target};
use crate::query::{EntryStream, Query};
use crate::store::FlatFs;

/// Writes to a [`FlatFs`] that take effect together, at the [commit](FlatBatch::commit).
///
/// A put returns once its write has started. At most 16 writes run at a time, or as many as
/// [`write_concurrency`](crate::Options::write_concurrency) says, and a put waits for one of them to end, so a
/// batch has at most that many blocks in memory. A second put of a key is skipped. If a write fails, the batch
/// fails: every later call returns [`Error::BatchFailed`], and nothing is committed.
///
/// Reads through the batch see its own writes before those of the store; a block that is still being written
/// is read from memory. Dropping the batch discards it.
///
/// ```
/// # use bytes::Bytes;
/// # use ds_flatfs::{FlatFs, Key};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = FlatFs::options().create(dir.path().join("blocks")).await?;
/// let batch = store.batch().await?;
/// batch.put(&Key::new("ONE"), Bytes::from_static(b"1")).await?;
/// batch.put(&Key::new("TWO"), Bytes::from_static(b"2")).await?;
/// assert!(!store.has(&Key::new("ONE")).await?);
/// batch.commit().await?;
/// assert!(store.has(&Key::new("ONE")).await?);
/// # store.close().await
/// # }
/// ```
#[must_use = "a batch that is dropped is discarded"]
pub struct FlatBatch {
    flatfs: FlatFs,
    stage: Arc<Stage>,
}

impl FlatFs {
    /// Begins a batch, and creates its directory below `.temp`.
    ///
    /// # Errors
    ///
    /// - [`Error::Closed`] or [`Error::ReadOnly`]: the store is closed, or open read-only.
    /// - [`Error::FlushFailed`]: an earlier flush of the store failed.
    /// - [`Error::Io`]: the directory can't be created.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the directory, if it was created, is removed in the background.
    pub async fn batch(&self) -> Result<FlatBatch> {
        self.store.lifecycle.check_writable()?;
        let guard = self.store.begin_write().await?;
        let stage = Stage::new(Arc::clone(&self.store));
        let stage = blocking::run(move || {
            let _guard = guard;
            // After an error the stage is dropped before the guard, so that a close waits until the directory
            // is removed.
            let stage = stage;
            stage.create_dir()?;
            Ok(Arc::new(stage))
        })
        .await?;
        tracing::debug!(target: target::BATCH, batch = %observe::name(&stage.dir()), "begun");
        Ok(FlatBatch {
            flatfs: self.clone(),
            stage,
        })
    }
}

impl FlatBatch {
    /// Adds a put. Waits while too many writes are running, and returns once the write has started.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidKey`]: no block can have this key. The batch does not fail.
    /// - [`Error::BatchFailed`]: an earlier write of the batch failed.
    /// - [`Error::FlushFailed`]: an earlier flush of the store failed.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the put is in the batch as a whole or not at all.
    pub async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.flatfs.store.lifecycle.check_writable()?;
        self.stage.check()?;
        let block = BlockKey::new(key)?;
        if self.stage.revive(&block) {
            return Ok(());
        }
        let permits = self.stage.permits().await?;
        self.stage.begin_write(block, value, permits)
    }

    /// Adds a delete.
    ///
    /// # Errors
    ///
    /// - [`Error::BatchFailed`]: an earlier write of the batch failed.
    /// - [`Error::FlushFailed`]: an earlier flush of the store failed.
    /// - [`Error::Closed`]: the store is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future waits for nothing.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        self.flatfs.store.lifecycle.check_writable()?;
        self.stage.check()?;
        if let Ok(block) = BlockKey::new(key) {
            self.stage.delete(block);
        }
        Ok(())
    }

    /// Returns the block of `key` as it would be after a commit now.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`FlatFs::get`], and [`Error::BatchFailed`] if an earlier write of the batch failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.flatfs.store.lifecycle.check_open()?;
        self.stage.check()?;
        match self.stage.staged(key) {
            None => self.flatfs.get(key).await,
            Some(StagedWrite::Deleted) => Ok(None),
            Some(StagedWrite::InMemory(value)) => Ok(Some(value)),
            Some(StagedWrite::OnDisk(file)) => {
                Stage::read(&self.stage, key, file.staging_dir).await
            }
        }
    }

    /// Returns whether the block of `key` would exist after a commit now.
    ///
    /// # Errors
    ///
    /// As for [`get`](FlatBatch::get).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn has(&self, key: &Key) -> Result<bool> {
        Ok(self.get_size(key).await?.is_some())
    }

    /// Returns the size in bytes that the block of `key` would have after a commit now.
    ///
    /// # Errors
    ///
    /// As for [`get`](FlatBatch::get).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.flatfs.store.lifecycle.check_open()?;
        self.stage.check()?;
        match self.stage.staged(key) {
            None => self.flatfs.get_size(key).await,
            Some(staged) => Ok(staged.size()),
        }
    }

    /// Returns the entries as they would be after a commit now, each key once: see [`FlatFs::query`]. The query
    /// sees the batch's own writes that were made before the call, and may see a write that is made during the
    /// call. The stream keeps the keys of these writes in memory. If the query has an order, it also keeps those of
    /// their values that the query asks for.
    ///
    /// # Errors
    ///
    /// - [`Error::BatchFailed`]: an earlier write of the batch failed.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn query(&self, query: Query) -> Result<EntryStream> {
        scan::query(&self.flatfs, &self.stage, query).await
    }

    /// Commits the batch: waits for its writes, and publishes all blocks as one job.
    ///
    /// After a crash of the process or of the machine, the batch is in the store as a whole or not at all once
    /// the store is opened again. While the commit runs, readers may see a part of it. Other writes of the same
    /// keys wait for it.
    ///
    /// # Errors
    ///
    /// [`Error::CommitIncomplete`] means that the batch is committed, but not all of its blocks are published. The
    /// store tries again in `sync`, in `close`, in the next open, and before the next write of one of its keys; if
    /// it fails again, that write returns [`Error::EarlierCommit`].
    ///
    /// Any other error means that no write of the batch was committed, and that the batch is discarded. If the flush of
    /// its record failed, a power cut may still bring all of it back.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it waits for the writes of the batch or for other writes of its keys, the
    /// batch is discarded. After that the commit continues in the background.
    ///
    /// # Durability
    ///
    /// As the store's [`Durability`](crate::Durability) says.
    pub async fn commit(self) -> Result<()> {
        let batch = self.stage.dir();
        let span =
            tracing::debug_span!(target: target::BATCH, "commit", batch = %observe::name(&batch));
        let operation = Operation::begin("commit");
        let committed = commit::commit(&self.flatfs.store, self.stage);
        operation.end(committed.instrument(span).await)
    }

    /// Discards the batch: waits for its writes, and removes what they wrote.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Io`] if something can't be removed; the next open tries again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the batch is discarded in the background.
    pub async fn discard(self) -> Result<()> {
        // The clean-up begins before the wait, so that a close waits until the directory is removed.
        let stage = self.flatfs.store.lifecycle.begin_clean_up(self.stage);
        stage.wait_for_writes().await?;
        blocking::run(move || {
            stage.remove_dir()?;
            tracing::debug!(target: target::BATCH, batch = %observe::name(&stage.dir()), "discarded");
            Ok(())
        })
        .await
    }
}

impl fmt::Debug for FlatBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatBatch")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// These methods do the same as the inherent methods of [`FlatBatch`].
#[async_trait]
impl Batch for FlatBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        FlatBatch::get(self, key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        FlatBatch::has(self, key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        FlatBatch::get_size(self, key).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        FlatBatch::query(self, query).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        FlatBatch::put(self, key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        FlatBatch::delete(self, key).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        FlatBatch::commit(*self).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        FlatBatch::discard(*self).await
    }
}
