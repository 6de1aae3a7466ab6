//! [`BatchWriter`]: writes to a store in batches of bounded size.

use std::collections::HashSet;

use anyhow::Context as _;
use bytes::Bytes;
use ds_flatfs::{Batch, Key};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::open_store::OpenStore;
use crate::progress::ProgressBar;

/// The maximum number of writes in a batch, which has a few hundred bytes of each in memory.
const MAX_WRITES: u64 = 8192;
/// The maximum number of bytes in a batch, so that an interrupted command loses little work.
const MAX_BYTES: u64 = 256 << 20;
/// The maximum number of lookups at a time. In an object store each is a request.
pub(crate) const MAX_LOOKUPS: usize = 64;

/// Collects puts and deletes in a batch. The caller commits it when it [is full](BatchWriter::is_full), and at
/// the end; a batch that is not committed is discarded.
pub(crate) struct BatchWriter<'a> {
    store: &'a OpenStore,
    /// Whether a block that the store has with the same size is durable, so that it need not be written.
    skips_present: bool,
    batch: Option<Box<dyn Batch>>,
    writes: u64,
    bytes: u64,
}

impl<'a> BatchWriter<'a> {
    pub(crate) fn new(store: &'a OpenStore) -> Self {
        BatchWriter {
            store,
            // A lookup of a remote block takes as long as sending it.
            skips_present: store.keeps_existing_blocks() && !store.has_costly_lookups(),
            batch: None,
            writes: 0,
            bytes: 0,
        }
    }

    /// Puts a block. A block that the store has with another size is damaged, so it is replaced.
    ///
    /// # Errors
    ///
    /// Fails if the block can't be written. After that, the batch can't be committed.
    pub(crate) async fn put(&mut self, key: &Key, block: Bytes) -> anyhow::Result<()> {
        let (len, skips_present) = (block.len() as u64, self.skips_present);
        let batch = self.batch().await?;
        if !(skips_present && batch.get_size(key).await? == Some(len)) {
            batch.put(key, block).await?;
        }
        self.writes += 1;
        self.bytes += len;
        Ok(())
    }

    /// Returns which of the keys have a block, several lookups at a time.
    ///
    /// # Errors
    ///
    /// Fails if the store can't be read.
    pub(crate) async fn existing(
        &mut self,
        keys: impl Iterator<Item = Key>,
    ) -> anyhow::Result<HashSet<Key>> {
        let batch = self.batch().await?;
        let lookups = stream::iter(keys).map(|key| async move {
            let exists = batch.has(&key).await;
            let exists = exists.with_context(|| format!("cannot look up {key}"))?;
            Ok(exists.then_some(key))
        });
        let existing = lookups.buffer_unordered(MAX_LOOKUPS);
        existing
            .try_filter_map(async |key| Ok(key))
            .try_collect()
            .await
    }

    /// Deletes a block.
    ///
    /// # Errors
    ///
    /// Fails if the batch has failed.
    pub(crate) async fn delete(&mut self, key: &Key) -> anyhow::Result<()> {
        let deleted = self.batch().await?.delete(key).await;
        deleted.with_context(|| format!("cannot remove {key}"))?;
        self.writes += 1;
        Ok(())
    }

    /// Returns whether it is time to commit.
    pub(crate) fn is_full(&self) -> bool {
        self.writes >= MAX_WRITES || self.bytes >= MAX_BYTES
    }

    /// Commits what was written. After that, the next batch begins.
    ///
    /// # Errors
    ///
    /// Fails if the commit fails.
    pub(crate) async fn commit(&mut self) -> anyhow::Result<()> {
        (self.writes, self.bytes) = (0, 0);
        if let Some(batch) = self.batch.take() {
            let _phase = ProgressBar::phase("committing");
            batch.commit().await?;
        }
        Ok(())
    }

    async fn batch(&mut self) -> anyhow::Result<&dyn Batch> {
        let batch = match self.batch.take() {
            Some(batch) => batch,
            None => self.store.batch().await?,
        };
        Ok(&**self.batch.insert(batch))
    }
}
