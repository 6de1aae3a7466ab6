//! [`ObjectBatch`]: writes that are staged locally until the commit.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::commit;
use super::query;
use super::shared::Shared;
use super::staging::{StagedWrite, Staging, iterate};
use crate::datastore::Batch;
use crate::detached;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::key::Key;
use crate::observe::{self, Operation};
use crate::query::{Entry, EntryStream, Needs, Query, apply};

/// Writes to an [`ObjectDatastore`](super::ObjectDatastore), staged locally until the [commit](ObjectBatch::commit).
///
/// Blocks are staged in memory up to [`batch_memory`](super::ObjectOptions::batch_memory), and beyond that in an
/// anonymous temp file in the [directory for temp files](std::env::temp_dir). Nothing is sent before the commit, so
/// discarding a batch costs no request. Reads of the batch see its own writes. If a key is put twice, the last value
/// takes effect. A put whose future is dropped is either in the batch already or never added. If a put fails because the
/// temp file can't be written, the batch fails: every later call returns [`Error::BatchFailed`], and nothing is sent.
#[must_use = "a batch that is dropped is discarded"]
pub struct ObjectBatch {
    shared: Arc<Shared>,
    staging: Arc<Staging>,
}

impl ObjectBatch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let staging = Arc::new(Staging::new(shared.batch_memory));
        ObjectBatch { shared, staging }
    }

    /// Sends the writes: first the puts, many at a time, then the deletes.
    ///
    /// An object store has no transactions, so readers see some writes before others, and a crash or an error can
    /// leave a part of them. Because the puts come first, an interrupted commit has deleted nothing that it should
    /// have replaced. **Call it again after an error**: the batch keeps its writes, and sending a write twice is safe.
    ///
    /// # Errors
    ///
    /// - [`Error::PartlyStored`]: a request failed. The error has the number of writes that took effect.
    /// - [`Error::BatchFailed`]: an earlier put of the batch failed. Nothing is sent.
    /// - [`Error::Closed`]: the datastore is closed.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the commit continues in a task of its own.
    pub async fn commit(&self) -> Result<()> {
        // The token is taken before the task is spawned: a close that comes later waits for the commit.
        let token = self.shared.begin()?;
        let (shared, writes) = (Arc::clone(&self.shared), self.staging.writes()?);
        let operation = Operation::begin("commit");
        let commit = async move {
            let _token = token;
            operation.end(commit::commit(&shared, writes).await)
        };
        detached::run(commit).await
    }

    fn staged(&self, key: &Key) -> Result<Option<StagedWrite>> {
        self.shared.check_open()?;
        self.staging.get(key)
    }
}

impl fmt::Debug for ObjectBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = self.staging.writes().map(|writes| writes.len());
        f.debug_struct("ObjectBatch")
            .field("writes", &writes.ok())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Batch for ObjectBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.staged(key)? {
            Some(write) => write.value().await,
            None => self.shared.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        Ok(Batch::get_size(self, key).await?.is_some())
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.staged(key)? {
            Some(write) => Ok(write.len().map(|len| len as u64)),
            None => self.shared.size(key, "get_size").await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.shared.check_open()?;
        let writes = self.staging.writes()?;
        let needs = query.needs();
        let own = stream::iter(iterate(Arc::clone(&writes)))
            .then(move |(key, write)| own_entry(key, write, needs))
            .filter_map(|entry| ready(entry.transpose()));
        let stored = query::entries(&self.shared, &query);
        let others = stored.filter(move |entry| {
            ready(match entry {
                Ok(entry) => !writes.contains_key(&entry.key),
                Err(_) => true,
            })
        });
        Ok(apply(query, own.chain(others)))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.shared.check_open()?;
        self.shared.layout.path(key)?;
        let bytes = value.len();
        self.staging.put(key, value).await?;
        observe::bytes_written(bytes);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.shared.check_open()?;
        self.staging.delete(key)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        ObjectBatch::commit(&self).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

async fn own_entry(key: Key, write: StagedWrite, needs: Needs) -> Result<Option<Entry>> {
    // Most entries are ready at once. Without this, a task that reads only such entries would never yield to other
    // tasks.
    tokio::task::consume_budget().await;
    if needs == Needs::Value {
        let value = write.value().await?;
        return Ok(value.map(|value| Entry::with_value(key, value)));
    }
    let len = write.len();
    Ok(len.map(|len| Entry::with_size(key, len as u64)))
}
