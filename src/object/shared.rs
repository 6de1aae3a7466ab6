//! [`Shared`]: what the handles, batches and queries of a datastore share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream::{Stream, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::bucket::Bucket;
use super::layout::ObjectLayout;
use super::usage::UsageCache;
use crate::datastore::DiskUsage;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::ExistingBlock;

/// What the handles, batches and queries of a datastore share.
pub(super) struct Shared {
    pub(super) bucket: Bucket,
    pub(super) layout: ObjectLayout,
    pub(super) concurrency: usize,
    usage: UsageCache,
    existing: ExistingBlock,
    closed: AtomicBool,
    /// Calls that run. The close waits for them.
    work: TaskTracker,
}

impl Shared {
    pub(super) fn new(
        bucket: Bucket,
        layout: ObjectLayout,
        existing: ExistingBlock,
        concurrency: usize,
    ) -> Self {
        Shared {
            bucket,
            layout,
            concurrency,
            usage: UsageCache::default(),
            existing,
            closed: AtomicBool::new(false),
            work: TaskTracker::new(),
        }
    }

    /// Refuses new calls, and waits for those that run.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.work.close();
        self.work.wait().await;
    }

    /// Lists the objects below a prefix, until the datastore is closed.
    pub(super) fn list(
        self: &Arc<Self>,
        prefix: &Path,
    ) -> impl Stream<Item = Result<ObjectMeta>> + Send + use<> {
        let shared = Arc::clone(self);
        let objects = self.bucket.list(prefix);
        objects.map(move |object| {
            shared.check_open()?;
            object
        })
    }

    pub(super) async fn disk_usage(self: &Arc<Self>) -> Result<DiskUsage> {
        self.usage.get(|| self.list(self.layout.root())).await
    }

    pub(super) fn check_open(&self) -> Result<()> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    /// Begins a call, which ends when the token is dropped.
    pub(super) fn begin(&self) -> Result<TaskTrackerToken> {
        // The token is taken first: a close sets the flag and then waits, so either it waits for this token, or
        // this call sees the flag.
        let token = self.work.token();
        self.check_open()?;
        Ok(token)
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.layout.path(key) {
            Ok(path) => self.bucket.get(&path).await,
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn size(&self, key: &Key) -> Result<Option<u64>> {
        match self.layout.path(key) {
            Ok(path) => self.bucket.size(&path).await,
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let path = self.layout.path(key)?;
        let size = value.len();
        if self.existing == ExistingBlock::Keep
            && self.bucket.size(&path).await? == Some(size as u64)
        {
            return Ok(());
        }
        self.bucket.put(&path, value).await?;
        self.usage.add_write(size);
        Ok(())
    }

    pub(super) async fn delete(&self, key: &Key) -> Result<()> {
        // A key that cannot be stored has no value to delete.
        let Ok(path) = self.layout.path(key) else {
            return Ok(());
        };
        self.bucket.delete(&path).await?;
        self.usage.add_write(0);
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
