//! Lookups of one block on disk.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Blocks;
use super::cached::Lookup;
use crate::disk::{Kind, Stat, if_there};
use crate::error::{Error, Result};
use crate::format::{BlockKey, SHARDING};
use crate::walk::ShardDir;

impl Blocks {
    /// Returns whether the presence filter shows that the block is absent. This does not block.
    pub(crate) fn is_known_absent(&self, block: &BlockKey) -> bool {
        self.presence.excludes(&self.layout.shard_of(block), block)
    }

    /// Returns whether the presence filter of the shard of an absent block should be [filled](Self::fill_filter).
    pub(crate) fn is_listing_due(&self, absent: &BlockKey) -> bool {
        self.presence.is_fill_due(&self.layout.shard_of(absent))
    }

    /// Returns whether the presence filter should be filled although the kernel's cache of names knew that the block
    /// is absent.
    pub(crate) fn is_listing_worth(&self, absent: &BlockKey) -> bool {
        self.presence.is_fill_worth(&self.layout.shard_of(absent))
    }

    /// Fills the presence filter of the shard of an absent block from a listing. Stops if `stop` returns `true`.
    pub(crate) fn fill_filter(&self, absent: &BlockKey, stop: impl Fn() -> bool) -> Result<()> {
        let shard = self.layout.shard_of(absent);
        let Some(mut fill) = self.presence.begin_fill(&shard) else {
            return Ok(());
        };
        match ShardDir::open(&*self.disk, self.layout.root(), &shard)? {
            Some(mut dir) => {
                while let Some(entry) = dir.next_entry()? {
                    // Entries of every kind are added: a directory with the name of a block makes reads fail, so the
                    // block is not absent.
                    let block = BlockKey::of_file(entry.name());
                    if stop() || block.is_some_and(|block| !fill.add(&block)) {
                        return Ok(());
                    }
                }
            }
            // The shard directory may also be missing because the file system is not mounted at the moment. Then
            // `SHARDING` is missing too, and nothing is known about the blocks.
            None => {
                let sharding = self.layout.at_root(SHARDING);
                let found = self.disk.stat(&sharding);
                found.map_err(|error| Error::io("stat", sharding, error))?;
            }
        }
        fill.finish();
        Ok(())
    }

    /// Reads the block, or returns `None` if it doesn't exist.
    pub(crate) fn read(&self, block: &BlockKey) -> Result<Option<Bytes>> {
        if !self.shards.exists(&self.layout.shard_of(block))? {
            return Ok(None);
        }
        self.read_at(self.layout.block(block))
    }

    /// Reads the file of a block or of a staged block, or returns `None` if it doesn't exist.
    pub(crate) fn read_at(&self, path: PathBuf) -> Result<Option<Bytes>> {
        if_there(self.disk.read(&path)).map_err(|error| self.read_error(path, error))
    }

    /// Returns the error that says why the file at a block's path could not be read.
    pub(crate) fn read_error(&self, path: PathBuf, error: io::Error) -> Error {
        match self.disk.stat(&path) {
            Ok(stat) if stat.kind != Kind::File => stat.kind.unexpected(path, "block"),
            _ => Error::io("read", path, error),
        }
    }

    /// Stats the block's file, or returns `None` if it doesn't exist.
    pub(crate) fn stat(&self, block: &BlockKey) -> Result<Option<Stat>> {
        if !self.shards.exists(&self.layout.shard_of(block))? {
            return Ok(None);
        }
        self.stat_at(&self.layout.block(block))
    }

    /// Stats the file at a block's path, or returns `None` if it doesn't exist.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unexpected`] if the path leads to something that is not a file, and [`Error::Io`].
    pub(crate) fn stat_at(&self, path: &Path) -> Result<Option<Stat>> {
        let found = if_there(self.disk.stat(path));
        match found.map_err(|error| Error::io("stat", path, error))? {
            Some(stat) if stat.kind != Kind::File => Err(stat.kind.unexpected(path, "block")),
            found => Ok(found),
        }
    }

    /// Returns whether a put may leave an existing block of this key unchanged, if it has the same size.
    pub(crate) fn may_keep(&self, block: &BlockKey) -> bool {
        self.keeps_existing && !self.unremoved.has(block)
    }

    /// Returns whether a put of a block of `size` bytes leaves the existing block unchanged.
    pub(crate) fn keeps(&self, block: &BlockKey, size: u64) -> Result<bool> {
        if !self.may_keep(block) || self.is_known_absent(block) {
            return Ok(false);
        }
        let found = self.stat(block)?;
        let keeps = found.is_some_and(|found| found.len == size);
        if keeps {
            // Another program may have written the block without flushing it.
            self.unflushed.note_put(block);
        }
        Ok(keeps)
    }

    /// Returns whether a cached read shows that a put of a block of `size` bytes leaves the existing block
    /// unchanged.
    pub(crate) fn keeps_cached(&self, block: &BlockKey, size: u64) -> bool {
        let keeps = self.may_keep(block)
            && !self.is_known_absent(block)
            && self.cached.size(block) == Lookup::Found(size);
        if keeps {
            self.unflushed.note_put(block);
        }
        keeps
    }

    /// Returns whether the file at this path has exactly this value. It usually does if a block is put again and keys
    /// are hashes.
    pub(super) fn has_value(&self, path: &Path, value: &[u8]) -> Result<bool> {
        if self.stat_at(path)?.map(|stat| stat.len) != Some(value.len() as u64) {
            return Ok(false);
        }
        Ok(self
            .read_at(path.to_owned())?
            .is_some_and(|found| found == value))
    }

    /// Returns whether two files exist and have the same contents.
    pub(crate) fn is_same(&self, one: &Path, other: &Path) -> Result<bool> {
        let (Some(first), Some(second)) = (self.stat_at(one)?, self.stat_at(other)?) else {
            return Ok(false);
        };
        if first.len != second.len {
            return Ok(false);
        }
        self.disk
            .is_same(one, other)
            .map_err(|error| Error::io("compare", other, error))
    }
}
