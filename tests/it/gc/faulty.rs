//! A datastore that counts its reads, and some reads and deletes of which fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::{
    Batch, Datastore, DiskUsage, EntryStream, Error, Key, KeyStream, MemoryDatastore, Query, Result,
};
use futures::StreamExt as _;

#[derive(Clone, Debug, Default)]
pub(super) struct Faulty {
    pub(super) store: MemoryDatastore,
    pub(super) reads: Arc<Mutex<HashMap<Key, usize>>>,
    /// The block of which the reads after the first one fail.
    pub(super) bad_later: Option<Key>,
    /// The block whose size can't be read.
    pub(super) bad_size: Option<Key>,
    /// The block that can't be deleted. Bulk deletes delete the others and fail.
    pub(super) stuck: Option<Key>,
}

impl Faulty {
    /// Returns how often the block was read.
    pub(super) fn reads(&self, key: &Key) -> usize {
        self.reads.lock().unwrap().get(key).copied().unwrap_or(0)
    }
}

#[async_trait]
impl Datastore for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let is_later = {
            let mut reads = self.reads.lock().unwrap();
            let reads = reads.entry(key.clone()).or_default();
            *reads += 1;
            *reads > 1
        };
        if is_later && self.bad_later.as_ref() == Some(key) {
            return Err(Error::Backend {
                message: "no longer readable".to_owned(),
                source: None,
            });
        }
        self.store.get(key).await
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.store.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        if self.bad_size.as_ref() == Some(key) {
            return Err(Error::Corrupt {
                key: key.to_string(),
                reason: "bad size".to_owned(),
            });
        }
        self.store.get_size(key).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        self.store.query(query).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.store.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.store.delete(key).await
    }

    async fn delete_many(&self, keys: KeyStream<'_>) -> Result<()> {
        let keys: Vec<Key> = keys.collect().await;
        for key in &keys {
            if self.stuck.as_ref() != Some(key) {
                self.store.delete(key).await?;
            }
        }
        match keys.iter().find(|key| self.stuck.as_ref() == Some(*key)) {
            None => Ok(()),
            // As an object store that does not know which deletes were made.
            Some(key) => Err(Error::PartlyStored {
                stored: 0,
                puts: 0,
                deleted: 0,
                deletes: keys.len(),
                source: Arc::new(Error::Backend {
                    message: format!("{key} can't be deleted"),
                    source: None,
                }),
            }),
        }
    }

    async fn sync(&self) -> Result<()> {
        self.store.sync().await
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        Datastore::batch(&self.store).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        Datastore::disk_usage(&self.store).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}
