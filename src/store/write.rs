//! Puts and deletes, each in its key's turn: by the store's crew where nothing is to be flushed, else
//! [in groups](super::group_commit).

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
    /// Stores a block, in place of one that is there, or as [`ExistingBlock`](crate::ExistingBlock) says.
    ///
    /// Readers see the old block or the new one, whole. Of puts of the same block at the same time one
    /// runs.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] if the key is not `/` and 1 to 250 of `0-9 A-Z + - _ =`,
    /// [`Error::Full`], [`Error::EarlierCommit`], [`Error::ReadOnly`], [`Error::Closed`],
    /// [`Error::Unexpected`] if something else than a file stands in the block's place or than a directory
    /// in its shard's, [`Error::Runtime`], and [`Error::Io`]. The block is then what it was, unless the
    /// last flush to the disk failed: then it may be the new one, and the store says
    /// [`Error::FlushFailed`] from there on.
    ///
    /// # Cancel safety
    ///
    /// The block is then put as a whole or not at all, and it may happen after the future is gone.
    ///
    /// # Durability
    ///
    /// As the [`Durability`](crate::Durability) of the store says.
    pub async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let block = BlockKey::new(key)?;
        if self.store.is_surely_kept(&block, &value) {
            tokio::task::consume_budget().await;
            return Operation::begin("put").end_write(key, 0, Ok(()));
        }
        let (operation, bytes) = (Operation::begin("put"), value.len());
        let put = self.write(block, WriteOp::Put(value)).await;
        operation.end_write(key, bytes, put)
    }

    /// Removes a block. It is no error if it isn't there, or can't be by its key.
    ///
    /// # Errors
    ///
    /// [`Error::EarlierCommit`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Unexpected`] as for
    /// [`put`](FlatFs::put), [`Error::Runtime`], and [`Error::Io`]. The block may be gone then if it was
    /// the last flush to the disk that failed; the store says [`Error::FlushFailed`] from there on.
    ///
    /// # Cancel safety
    ///
    /// The block is then there or not, and may be removed after the future is gone.
    ///
    /// # Durability
    ///
    /// As the [`Durability`](crate::Durability) of the store says. It works on a full disk.
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
    fn is_surely_kept(&self, block: &BlockKey, value: &Bytes) -> bool {
        self.lifecycle.check_writable().is_ok()
            && self.blocks.keeps_cached(block, value.len() as u64)
            // In this order: a commit becomes pending before it releases its key locks.
            && !self.key_locks.is_locked(block)
            && !self.commit_log.has_pending()
            && !self.blocks.flusher().is_poisoned()
    }
}
