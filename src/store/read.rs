//! Reads of one block.

use bytes::Bytes;

use super::blocks::{Blocks, Lookup};
use super::flatfs::FlatFs;
use super::shared::StoreGuard;
use crate::blocking;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;
use crate::observe::{self, Operation, ReadSource, target};

impl FlatFs {
    /// Returns the block of `key`, or `None` if it is absent. A key that no block can have is absent.
    ///
    /// # Errors
    ///
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Io`]: the block can't be read.
    /// - [`Error::Unexpected`]: the block's path leads to something that is not a file, or its shard directory is
    ///   not a directory.
    /// - [`Error::Resharding`], [`Error::ShardMismatch`] or [`Error::NotAStore`]: the store is open read-only and
    ///   was re-sharded or moved away, and the block is not found.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.read(key, BlockRead::VALUE).await
    }

    /// Returns whether the block of `key` exists.
    ///
    /// # Errors
    ///
    /// As for [`get`](FlatFs::get).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn has(&self, key: &Key) -> Result<bool> {
        let size = self.read(key, BlockRead::size("has")).await?;
        Ok(size.is_some())
    }

    /// Returns the size of the block of `key` in bytes, or `None` if it is absent.
    ///
    /// # Errors
    ///
    /// As for [`get`](FlatFs::get).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.read(key, BlockRead::size("get_size")).await
    }

    /// Tries a cached read on this thread first, and then reads from disk as one job.
    async fn read<T>(&self, key: &Key, read: BlockRead<T>) -> Result<Option<T>>
    where
        T: Send + 'static,
    {
        self.store.lifecycle.check_open()?;
        let Ok(block) = BlockKey::new(key) else {
            return read.report_cached(key, None);
        };
        // Without this, a task whose reads are all cached would never yield to other tasks.
        tokio::task::consume_budget().await;
        let blocks = &self.store.blocks;
        match (read.from_cache)(blocks, &block) {
            Lookup::Found(found) => return read.report_cached(key, Some(found)),
            Lookup::Excluded => return read.report_cached(key, None),
            Lookup::Absent => {
                let shard = blocks.layout().shard_of(&block);
                if blocks.presence().is_fill_worth(&shard) {
                    self.fill_filter(block);
                }
                return read.report_cached(key, None);
            }
            Lookup::Unknown => {}
        }
        let guard = self.store.begin_read().await?;
        blocking::run(move || {
            let result = read.run(&guard.blocks, &block);
            if let Ok(None) = result {
                fill_filters(guard, vec![block]);
            }
            result
        })
        .await
    }

    /// Fills the presence filter of the shard of an absent block in the background, if that is possible without a
    /// wait.
    fn fill_filter(&self, absent: BlockKey) {
        if !blocking::is_available() {
            return;
        }
        let permit = self.store.open_files.try_permit();
        let guard = permit.and_then(|permit| self.store.begin_read_with(permit).ok());
        if let Some(guard) = guard {
            fill_filters(guard, vec![absent]);
        }
    }
}

/// A kind of read of one block.
pub(super) struct BlockRead<T> {
    /// The name of the operation in logs and metrics.
    name: &'static str,
    /// Looks the block up without blocking.
    pub(super) from_cache: fn(&Blocks, &BlockKey) -> Lookup<T>,
    from_disk: fn(&Blocks, &BlockKey) -> Result<Option<T>>,
    /// Returns how many bytes of memory a value takes.
    value_size: fn(&T) -> usize,
}

impl BlockRead<Bytes> {
    pub(super) const VALUE: Self = BlockRead {
        name: "get",
        from_cache: Blocks::cached_value,
        from_disk: Blocks::read,
        value_size: Bytes::len,
    };
}

impl BlockRead<u64> {
    pub(super) const fn size(name: &'static str) -> Self {
        BlockRead {
            name,
            from_cache: Blocks::cached_size,
            from_disk: |blocks, block| Ok(blocks.stat(block)?.map(|stat| stat.len)),
            value_size: |_| 0,
        }
    }
}

impl<T> BlockRead<T> {
    /// Reports and returns the result of a cached read.
    pub(super) fn report_cached(&self, key: &Key, found: Option<T>) -> Result<Option<T>> {
        let result = Ok(found);
        let bytes = self.size_in_memory(&result);
        observe::read(self.name, ReadSource::Memory, key, bytes, &result);
        result
    }

    /// Reads from disk, and reports the result.
    pub(super) fn run(&self, blocks: &Blocks, block: &BlockKey) -> Result<Option<T>> {
        let operation = Operation::begin(self.name);
        let result = (self.from_disk)(blocks, block).and_then(|found| match found {
            // Checked after the read: if the store was moved away before it, every block looks absent.
            None => blocks.cached().check_absence().map(|()| None),
            found => Ok(found),
        });
        operation.end_read(
            ReadSource::Disk,
            block.key(),
            self.size_in_memory(&result),
            &result,
        );
        result
    }

    /// Returns how many bytes of memory a result takes.
    pub(super) fn size_in_memory(&self, result: &Result<Option<T>>) -> usize {
        match result {
            Ok(Some(value)) => (self.value_size)(value),
            _ => 0,
        }
    }
}

/// Fills the presence filters of the shards of absent blocks, in the background. The reads that found these blocks
/// absent do not wait for that.
pub(super) fn fill_filters(guard: StoreGuard, mut absent: Vec<BlockKey>) {
    let (layout, presence) = (guard.blocks.layout(), guard.blocks.presence());
    absent.retain(|block| presence.is_fill_due(&layout.shard_of(block)));
    if absent.is_empty() {
        return;
    }
    let list = move || {
        for block in &absent {
            let stop = || guard.lifecycle.is_closed();
            if let Err(error) = guard.blocks.fill_filter(block, stop) {
                let key = block.key();
                tracing::debug!(target: target::READ, %key, %error, "cannot list the shard directory of an absent block");
            }
        }
    };
    // Tests on the fault disk count its steps, so the order of steps must be the same in every run.
    if cfg!(test) {
        list();
    } else {
        blocking::detach(list);
    }
}

impl<T> Clone for BlockRead<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for BlockRead<T> {}
