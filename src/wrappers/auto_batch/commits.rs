//! The commits of pending writes, one at a time, each a task of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::overlay::Overlay;
use super::pending::{Limits, Pending, Taken, Writes};
use crate::datastore::{Batch, Datastore};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::observe::target;

/// What all handles of an [`AutoBatch`](super::AutoBatch) share.
#[derive(Debug)]
pub(super) struct Commits {
    below: Arc<dyn Datastore>,
    pending: Mutex<Pending>,
    /// Held while anything is committed: writes go down in their order.
    turn: tokio::sync::Mutex<()>,
}

/// When there is enough to commit.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Any,
    Full(Limits),
}

/// Why the first of the writes was refused that a commit left out, if it left out any.
#[derive(Debug)]
#[must_use]
struct Refused(Option<Error>);

impl Refused {
    fn report(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A commit that was started. It goes on if this is dropped.
#[derive(Debug)]
pub(super) struct Started(oneshot::Receiver<Result<()>>);

impl Started {
    pub(super) async fn done(self) -> Result<()> {
        self.0.await.map_err(|_| Error::Runtime)?
    }
}

impl Commits {
    pub(super) fn new(below: Arc<dyn Datastore>) -> Self {
        Commits {
            below,
            pending: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn below(&self) -> &dyn Datastore {
        &*self.below
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        self.pending().check_open()
    }

    /// Fails once for a commit that failed when nobody waited for it.
    pub(super) fn unheard(&self) -> Result<()> {
        self.pending().unheard()
    }

    pub(super) fn take(&self, key: &Key, value: Option<&Bytes>, limits: Limits) -> Result<Taken> {
        self.pending().take(key, value, limits)
    }

    /// The last write of the key, if it isn't committed; `Some(None)` is a delete.
    pub(super) fn written(&self, key: &Key) -> Result<Option<Option<Bytes>>> {
        let pending = self.pending();
        pending.check_open()?;
        Ok(pending.written(key).cloned())
    }

    /// Whether there are writes that aren't committed.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending().is_empty()
    }

    /// All writes that aren't committed.
    pub(super) fn overlay(&self) -> Result<Overlay> {
        Ok(Overlay::new(self.snapshot()?))
    }

    pub(super) fn snapshot(&self) -> Result<BTreeMap<Key, Option<Bytes>>> {
        let pending = self.pending();
        pending.check_open()?;
        Ok(pending.snapshot())
    }

    /// Starts to commit what is pending, if it is enough.
    pub(super) fn start(self: Arc<Self>, when: When) -> Result<Started> {
        let runtime = Handle::try_current().map_err(|_| Error::Runtime)?;
        let (tell, told) = oneshot::channel();
        runtime.spawn(async move {
            let _turn = self.turn.lock().await;
            let outcome = self.commit(when).await.and_then(Refused::report);
            if let Err(Err(error)) = tell.send(outcome) {
                tracing::warn!(target: target::WRAPPERS, %error, "a commit failed that nobody waited for");
                self.pending().keep_unheard(error);
            }
        });
        Ok(Started(told))
    }

    /// Commits what is pending and then this batch, as one step in the order of all writes. A pending write
    /// that is refused is none of the batch's: others hear of it.
    pub(super) async fn commit_with(self: Arc<Self>, batch: Box<dyn Batch>) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.check_open()?;
        if let Refused(Some(error)) = self.commit(When::Any).await? {
            self.pending().keep_unheard(error);
        }
        batch.commit().await
    }

    /// Commits what is pending, or gives it up, and closes the datastore below.
    pub(super) async fn close(self: Arc<Self>) -> Result<()> {
        self.pending().set_closed();
        let _turn = self.turn.lock().await;
        let committed = self.commit(When::Any).await.and_then(Refused::report);
        self.pending().clear();
        let closed = self.below.close().await;
        self.unheard().and(committed).and(closed)
    }

    /// Whoever calls this has the turn.
    async fn commit(&self, when: When) -> Result<Refused> {
        let full = match when {
            When::Any => None,
            When::Full(limits) => Some(limits),
        };
        let Some(writes) = self.pending().begin_commit(full) else {
            return Ok(Refused(None));
        };
        match write_down(&*self.below, &writes).await {
            Ok(refused) => {
                self.pending().forget();
                Ok(refused)
            }
            Err(error) => {
                self.pending().keep();
                Err(error)
            }
        }
    }
}

/// Writes all as one batch, but for those that the datastore refuses for what they are.
async fn write_down(datastore: &dyn Datastore, writes: &Writes) -> Result<Refused> {
    let batch = datastore.batch().await?;
    let mut refused = None;
    for (key, value) in writes.iter() {
        let taken = match value {
            Some(value) => batch.put(key, value.clone()).await,
            None => batch.delete(key).await,
        };
        match taken {
            Err(error @ (Error::InvalidKey { .. } | Error::Corrupt { .. })) => {
                tracing::warn!(target: target::WRAPPERS, %key, %error, "a write was refused, and is dropped");
                refused.get_or_insert(error);
            }
            taken => taken?,
        }
    }
    batch.commit().await?;
    Ok(Refused(refused))
}

impl Drop for Commits {
    fn drop(&mut self) {
        if !self.pending().is_empty() {
            tracing::warn!(target: target::WRAPPERS, "dropped without a close: writes that were not committed are lost");
        }
    }
}
