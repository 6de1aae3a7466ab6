//! Puts and deletes of single blocks, each under its key lock. Writes that flush nothing run on the store's
//! work queue, durable ones [in groups](super::group_commit).

use bytes::Bytes;

use super::blocks::NewBlock;
use super::flatfs::FlatFs;
use super::key_locks::WriteOp;
use super::shared::Store;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;
use crate::observe::Operation;

impl FlatFs {
    /// Stores a block. An existing block of the key is replaced or left, as [`ExistingBlock`](crate::ExistingBlock)
    /// says.
    ///
    /// Readers see the whole old block or the whole new one. If equal puts of a block run concurrently, only one
    /// is written.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidKey`]: the key is not `/` followed by 1 to 250 characters of `0-9 A-Z + - _ =`.
    /// - [`Error::Closed`] or [`Error::ReadOnly`]: the store is closed, or open read-only.
    /// - [`Error::Full`] or [`Error::Io`]: the file system is full, or a step fails.
    /// - [`Error::Unexpected`]: the block's path leads to something that is not a file, or its shard directory
    ///   is not a directory.
    /// - [`Error::EarlierCommit`]: a pending commit of the key can't be applied.
    /// - [`Error::FlushFailed`]: an earlier flush of the store failed.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// After an error the block is unchanged, unless the last flush failed: then it may be the new block, and
    /// the store returns [`Error::FlushFailed`] from then on.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the put may still take effect, as a whole or not at all.
    ///
    /// # Durability
    ///
    /// As the store's [`Durability`](crate::Durability) says.
    pub async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let block = BlockKey::new(key)?;
        // Without this, a task whose puts all find their blocks would never yield to other tasks.
        tokio::task::consume_budget().await;
        let key_locks = &self.store.key_locks;
        let watches = key_locks.watches_begun();
        if self.store.is_put_unneeded(&block, &value) && key_locks.watches_begun() == watches {
            return Operation::begin("put").end_write(key, 0, Ok(()));
        }
        let (operation, bytes) = (Operation::begin("put"), value.len());
        let mut put = self.write(block.clone(), WriteOp::Put(value.clone())).await;
        // A garbage collection that has begun in the meantime may have missed this put, and would remove the block.
        if put.is_ok() && key_locks.watches_begun() != watches {
            put = self.write(block, WriteOp::Put(value)).await;
        }
        operation.end_write(key, bytes, put)
    }

    /// Removes a block. It is not an error if the block is absent, or if no block can have the key.
    ///
    /// # Errors
    ///
    /// As for [`put`](FlatFs::put), except for [`Error::InvalidKey`] and [`Error::Full`]. After an error the block
    /// still exists, with two exceptions. If the last flush failed, it may be removed, and the store returns
    /// [`Error::FlushFailed`] from then on. If another program has its file [in use](Error::is_in_use), which only
    /// Windows reports, it may be removed when that program closes the file; a put in this session writes it again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the delete may still take effect.
    ///
    /// # Durability
    ///
    /// As the store's [`Durability`](crate::Durability) says. A delete works on a full disk.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        let Ok(block) = BlockKey::new(key) else {
            return self.store.lifecycle.check_writable();
        };
        let operation = Operation::begin("delete");
        let delete = self.write(block, WriteOp::Delete).await;
        operation.end_write(key, 0, delete)
    }

    /// Waits for the key lock, and makes one write of the key.
    async fn write(&self, block: BlockKey, op: WriteOp) -> Result<()> {
        let store = &self.store;
        store.lifecycle.check_writable()?;
        // The key lock is taken before the permit: writes that wait for the lock could otherwise hold all permits
        // while the write that has the lock waits for one.
        let Some(key_lock) = store.key_locks.lock_for(&block, &op).await else {
            return Ok(());
        };
        if store.options.durability.syncs_writes() {
            let permit = store.group_commit.permit().await?;
            let guard = store.begin_write_with(permit)?;
            return store.group_commit.write(block, op, key_lock, guard).await;
        }
        let guard = store.begin_write().await?;
        let job = move || {
            // Dropped before the guard, so that no key is locked once a close has waited for this job.
            let key_lock = key_lock;
            // A pending commit that was applied later would undo this write.
            guard.commit_log.roll_forward_key(&block)?;
            match &op {
                WriteOp::Put(value) => guard.put_lazily(&block, value)?,
                WriteOp::Delete => _ = guard.blocks.remove(&block)?,
            }
            // Released only now that the write is done: the next holder of the lock may skip the same write.
            key_lock.succeeded(op);
            Ok(())
        };
        store.work_queue.run(job).await
    }
}

impl Store {
    /// Puts a block without flushing it. The operating system decides when it reaches the disk.
    fn put_lazily(&self, block: &BlockKey, value: &Bytes) -> Result<()> {
        if self.blocks.keeps(block, value.len() as u64)? {
            return Ok(());
        }
        self.blocks.publish(block, NewBlock::Value(value))
    }

    /// Returns whether a cached read shows that a put leaves the existing block unchanged, and that this
    /// block is as durable as the mode requires. It is, if after the read no write of it is running, no
    /// commit is pending, and no flush has failed.
    fn is_put_unneeded(&self, block: &BlockKey, value: &Bytes) -> bool {
        self.lifecycle.check_writable().is_ok()
            && self.blocks.keeps_cached(block, value.len() as u64)
            // The key lock is checked first: a commit becomes pending before it releases its key locks.
            && !self.key_locks.is_needed(block)
            && !self.commit_log.has_pending()
            && !self.blocks.flusher().is_poisoned()
    }
}
