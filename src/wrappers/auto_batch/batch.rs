//! Batches beside the writes that are collected.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::commits::Commits;
use super::overlay::Overlay;
use super::pending::size;
use crate::datastore::Batch;
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};
use crate::wrappers::job;

/// A batch of the datastore below an [`AutoBatch`](super::AutoBatch), which stands over what is collected
/// there, and is committed behind it.
#[derive(Debug)]
pub(super) struct OrderedBatch {
    commits: Arc<Commits>,
    below: Box<dyn Batch>,
    /// The keys that the batch writes.
    own: Mutex<BTreeSet<Key>>,
}

impl OrderedBatch {
    pub(super) fn new(commits: Arc<Commits>, below: Box<dyn Batch>) -> Self {
        OrderedBatch {
            commits,
            below,
            own: Mutex::default(),
        }
    }

    fn own(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last write of the key that is collected, if the batch doesn't write it itself.
    fn collected(&self, key: &Key) -> Result<Option<Option<Bytes>>> {
        let written = self.commits.written(key)?;
        Ok(written.filter(|_| !self.own().contains(key)))
    }
}

#[async_trait]
impl Batch for OrderedBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.collected(key)? {
            Some(value) => Ok(value),
            None => self.below.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.collected(key)? {
            Some(value) => Ok(value.is_some()),
            None => self.below.has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.collected(key)? {
            Some(value) => Ok(value.as_ref().map(size)),
            None => self.below.get_size(key).await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut collected = self.commits.snapshot()?;
        {
            let own = self.own();
            collected.retain(|key, _| !own.contains(key));
        }
        let overlay = Overlay::new(collected);
        let entries = self.below.query(overlay.ask(&query)).await?;
        Ok(overlay.answer(&query, entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.commits.check_open()?;
        self.below.put(key, value).await?;
        self.own().insert(key.clone());
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.commits.check_open()?;
        self.below.delete(key).await?;
        self.own().insert(key.clone());
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let Self { commits, below, .. } = *self;
        job::run(commits.commit_with(below)).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.below.discard().await
    }
}
