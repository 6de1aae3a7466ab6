//! [`Committer`]: commits the buffered writes, one commit at a time, each in a task of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::overlay::Overlay;
use super::write_buffer::{Added, BatchLimits, WriteBuffer, WriteSet};
use crate::datastore::{Batch, Datastore};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::observe::target;
use crate::sync::lock;

/// What all handles of an [`AutoBatch`](super::AutoBatch) share.
#[derive(Debug)]
pub(super) struct Committer {
    inner: Arc<dyn Datastore>,
    buffer: Mutex<WriteBuffer>,
    /// Held during each commit, so that the inner datastore gets the writes in their order.
    commit_lock: tokio::sync::Mutex<()>,
}

/// When the buffered writes are committed.
#[derive(Clone, Copy, Debug)]
pub(super) enum CommitWhen {
    /// Whenever there are any.
    Any,
    /// Only if they fill a batch.
    Full(BatchLimits),
}

/// The first error of the writes that the inner datastore rejected in a commit.
#[derive(Debug)]
#[must_use]
struct FirstRejected(Option<Error>);

impl FirstRejected {
    fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A commit that was started. It continues if this handle is dropped.
#[derive(Debug)]
pub(super) struct CommitHandle(oneshot::Receiver<Result<()>>);

impl CommitHandle {
    /// Waits for the commit and returns its result.
    pub(super) async fn wait(self) -> Result<()> {
        self.0.await.map_err(|_| Error::Runtime)?
    }
}

impl Committer {
    pub(super) fn new(inner: Arc<dyn Datastore>) -> Self {
        Committer {
            inner,
            buffer: Mutex::default(),
            commit_lock: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn inner(&self) -> &dyn Datastore {
        &*self.inner
    }

    fn buffer(&self) -> MutexGuard<'_, WriteBuffer> {
        lock(&self.buffer)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        self.buffer().check_open()
    }

    /// Returns the error of a commit that no caller waited for, once.
    pub(super) fn take_unreported(&self) -> Result<()> {
        self.buffer().take_unreported()
    }

    /// Adds a write to the buffer, unless it is full.
    pub(super) fn add(
        &self,
        key: &Key,
        value: Option<&Bytes>,
        limits: BatchLimits,
    ) -> Result<Added> {
        self.buffer().add(key, value, limits)
    }

    /// Returns the last write of the key that is not committed; `Some(None)` is a delete.
    pub(super) fn last_write(&self, key: &Key) -> Result<Option<Option<Bytes>>> {
        let buffer = self.buffer();
        buffer.check_open()?;
        Ok(buffer.last_write(key).cloned())
    }

    /// Returns whether there are writes that are not committed.
    pub(super) fn has_writes(&self) -> bool {
        !self.buffer().is_empty()
    }

    /// Returns all writes that are not committed, to be laid over a query.
    pub(super) fn overlay(&self) -> Result<Overlay> {
        Ok(Overlay::new(self.snapshot()?))
    }

    pub(super) fn snapshot(&self) -> Result<BTreeMap<Key, Option<Bytes>>> {
        let buffer = self.buffer();
        buffer.check_open()?;
        Ok(buffer.snapshot())
    }

    /// Starts a commit of the buffered writes in a task of its own.
    pub(super) fn start(self: Arc<Self>, when: CommitWhen) -> Result<CommitHandle> {
        let runtime = Handle::try_current().map_err(|_| Error::Runtime)?;
        let (sender, receiver) = oneshot::channel();
        // A task of its own: a caller that stops waiting must not stop the commit between its writes.
        runtime.spawn(async move {
            let _lock = self.commit_lock.lock().await;
            let outcome = self.commit(when).await;
            let outcome = outcome.and_then(FirstRejected::into_result);
            // If the handle was dropped, the next caller gets the error.
            if let Err(Err(error)) = sender.send(outcome) {
                tracing::warn!(target: target::WRAPPERS, %error, "a commit failed that no caller waited for");
                self.buffer().set_unreported(error);
            }
        });
        Ok(CommitHandle(receiver))
    }

    /// Commits the buffered writes and then this batch. No other write comes between them.
    ///
    /// The error of a buffered write that is rejected is not an error of the batch; the next caller gets it.
    pub(super) async fn commit_with(self: Arc<Self>, batch: Box<dyn Batch>) -> Result<()> {
        let _lock = self.commit_lock.lock().await;
        self.check_open()?;
        if let FirstRejected(Some(error)) = self.commit(CommitWhen::Any).await? {
            self.buffer().set_unreported(error);
        }
        batch.commit().await
    }

    /// Commits the buffered writes, or drops them if that fails, and closes the inner datastore.
    pub(super) async fn close(self: Arc<Self>) -> Result<()> {
        // The buffer is closed first: a write that is acknowledged after the last commit has begun would be lost.
        self.buffer().set_closed();
        let _lock = self.commit_lock.lock().await;
        let committed = self.commit(CommitWhen::Any).await;
        let committed = committed.and_then(FirstRejected::into_result);
        self.buffer().clear();
        let closed = self.inner.close().await;
        self.take_unreported().and(committed).and(closed)
    }

    /// Commits the buffered writes. The caller holds the commit lock.
    async fn commit(&self, when: CommitWhen) -> Result<FirstRejected> {
        let if_full = match when {
            CommitWhen::Any => None,
            CommitWhen::Full(limits) => Some(limits),
        };
        // The writes stay in the buffer until the commit has succeeded: until then, reads must find them here.
        let Some(writes) = self.buffer().begin_commit(if_full) else {
            return Ok(FirstRejected(None));
        };
        match write_batch(&*self.inner, &writes).await {
            Ok(rejected) => {
                self.buffer().commit_succeeded();
                Ok(rejected)
            }
            Err(error) => {
                self.buffer().commit_failed();
                Err(error)
            }
        }
    }
}

/// Commits all writes as one batch, except those that the datastore rejects because of their key or value. Retrying
/// these would fail every later commit.
async fn write_batch(datastore: &dyn Datastore, writes: &WriteSet) -> Result<FirstRejected> {
    let batch = datastore.batch().await?;
    let mut first_rejected = None;
    for (key, value) in writes.iter() {
        let added = match value {
            Some(value) => batch.put(key, value.clone()).await,
            None => batch.delete(key).await,
        };
        match added {
            Err(error @ (Error::InvalidKey { .. } | Error::Corrupt { .. })) => {
                tracing::warn!(target: target::WRAPPERS, %key, %error, "a write was rejected and is dropped");
                first_rejected.get_or_insert(error);
            }
            added => added?,
        }
    }
    batch.commit().await?;
    Ok(FirstRejected(first_rejected))
}

impl Drop for Committer {
    fn drop(&mut self) {
        if !self.buffer().is_empty() {
            tracing::warn!(
                target: target::WRAPPERS,
                "an AutoBatch was dropped without a close: its uncommitted writes are lost"
            );
        }
    }
}
