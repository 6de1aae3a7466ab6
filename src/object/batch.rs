//! [`ObjectBatch`]: writes that are staged locally until the commit.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::query;
use super::shared::Shared;
use crate::datastore::Batch;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{Entry, EntryStream, Query, apply};
use crate::sync::lock;

/// Writes to an [`ObjectDatastore`](super::ObjectDatastore), staged locally until the [commit](ObjectBatch::commit).
#[must_use = "a batch that is dropped is discarded"]
pub struct ObjectBatch {
    shared: Arc<Shared>,
    /// The last write of each key; `None` is a delete.
    writes: Mutex<BTreeMap<Key, Option<Bytes>>>,
}

impl ObjectBatch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        ObjectBatch {
            shared,
            writes: Mutex::default(),
        }
    }

    fn write(&self, key: &Key) -> Result<Option<Option<Bytes>>> {
        self.shared.check_open()?;
        Ok(lock(&self.writes).get(key).cloned())
    }

    fn set(&self, key: &Key, value: Option<Bytes>) -> Result<()> {
        self.shared.check_open()?;
        lock(&self.writes).insert(key.clone(), value);
        Ok(())
    }

    /// Sends the writes: the puts first, then the deletes.
    ///
    /// # Errors
    ///
    /// Returns [`Error::PartlyStored`] if a request failed. Call it again for the writes that are missing.
    pub async fn commit(&self) -> Result<()> {
        let _token = self.shared.begin()?;
        let writes = lock(&self.writes).clone();
        let (puts, deletes): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|(_, value)| value.is_some());
        let (stored, deleted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all = (puts.len(), deletes.len());
        let shared = &self.shared;
        let puts = stream::iter(puts).map(Ok);
        let put = puts.try_for_each_concurrent(shared.concurrency, async |(key, value)| {
            shared.put(&key, value.unwrap_or_default()).await?;
            stored.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let deletes = stream::iter(deletes).map(Ok);
        let delete = deletes.try_for_each_concurrent(shared.concurrency, async |(key, _)| {
            shared.delete(&key).await?;
            deleted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let done = match put.await {
            Ok(()) => delete.await,
            Err(error) => Err(error),
        };
        done.map_err(|source: Error| Error::PartlyStored {
            stored: stored.load(Ordering::Relaxed),
            puts: all.0,
            deleted: deleted.load(Ordering::Relaxed),
            deletes: all.1,
            source: Arc::new(source),
        })
    }
}

impl fmt::Debug for ObjectBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBatch")
            .field("writes", &lock(&self.writes).len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Batch for ObjectBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.write(key)? {
            Some(value) => Ok(value),
            None => self.shared.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        Ok(Batch::get_size(self, key).await?.is_some())
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.write(key)? {
            Some(value) => Ok(value.map(|value| value.len() as u64)),
            None => self.shared.size(key).await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.shared.check_open()?;
        let writes = lock(&self.writes).clone();
        let puts = writes.iter().filter_map(|(key, value)| {
            let value = value.clone()?;
            Some(Ok(Entry::with_value(key.clone(), value)))
        });
        let own = stream::iter(Vec::from_iter(puts));
        let others = query::entries(&self.shared, &query).filter(move |entry| {
            std::future::ready(match entry {
                Ok(entry) => !writes.contains_key(&entry.key),
                Err(_) => true,
            })
        });
        Ok(apply(query, own.chain(others)))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.shared.layout.path(key)?;
        self.set(key, Some(value))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.set(key, None)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        ObjectBatch::commit(&self).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
