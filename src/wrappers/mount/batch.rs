//! [`MountBatch`]: a batch over the datastores of a mount.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::mounts::{MountPoint, MountTable};
use crate::datastore::Batch;
use crate::detached;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::observe::target;
use crate::query::{EntryStream, Query, merge};

/// A batch of a [`Mount`](super::Mount): one batch in each datastore that it writes to.
#[derive(Debug)]
pub(super) struct MountBatch {
    table: MountTable<BatchPart>,
}

/// A mounted datastore, and the batch in it once something is written there.
#[derive(Debug)]
struct BatchPart {
    mount: Arc<MountPoint>,
    batch: OnceCell<Box<dyn Batch>>,
}

impl MountBatch {
    pub(super) fn new(table: &MountTable<Arc<MountPoint>>) -> Self {
        MountBatch {
            table: table.map(|mount| BatchPart {
                mount: Arc::clone(mount),
                batch: OnceCell::new(),
            }),
        }
    }

    /// Returns the inner batches that were begun, in the order of the mounts.
    fn into_begun(self) -> impl Iterator<Item = (Arc<MountPoint>, Box<dyn Batch>)> {
        let parts = self.table.into_mounts().into_iter();
        parts.filter_map(|part| Some((part.mount, part.batch.into_inner()?)))
    }
}

impl AsRef<MountPoint> for BatchPart {
    fn as_ref(&self) -> &MountPoint {
        &self.mount
    }
}

impl BatchPart {
    /// Returns the inner batch, and begins it before the first write.
    async fn batch(&self) -> Result<&dyn Batch> {
        let begin = || self.mount.datastore.batch();
        let batch = self.batch.get_or_try_init(begin).await?;
        Ok(&**batch)
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.batch.get() {
            Some(batch) => batch.get(key).await,
            None => self.mount.datastore.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.batch.get() {
            Some(batch) => batch.has(key).await,
            None => self.mount.datastore.has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.batch.get() {
            Some(batch) => batch.get_size(key).await,
            None => self.mount.datastore.get_size(key).await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        match self.batch.get() {
            Some(batch) => batch.query(query).await,
            None => self.mount.datastore.query(query).await,
        }
    }
}

#[async_trait]
impl Batch for MountBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.table.find(key)? {
            Some((part, inner)) => part.mount.map_error(part.get(&inner).await),
            None => Ok(None),
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.table.find(key)? {
            Some((part, inner)) => part.mount.map_error(part.has(&inner).await),
            None => Ok(false),
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.table.find(key)? {
            Some((part, inner)) => part.mount.map_error(part.get_size(&inner).await),
            None => Ok(None),
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut parts = Vec::new();
        for (part, inner) in self.table.queries(&query)? {
            let entries = part.mount.map_error(part.query(inner).await)?;
            parts.push(part.mount.map_entries(entries));
        }
        Ok(merge(&query, parts))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let (part, inner) = self.table.find_to_put(key)?;
        let batch = part.batch().await?;
        part.mount.map_error(batch.put(&inner, value).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let Some((part, inner)) = self.table.find(key)? else {
            return Ok(());
        };
        let batch = part.batch().await?;
        part.mount.map_error(batch.delete(&inner).await)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.table.check_open()?;
        let mut begun: Vec<_> = self.into_begun().collect();
        if begun.len() > 1 {
            // This runs in a task of its own: if the caller drops the future between two commits, the later ones must
            // still be made.
            return detached::run(commit_in_order(begun)).await;
        }
        match begun.pop() {
            Some((mount, batch)) => mount.map_error(batch.commit().await),
            None => Ok(()),
        }
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        let mut outcome = Ok(());
        for (_, batch) in self.into_begun() {
            outcome = outcome.and(batch.discard().await);
        }
        outcome
    }
}

/// Commits the batches one after another, until one cannot be committed. The later ones are dropped.
async fn commit_in_order(batches: Vec<(Arc<MountPoint>, Box<dyn Batch>)>) -> Result<()> {
    let mut committed = Vec::new();
    let mut incomplete = Ok(());
    for (mount, batch) in batches {
        match mount.map_error(batch.commit().await) {
            Ok(()) => {}
            // The batch is committed; its datastore applies the rest of it later.
            Err(error @ Error::CommitIncomplete { .. }) => incomplete = incomplete.and(Err(error)),
            Err(error) if committed.is_empty() => return Err(error),
            Err(error) => {
                if let Err(error) = incomplete {
                    tracing::warn!(target: target::WRAPPERS, %error, "part of a partly committed batch is incomplete");
                }
                return Err(Error::PartlyCommitted {
                    committed,
                    failed: mount.prefix.clone(),
                    source: Arc::new(error),
                });
            }
        }
        committed.push(mount.prefix.clone());
    }
    incomplete
}
