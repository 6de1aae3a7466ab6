//! A batch over the datastores of a mount.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::mounts::{Mounted, Mounts};
use crate::datastore::Batch;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::observe::target;
use crate::query::{EntryStream, Query, merge};
use crate::wrappers::job;

/// A batch of a [`Mount`](super::Mount): one in each datastore that it writes to.
#[derive(Debug)]
pub(super) struct MountBatch {
    mounts: Mounts<Part>,
}

/// A mounted datastore, with the batch in it once something is written there.
#[derive(Debug)]
struct Part {
    mount: Arc<Mounted>,
    batch: OnceCell<Box<dyn Batch>>,
}

impl MountBatch {
    pub(super) fn new(mounts: &Mounts<Arc<Mounted>>) -> Self {
        MountBatch {
            mounts: mounts.map(|mount| Part {
                mount: Arc::clone(mount),
                batch: OnceCell::new(),
            }),
        }
    }

    /// The batches that were begun, each with where its datastore is mounted.
    fn begun(self) -> impl Iterator<Item = (Arc<Mounted>, Box<dyn Batch>)> {
        let parts = self.mounts.into_all().into_iter();
        parts.filter_map(|part| Some((part.mount, part.batch.into_inner()?)))
    }
}

impl AsRef<Mounted> for Part {
    fn as_ref(&self) -> &Mounted {
        &self.mount
    }
}

impl Part {
    async fn to_write(&self) -> Result<&dyn Batch> {
        let begin = || self.mount.datastore.batch();
        let batch = self.batch.get_or_try_init(begin).await?;
        Ok(&**batch)
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let entries = match self.batch.get() {
            Some(batch) => batch.query(query).await,
            None => self.mount.datastore.query(query).await,
        };
        Ok(self.mount.answer(self.mount.renamed(entries)?))
    }
}

#[async_trait]
impl Batch for MountBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let Some((part, below)) = self.mounts.find(key)? else {
            return Ok(None);
        };
        let answer = match part.batch.get() {
            Some(batch) => batch.get(&below).await,
            None => part.mount.datastore.get(&below).await,
        };
        part.mount.renamed(answer)
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        let Some((part, below)) = self.mounts.find(key)? else {
            return Ok(false);
        };
        let answer = match part.batch.get() {
            Some(batch) => batch.has(&below).await,
            None => part.mount.datastore.has(&below).await,
        };
        part.mount.renamed(answer)
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        let Some((part, below)) = self.mounts.find(key)? else {
            return Ok(None);
        };
        let answer = match part.batch.get() {
            Some(batch) => batch.get_size(&below).await,
            None => part.mount.datastore.get_size(&below).await,
        };
        part.mount.renamed(answer)
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut answers = Vec::new();
        for (part, ask) in self.mounts.parts(&query)? {
            answers.push(part.query(ask).await?);
        }
        Ok(merge(&query, answers))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let (part, below) = self.mounts.find_to_put(key)?;
        let batch = part.to_write().await?;
        part.mount.renamed(batch.put(&below, value).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let Some((part, below)) = self.mounts.find(key)? else {
            return Ok(());
        };
        let batch = part.to_write().await?;
        part.mount.renamed(batch.delete(&below).await)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.mounts.check_open()?;
        let mut begun: Vec<_> = self.begun().collect();
        if begun.len() > 1 {
            return job::run(commit_each(begun)).await;
        }
        match begun.pop() {
            Some((mount, batch)) => mount.renamed(batch.commit().await),
            None => Ok(()),
        }
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        let mut outcome = Ok(());
        for (_, batch) in self.begun() {
            outcome = outcome.and(batch.discard().await);
        }
        outcome
    }
}

/// Commits one batch after the other until one can't be; those behind it are dropped.
async fn commit_each(batches: Vec<(Arc<Mounted>, Box<dyn Batch>)>) -> Result<()> {
    let mut committed = Vec::new();
    let mut incomplete = Ok(());
    for (mount, batch) in batches {
        match mount.renamed(batch.commit().await) {
            Ok(()) => {}
            Err(error @ Error::CommitIncomplete { .. }) => incomplete = incomplete.and(Err(error)),
            Err(error) if committed.is_empty() => return Err(error),
            Err(error) => {
                if let Err(error) = incomplete {
                    tracing::warn!(target: target::WRAPPERS, %error, "the first part of a partly committed batch");
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
