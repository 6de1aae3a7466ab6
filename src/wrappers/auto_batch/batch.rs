//! [`OrderedBatch`]: a batch that is committed after the buffered writes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::committer::Committer;
use super::overlay::Overlay;
use super::write_buffer::size;
use crate::datastore::Batch;
use crate::detached;
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};
use crate::sync::lock;

/// A batch of the inner datastore of an [`AutoBatch`](super::AutoBatch). Its reads see the buffered writes, and it is
/// committed after them.
#[derive(Debug)]
pub(super) struct OrderedBatch {
    committer: Arc<Committer>,
    inner: Box<dyn Batch>,
    /// The keys that the batch writes itself.
    written_keys: Mutex<BTreeSet<Key>>,
}

impl OrderedBatch {
    pub(super) fn new(committer: Arc<Committer>, inner: Box<dyn Batch>) -> Self {
        OrderedBatch {
            committer,
            inner,
            written_keys: Mutex::default(),
        }
    }

    fn written_keys(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        lock(&self.written_keys)
    }

    /// Returns the last buffered write of the key, unless the batch writes the key itself.
    fn buffered_write(&self, key: &Key) -> Result<Option<Option<Bytes>>> {
        let write = self.committer.last_write(key)?;
        Ok(write.filter(|_| !self.written_keys().contains(key)))
    }
}

#[async_trait]
impl Batch for OrderedBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.buffered_write(key)? {
            Some(value) => Ok(value),
            None => self.inner.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.buffered_write(key)? {
            Some(value) => Ok(value.is_some()),
            None => self.inner.has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.buffered_write(key)? {
            Some(value) => Ok(value.as_ref().map(size)),
            None => self.inner.get_size(key).await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut buffered = self.committer.snapshot()?;
        {
            let written = self.written_keys();
            buffered.retain(|key, _| !written.contains(key));
        }
        let overlay = Overlay::new(buffered);
        let entries = self.inner.query(overlay.inner_query(&query)).await?;
        Ok(overlay.results(&query, entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.committer.check_open()?;
        self.inner.put(key, value).await?;
        // Noted after the put: otherwise a read in between would find neither the buffered value nor this one.
        self.written_keys().insert(key.clone());
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.committer.check_open()?;
        self.inner.delete(key).await?;
        self.written_keys().insert(key.clone());
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let Self {
            committer, inner, ..
        } = *self;
        detached::run(committer.commit_with(inner)).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.inner.discard().await
    }
}
