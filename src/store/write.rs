//! Puts and deletes.

use std::io;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::flush::Target;
use super::options::ExistingBlock;
use super::turns::{Effect, Turn};
use super::{FlatFs, Store};
use crate::disk::{Kind, Stat, clean_up, if_there, pool};
use crate::disk_usage::Change;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::layout::BlockKey;

impl FlatFs {
    /// Stores a block, in place of one that is there, or as [`ExistingBlock`] says.
    ///
    /// Readers see the old block or the new one, whole. Of puts of the same block at the same time one
    /// runs.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] if the key is not `/` and 1 to 250 of `0-9 A-Z + - _ =`,
    /// [`Error::Full`], [`Error::ReadOnly`], [`Error::Closed`], and [`Error::Io`]. The block is then
    /// what it was, unless the last flush to the disk failed: then it may be the new one, and the
    /// store says [`Error::FlushFailed`] from there on.
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
        self.store.check_writable()?;
        if self.store.is_surely_kept(&block, &value) {
            tokio::task::consume_budget().await;
            return Ok(());
        }
        let effect = Effect::Put(value.clone());
        self.write(block, effect, move |store, block| {
            store.put_block(block, &value)
        })
        .await
    }

    /// Removes a block. It is no error if it isn't there, or can't be by its key.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`], [`Error::Closed`], and [`Error::Io`].
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
        self.write(block, Effect::Delete, Store::delete_block).await
    }

    /// Runs one write of a key, in its turn, as one job that owns all it needs.
    async fn write<F>(&self, block: BlockKey, effect: Effect, step: F) -> Result<()>
    where
        F: FnOnce(&Store, &BlockKey) -> Result<()> + Send + 'static,
    {
        let work = self.store.begin_write()?;
        let mut turn: Turn = self.store.turns.take(&block).await;
        if turn.is_done(&effect) {
            return Ok(());
        }
        let permit = self.store.file_permit().await?;
        let store = Arc::clone(&self.store);
        pool::run(move || {
            turn.begin();
            store.finish_commits_of(&block)?;
            let durable = store.options.durability.syncs_writes();
            let announced = durable.then(|| store.flusher.announce());
            step(&store, &block)?;
            drop(announced);
            turn.done(effect);
            drop((permit, work));
            Ok(())
        })
        .await
    }
}

/// Whether the contents of a temp file are known to be durable. What isn't must not replace a block
/// that may be: a power cut could leave neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Durable,
    Unsynced,
}

impl Store {
    fn put_block(&self, block: &BlockKey, value: &Bytes) -> Result<()> {
        if self.keeps(block, value.len() as u64)? {
            return Ok(());
        }
        let temp = self.next_temp_file();
        let placed = self
            .stage(&temp, value)
            .and_then(|()| self.place(&temp, block, value.len() as u64, self.put_contents()));
        if let Err(error) = placed {
            clean_up(&*self.disk, &temp);
            return Err(error);
        }
        self.sync_entry_of(block)
    }

    fn delete_block(&self, block: &BlockKey) -> Result<()> {
        self.remove(block)?;
        self.sync_entry_of(block)
    }

    /// Writes a temp file, whole and as durable as the mode asks.
    fn stage(&self, temp: &Path, value: &Bytes) -> Result<()> {
        self.disk
            .write_new(temp, value, self.options.file_mode, false)
            .map_err(|error| Error::io("write", temp, error))?;
        if self.options.durability.syncs_writes() {
            self.flush(&[Target::File(temp.to_owned())])?;
        }
        Ok(())
    }

    /// Makes the name of a block, or its absence, as durable as the mode asks.
    fn sync_entry_of(&self, block: &BlockKey) -> Result<()> {
        if !self.options.durability.syncs_writes() {
            return Ok(());
        }
        let shard = self.layout.shard_of(block);
        if !self.shards.is_there(&*self.disk, &self.layout, &shard)? {
            return Ok(());
        }
        self.flush_shards(iter::once(self.layout.at_root(&shard)))
    }

    /// Whether a block is there that is to be kept when one of `size` bytes is put.
    pub(super) fn keeps(&self, block: &BlockKey, size: u64) -> Result<bool> {
        if self.options.existing_block != ExistingBlock::Keep {
            return Ok(false);
        }
        let found = self.stat_block(block)?;
        Ok(found.is_some_and(|found| found.len == size))
    }

    /// Whether memory knows that a block is there that is to be kept, as durable as the mode asks:
    /// once it has been seen, no write of it is under way any more, nor left to be finished, nor failed.
    fn is_surely_kept(&self, block: &BlockKey, value: &Bytes) -> bool {
        self.options.existing_block == ExistingBlock::Keep
            && self.cached_size(block) == Some(Some(value.len() as u64))
            && !self.turns.is_taken(block)
            && self.has_no_unfinished_commits()
            && !self.is_distrusted()
    }

    fn put_contents(&self) -> Contents {
        if self.options.durability.syncs_writes() {
            Contents::Durable
        } else {
            Contents::Unsynced
        }
    }

    /// Moves a file of `size` bytes to the place of a block, and takes that into the disk usage.
    /// `temp` is still there after an error.
    pub(super) fn place(
        &self,
        temp: &Path,
        block: &BlockKey,
        size: u64,
        contents: Contents,
    ) -> Result<()> {
        let shard = self.layout.shard_of(block);
        self.ensure_shard(&shard)?;
        match self.place_in(&shard, temp, block, size, contents) {
            // Somebody removed the directory, though nobody should.
            Err(error) if is_not_found(&error) => {
                self.make_shard(&shard)?;
                self.place_in(&shard, temp, block, size, contents)
            }
            placed => placed,
        }
    }

    fn place_in(
        &self,
        shard: &str,
        temp: &Path,
        block: &BlockKey,
        size: u64,
        contents: Contents,
    ) -> Result<()> {
        let target = self.layout.block(block);
        let failed = |error| Error::io("rename a temp file to", &target, error);
        let moved = self.meter.track(shard, block, || {
            self.disk.rename_new(temp, &target).map_err(failed)?;
            Ok(Change::new_file(size))
        });
        if !moved.as_ref().is_err_and(is_already_there) {
            return moved;
        }
        if contents == Contents::Unsynced {
            if self.is_same(temp, &target)? {
                return self
                    .disk
                    .remove_file(temp)
                    .map_err(|error| Error::io("remove", temp, error));
            }
            self.flush(&[Target::File(temp.to_owned())])?;
        }
        self.meter.track(shard, block, || {
            let before = self.stat_at(&target)?.map_or(0, |stat| stat.len);
            self.disk.rename(temp, &target).map_err(failed)?;
            Ok(Change {
                before,
                after: size,
            })
        })
    }

    /// Whether a block has the contents of a temp file already, as it mostly has where keys are
    /// hashes: then there is nothing to replace, and nothing to flush for that.
    fn is_same(&self, temp: &Path, target: &Path) -> Result<bool> {
        let (Some(new), Some(old)) = (self.stat_at(temp)?, self.stat_at(target)?) else {
            return Ok(false);
        };
        if new.len != old.len {
            return Ok(false);
        }
        let read = |path: &Path| {
            let contents = self.disk.read(path);
            contents.map_err(|error| Error::io("read", path, error))
        };
        Ok(read(temp)? == read(target)?)
    }

    /// Makes the shard directory if it isn't there.
    pub(crate) fn ensure_shard(&self, shard: &str) -> Result<()> {
        if self.shards.is_there(&*self.disk, &self.layout, shard)? {
            return Ok(());
        }
        self.make_shard(shard)
    }

    fn make_shard(&self, shard: &str) -> Result<()> {
        self.shards
            .make(&*self.disk, &self.layout, &self.meter, shard)
    }

    /// Removes a block, and takes that out of the disk usage.
    pub(crate) fn remove(&self, block: &BlockKey) -> Result<()> {
        let Some(stat) = self.stat_block(block)? else {
            return Ok(());
        };
        let shard = self.layout.shard_of(block);
        let target = self.layout.block(block);
        self.meter.track(&shard, block, || {
            let removed = if_there(self.disk.remove_file(&target));
            let removed = removed.map_err(|error| Error::io("remove", &target, error))?;
            Ok(removed.map_or(Change::NONE, |()| Change::removed(stat.len)))
        })
    }

    /// The block's file, `None` if it isn't there.
    pub(super) fn stat_block(&self, block: &BlockKey) -> Result<Option<Stat>> {
        let shard = self.layout.shard_of(block);
        if !self.shards.is_there(&*self.disk, &self.layout, &shard)? {
            return Ok(None);
        }
        self.stat_at(&self.layout.block(block))
    }

    /// The file at a block's place. Anything but a file is an error.
    pub(super) fn stat_at(&self, target: &Path) -> Result<Option<Stat>> {
        let found = if_there(self.disk.stat(target));
        match found.map_err(|error| Error::io("look at", target, error))? {
            Some(stat) if stat.kind != Kind::File => Err(Error::Unexpected {
                path: target.to_owned(),
                found: stat.kind.name(),
                expected: "block",
            }),
            found => Ok(found),
        }
    }
}

fn is_not_found(error: &Error) -> bool {
    has_kind(error, io::ErrorKind::NotFound)
}

fn is_already_there(error: &Error) -> bool {
    has_kind(error, io::ErrorKind::AlreadyExists)
}

fn has_kind(error: &Error, kind: io::ErrorKind) -> bool {
    error.io_error().is_some_and(|error| error.kind() == kind)
}
