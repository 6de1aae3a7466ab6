//! [`Shared`]: what the handles, batches and queries of a datastore share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream::{Stream, StreamExt, TryStreamExt};
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
use crate::observe::{Operation, ReadSource};
use crate::store::ExistingBlock;

/// What the handles, batches and queries of a datastore share.
pub(super) struct Shared {
    pub(super) bucket: Bucket,
    pub(super) layout: ObjectLayout,
    pub(super) concurrency: usize,
    pub(super) batch_memory: u64,
    pub(super) existing: ExistingBlock,
    usage: UsageCache,
    closed: AtomicBool,
    /// The running calls. A close waits for them.
    work: TaskTracker,
}

impl Shared {
    pub(super) fn new(bucket: Bucket, layout: ObjectLayout, concurrency: usize) -> Self {
        Shared {
            bucket,
            layout,
            concurrency,
            batch_memory: 0,
            existing: ExistingBlock::default(),
            usage: UsageCache::default(),
            closed: AtomicBool::new(false),
            work: TaskTracker::new(),
        }
    }

    /// Refuses new calls, and waits for the running ones.
    ///
    /// Returns whether this is the first close.
    pub(super) async fn close(&self) -> bool {
        let was_closed = self.closed.swap(true, Ordering::SeqCst);
        self.work.close();
        self.work.wait().await;
        !was_closed
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

    /// Returns the URL of the datastore, or the name of the store and the prefix.
    pub(super) fn location(&self) -> String {
        self.bucket.location(self.layout.root())
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let operation = Operation::begin("get");
        let result = match self.layout.path(key) {
            Ok(path) => self.bucket.get(&path).await,
            Err(_) => Ok(None),
        };
        let bytes = result.as_ref().ok().and_then(Option::as_ref);
        let bytes = bytes.map_or(0, Bytes::len);
        operation.end_read(ReadSource::ObjectStore, key, bytes, &result);
        result
    }

    /// Returns the size of a block, as the operation `name`.
    pub(super) async fn size(&self, key: &Key, name: &'static str) -> Result<Option<u64>> {
        let operation = Operation::begin(name);
        let result = match self.layout.path(key) {
            Ok(path) => self.bucket.size(&path).await,
            Err(_) => Ok(None),
        };
        operation.end_read(ReadSource::ObjectStore, key, 0, &result);
        result
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

    /// Deletes the values of many keys, and returns an item for each of them.
    pub(super) fn delete_all(
        &self,
        keys: impl Iterator<Item = Key> + Send + 'static,
    ) -> impl Stream<Item = Result<()>> {
        let layout = self.layout.clone();
        // A key that cannot be stored has no value to delete.
        let paths = keys.filter_map(move |key| layout.path(&key).ok());
        let deleted = self.bucket.delete_all(self.layout.root(), paths);
        deleted.inspect_ok(|()| self.usage.add_write(0))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
