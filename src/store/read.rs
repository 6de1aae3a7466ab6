//! Reads of one block.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{FlatFs, Store};
use crate::disk::{Kind, pool};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::layout::BlockKey;

impl FlatFs {
    /// The block of `key`, or `None` if it isn't there. A key that no block can have is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::Unexpected`] if something else than a file stands in the block's
    /// place; [`Error::Io`].
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.read(key, Store::read_block).await
    }

    /// Whether the block of `key` is there.
    ///
    /// # Errors
    ///
    /// As for [`get`](FlatFs::get).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn has(&self, key: &Key) -> Result<bool> {
        Ok(self.get_size(key).await?.is_some())
    }

    /// The size of the block of `key` in bytes, or `None` if it isn't there.
    ///
    /// # Errors
    ///
    /// As for [`get`](FlatFs::get).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.read(key, |store, block| {
            Ok(store.stat_block(block)?.map(|stat| stat.len))
        })
        .await
    }

    async fn read<T, F>(&self, key: &Key, step: F) -> Result<Option<T>>
    where
        F: FnOnce(&Store, &BlockKey) -> Result<Option<T>> + Send + 'static,
        T: Send + 'static,
    {
        let work = self.store.begin_read()?;
        let Ok(block) = BlockKey::new(key) else {
            return Ok(None);
        };
        let permit = self.store.file_permit().await?;
        let store = Arc::clone(&self.store);
        pool::run(move || {
            let read = step(&store, &block);
            drop((permit, work));
            read
        })
        .await
    }
}

impl Store {
    /// The block, `None` if it isn't there.
    pub(crate) fn read_block(&self, block: &BlockKey) -> Result<Option<Bytes>> {
        let shard = self.layout.shard_of(block);
        if !self.shards.is_there(&*self.disk, &self.layout, &shard)? {
            return Ok(None);
        }
        let path = self.layout.block(block);
        match self.disk.read(&path) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(match self.disk.stat(&path) {
                Ok(stat) if stat.kind != Kind::File => Error::Unexpected {
                    path,
                    found: stat.kind.name(),
                    expected: "block",
                },
                _ => Error::io("read", path, error),
            }),
        }
    }
}
