//! Puts and deletes, each in its key's turn: by the store's crew where nothing is to be flushed, else
//! [in groups](super::group_commit).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::block::is_already_there;
use super::key_locks::{KeyLock, WriteOp};
use super::{FlatFs, Store};
use crate::disk::clean_up;
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
            return self.store.check_writable();
        };
        let operation = Operation::begin("delete");
        let delete = self.write(block, WriteOp::Delete).await;
        operation.end_write(key, 0, delete)
    }

    /// Runs one write of a key in its turn. Once it has begun it owns all that it needs.
    async fn write(&self, block: BlockKey, effect: WriteOp) -> Result<()> {
        self.store.check_writable()?;
        let mut turn: KeyLock = self.store.turns.take(&block).await;
        if turn.is_done(&effect) {
            return Ok(());
        }
        let is_durable = self.store.options.durability.syncs_writes();
        let permit = if is_durable {
            self.store.durable_permit().await?
        } else {
            self.store.file_permit().await?
        };
        // Last, so that a future which nobody polls doesn't keep a close waiting.
        let held = (permit, self.store.begin_write()?);
        if is_durable {
            return self.store.write_durably(block, effect, turn, held).await;
        }
        let store = Arc::clone(&self.store);
        let job = move || {
            turn.begin();
            store.finish_commits_of(&block)?;
            match &effect {
                WriteOp::Put(value) => store.put_lazily(&block, value)?,
                WriteOp::Delete => store.remove(&block)?,
            }
            turn.done(effect);
            // A close may wait for the rest of what is held, and then nobody may have the store.
            drop(store);
            drop(held);
            Ok(())
        };
        self.store.crew.run(job).await
    }
}

impl Store {
    /// Puts a block, and leaves it to the system when it reaches the disk.
    fn put_lazily(&self, block: &BlockKey, value: &Bytes) -> Result<()> {
        if self.keeps(block, value.len() as u64)? {
            return Ok(());
        }
        match self.create(block, value) {
            Err(error) if is_already_there(&error) => {}
            created => return created,
        }
        // One that can't be read is replaced.
        if self.holds(block, value).unwrap_or(false) {
            return Ok(());
        }
        let temp = self.next_temp_file();
        let replaced = self.replace(&temp, block, value);
        if replaced.is_err() {
            clean_up(&*self.disk, &temp);
        }
        replaced
    }

    fn replace(&self, temp: &Path, block: &BlockKey, value: &Bytes) -> Result<()> {
        self.stage_durably(temp, value)?;
        self.place_over(temp, block, value.len() as u64)
    }

    /// Whether memory knows that a block is there that is to be kept, as durable as the mode asks:
    /// once it has been seen, no write of it is under way any more, nor left to be finished, nor failed.
    fn is_surely_kept(&self, block: &BlockKey, value: &Bytes) -> bool {
        self.may_keep()
            && self.check_writable().is_ok()
            && self.cached_size(block) == Some(Some(value.len() as u64))
            && !self.turns.is_taken(block)
            && self.has_no_unfinished_commits()
            && !self.is_poisoned()
    }
}
