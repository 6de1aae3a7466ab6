//! Reads of one block.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{FlatFs, Store};
use crate::blocking;
use crate::disk::{Kind, if_there};
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::key::Key;
use crate::observe::{self, Operation, Source};

impl FlatFs {
    /// The block of `key`, or `None` if it isn't there. A key that no block can have is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::Unexpected`] if something else than a file stands in the block's
    /// place or than a directory in its shard's; [`Error::Runtime`]; [`Error::Io`]; and if the store is
    /// open read-only and the block isn't where it was, [`Error::Resharding`], [`Error::ShardMismatch`]
    /// and [`Error::NotAStore`] where the store was re-sharded or moved away meanwhile.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.read(key, Lookup::BLOCK).await
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
        let size = self.read(key, Lookup::size("has")).await?;
        Ok(size.is_some())
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
        self.read(key, Lookup::size("get_size")).await
    }

    /// Tries what memory knows, here and now, and then asks the disk as one job.
    async fn read<T>(&self, key: &Key, lookup: Lookup<T>) -> Result<Option<T>>
    where
        T: Send + 'static,
    {
        self.store.check_open()?;
        let Ok(block) = BlockKey::new(key) else {
            return lookup.remembered(key, None);
        };
        if self.store.cached.is_some() {
            // A task that finds everything in memory would never let others run.
            tokio::task::consume_budget().await;
            if let Some(found) = (lookup.from_memory)(&self.store, &block) {
                return lookup.remembered(key, found);
            }
        }
        let permit = self.store.file_permit().await?;
        let work = self.store.begin_read()?;
        let store = Arc::clone(&self.store);
        blocking::run(move || {
            let read = lookup.read(&store, &block);
            drop((permit, work));
            read
        })
        .await
    }
}

/// How one block is looked up.
pub(super) struct Lookup<T> {
    /// The operation, as it is reported.
    name: &'static str,
    pub(super) from_memory: fn(&Store, &BlockKey) -> Option<Option<T>>,
    from_disk: fn(&Store, &BlockKey) -> Result<Option<T>>,
    /// How many bytes a value takes.
    weigh: fn(&T) -> usize,
}

impl Lookup<Bytes> {
    pub(super) const BLOCK: Self = Lookup {
        name: "get",
        from_memory: Store::cached_block,
        from_disk: Store::read_block,
        weigh: Bytes::len,
    };
}

impl Lookup<u64> {
    pub(super) const fn size(name: &'static str) -> Self {
        Lookup {
            name,
            from_memory: Store::cached_size,
            from_disk: |store, block| Ok(store.stat_block(block)?.map(|stat| stat.len)),
            weigh: |_| 0,
        }
    }
}

impl<T> Lookup<T> {
    /// What memory knew of a key, reported.
    pub(super) fn remembered(&self, key: &Key, found: Option<T>) -> Result<Option<T>> {
        let answer = Ok(found);
        observe::read(
            self.name,
            Source::Memory,
            key,
            self.weight(&answer),
            &answer,
        );
        answer
    }

    /// Asks the disk, and reports it.
    pub(super) fn read(&self, store: &Store, block: &BlockKey) -> Result<Option<T>> {
        let operation = Operation::begin(self.name);
        let answer = (self.from_disk)(store, block).and_then(|found| match found {
            None => store.check_absence().map(|()| None),
            found => Ok(found),
        });
        operation.end_read(block.key(), self.weight(&answer), &answer);
        answer
    }

    /// How many bytes an answer takes.
    pub(super) fn weight(&self, answer: &Result<Option<T>>) -> usize {
        match answer {
            Ok(Some(value)) => (self.weigh)(value),
            _ => 0,
        }
    }
}

impl<T> Clone for Lookup<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lookup<T> {}

impl Store {
    pub(super) fn cached_block(&self, block: &BlockKey) -> Option<Option<Bytes>> {
        let cached = self.cached.as_deref()?;
        let read = found(cached.read(&self.layout.below_root(block))?)?;
        (read.is_some() || self.is_surely_absent()).then_some(read)
    }

    pub(super) fn cached_size(&self, block: &BlockKey) -> Option<Option<u64>> {
        let cached = self.cached.as_deref()?;
        match found(cached.stat(&self.layout.below_root(block))?)? {
            // Anything but a file is an error, which the disk tells better.
            Some(stat) => (stat.kind == Kind::File).then_some(Some(stat.len)),
            None => self.is_surely_absent().then_some(None),
        }
    }

    /// The block, `None` if it isn't there.
    pub(crate) fn read_block(&self, block: &BlockKey) -> Result<Option<Bytes>> {
        let shard = self.layout.shard_of(block);
        if !self.shards.is_there(&*self.disk, &self.layout, &shard)? {
            return Ok(None);
        }
        self.read_at(self.layout.block(block))
    }

    /// The contents of the file at a block's place, or where one is staged, `None` if there is none.
    pub(crate) fn read_at(&self, path: PathBuf) -> Result<Option<Bytes>> {
        if_there(self.disk.read(&path)).map_err(|error| self.not_read(path, error))
    }

    /// Why what stands at a block's place could not be read.
    pub(super) fn not_read(&self, path: PathBuf, error: io::Error) -> Error {
        match self.disk.stat(&path) {
            Ok(stat) if stat.kind != Kind::File => stat.kind.unexpected(path, "block"),
            _ => Error::io("read", path, error),
        }
    }
}

fn found<T>(answer: io::Result<T>) -> Option<Option<T>> {
    match answer {
        Ok(found) => Some(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}
