//! Puts and deletes, each under the lock of its key: on the store's work queue where nothing is flushed, and
//! [in groups](super::group_commit) where each is durable.

use bytes::Bytes;

use super::blocks::NewBlock;
use super::flatfs::FlatFs;
use super::key_locks::{KeyLock, WriteOp};
use super::shared::Store;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;
use crate::observe::Operation;

impl FlatFs {
    /// Stores a block. If the key has one, it is replaced, or left as [`ExistingBlock`](crate::ExistingBlock) says.
    ///
    /// Readers see the old block or the new one, whole. Of concurrent puts of the same block only one is written.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] if the key is not `/` and 1 to 250 of `0-9 A-Z + - _ =`,
    /// [`Error::Full`], [`Error::EarlierCommit`], [`Error::ReadOnly`], [`Error::Closed`],
    /// [`Error::Unexpected`] if there is something that is not a file at the block's path, or not a directory at
    /// its shard's, [`Error::Runtime`], and [`Error::Io`]. After an error the block is what it was, unless it is
    /// the last flush that failed: then it may be the new one, and the store returns [`Error::FlushFailed`] from
    /// then on.
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
        if self.store.is_put_unneeded(&block, &value) {
            tokio::task::consume_budget().await;
            return Operation::begin("put").end_write(key, 0, Ok(()));
        }
        let (operation, bytes) = (Operation::begin("put"), value.len());
        let put = self.write(block, WriteOp::Put(value)).await;
        operation.end_write(key, bytes, put)
    }

    /// Removes a block. It is not an error if the block is absent, or its key is one that no block can have.
    ///
    /// # Errors
    ///
    /// [`Error::EarlierCommit`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Unexpected`] as for
    /// [`put`](FlatFs::put), [`Error::Runtime`], and [`Error::Io`]. After an error the block still exists, unless
    /// it is the last flush that failed: then it may be removed, and the store returns [`Error::FlushFailed`]
    /// from then on.
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

    /// Waits for the lock of a key, and then makes one write of it.
    async fn write(&self, block: BlockKey, op: WriteOp) -> Result<()> {
        let store = &self.store;
        store.lifecycle.check_writable()?;
        let mut key_lock: KeyLock = store.key_locks.lock(&block).await;
        if key_lock.did(&op) {
            return Ok(());
        }
        if store.options.durability.syncs_writes() {
            let permit = store.group_commit.permit().await?;
            let guard = store.begin_write_with(permit)?;
            return store.group_commit.write(block, op, key_lock, guard).await;
        }
        let guard = store.begin_write().await?;
        let job = move || {
            key_lock.begin();
            // A pending commit that was applied later would undo this write.
            guard.commit_log.roll_forward_key(&block)?;
            match &op {
                WriteOp::Put(value) => guard.put_lazily(&block, value)?,
                WriteOp::Delete => guard.blocks.remove(&block)?,
            }
            key_lock.succeeded(op);
            Ok(())
        };
        store.work_queue.run(job).await
    }
}

impl Store {
    /// Puts a block, and leaves it to the system when it reaches the disk.
    fn put_lazily(&self, block: &BlockKey, value: &Bytes) -> Result<()> {
        if self.blocks.keeps(block, value.len() as u64)? {
            return Ok(());
        }
        self.blocks.publish(block, NewBlock::Value(value))
    }

    /// Whether memory knows that a put leaves the block that exists as it is, and that this is as durable as
    /// the mode asks: once it was seen, no write of it runs any more, or is left to a pending commit, or has
    /// failed.
    fn is_put_unneeded(&self, block: &BlockKey, value: &Bytes) -> bool {
        self.lifecycle.check_writable().is_ok()
            && self.blocks.keeps_cached(block, value.len() as u64)
            // In this order: a commit becomes pending before it releases its key locks.
            && !self.key_locks.is_locked(block)
            && !self.commit_log.has_pending()
            && !self.blocks.flusher().is_poisoned()
    }
}
