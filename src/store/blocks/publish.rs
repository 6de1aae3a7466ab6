//! Changes of one block: to publish, replace or remove it. Each change also updates the disk usage.

use std::io;
use std::path::Path;

use super::Blocks;
use crate::disk::clean_up;
use crate::disk_usage::Change;
use crate::error::{Error, Result};
use crate::format::BlockKey;

/// The contents of a new block. A file that replaces a block must have durable contents.
#[derive(Clone, Copy)]
pub(crate) enum NewBlock<'a> {
    /// A value in memory. It is flushed if it replaces a block.
    Value(&'a [u8]),
    /// A temp file of `size` bytes. It is renamed; after an error it is removed.
    TempFile { path: &'a Path, size: u64 },
    /// A staged file of `size` bytes. It is linked and keeps its staged name, except that it is renamed if
    /// the file system has no hard links or the file replaces a block.
    Staged { path: &'a Path, size: u64 },
}

impl NewBlock<'_> {
    /// Returns the size in bytes.
    fn size(&self) -> u64 {
        match self {
            NewBlock::Value(value) => value.len() as u64,
            NewBlock::TempFile { size, .. } | NewBlock::Staged { size, .. } => *size,
        }
    }

    fn action(&self) -> &'static str {
        match self {
            NewBlock::Value(_) => "write",
            NewBlock::TempFile { .. } => "rename a temp file to",
            NewBlock::Staged { .. } => "link a staged block to",
        }
    }
}

impl Blocks {
    /// Publishes a block: readers see the old block or none, and then the whole new one. The name is not
    /// flushed.
    pub(crate) fn publish(&self, block: &BlockKey, new: NewBlock<'_>) -> Result<()> {
        let path = self.layout.block(block);
        // It is first published as if no block existed, which needs no flush: a power cut may leave the new block
        // truncated, but takes away nothing that existed. If a new block has to be durable, the caller has flushed
        // its contents.
        let published = match self.create(block, &path, new) {
            Err(error) if error.has_io_kind(io::ErrorKind::AlreadyExists) => {
                self.replace(block, &path, new)
            }
            created => created,
        };
        if let (Err(_), NewBlock::TempFile { path, .. }) = (&published, new) {
            clean_up(&*self.disk, path);
        }
        published
    }

    fn create(&self, block: &BlockKey, path: &Path, new: NewBlock<'_>) -> Result<()> {
        self.change(block, || {
            let created = match new {
                NewBlock::Value(value) => {
                    // On a file system without unnamed files this takes the temp file.
                    let (temp, mode) = (self.temp_files.next(), self.temp_files.mode());
                    self.disk.create_whole(path, &temp, value, mode)
                }
                NewBlock::TempFile { path: temp, .. } => self.disk.rename_new(temp, path),
                NewBlock::Staged { path: staged, .. } => self.disk.link_new(staged, path),
            };
            created.map_err(|error| Error::io(new.action(), path, error))?;
            Ok(Change::new_file(new.size()))
        })
    }

    /// Replaces a block. The contents of the new one are durable before the rename, since those of the old
    /// one may be: a power cut that kept only the rename would leave neither block.
    fn replace(&self, block: &BlockKey, path: &Path, new: NewBlock<'_>) -> Result<()> {
        let size = new.size();
        match new {
            NewBlock::Value(value) => {
                // A block that can't be read is replaced, and so is one that may still be removed.
                if !self.unremoved.has(block) && self.has_value(path, value).unwrap_or(false) {
                    return Ok(());
                }
                let temp = self.temp_files.next();
                self.temp_files
                    .write(&temp, value, true)
                    .and_then(|()| self.rename_over(block, path, &temp, size))
                    .inspect_err(|_| clean_up(&*self.disk, &temp))
            }
            NewBlock::TempFile { path: from, .. } | NewBlock::Staged { path: from, .. } => {
                self.rename_over(block, path, from, size)
            }
        }
    }

    fn rename_over(&self, block: &BlockKey, path: &Path, from: &Path, size: u64) -> Result<()> {
        self.change(block, || {
            let before = self.stat_at(path)?.map_or(0, |stat| stat.len);
            let renamed = self.disk.rename(from, path);
            renamed.map_err(|error| Error::io("rename a temp file to", path, error))?;
            Ok(Change {
                before,
                after: size,
            })
        })
    }

    /// Removes a block. Returns its size, or `None` if it doesn't exist.
    pub(crate) fn remove(&self, block: &BlockKey) -> Result<Option<u64>> {
        let (removed, result) = self.remove_all(&self.layout.shard_of(block), [block]);
        result.map(|()| removed.first().map(|(_, size)| *size))
    }

    /// Removes blocks of one shard, up to the first error. Returns those that existed, each with its size.
    pub(crate) fn remove_all<'b>(
        &self,
        shard: &str,
        blocks: impl IntoIterator<Item = &'b BlockKey>,
    ) -> (Vec<(&'b BlockKey, u64)>, Result<()>) {
        let mut result = Ok(());
        let removed = self.usage.track_removals(shard, || {
            let mut removed = Vec::new();
            for block in blocks {
                match self.remove_file(shard, block) {
                    Ok(size) => removed.extend(size.map(|size| (block, size))),
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            removed
        });
        (removed, result)
    }

    /// Removes the file of a block. Returns its size, or `None` if it doesn't exist.
    fn remove_file(&self, shard: &str, block: &BlockKey) -> Result<Option<u64>> {
        let path = self.layout.block(block);
        let found = match self.shards.exists(shard)? {
            true => self.stat_at(&path)?,
            false => None,
        };
        let Some(stat) = found else {
            self.unremoved.forget(block);
            self.unflushed.note_delete(block, shard);
            return Ok(None);
        };
        let removed = self.disk.remove_if_there(&path);
        match &removed {
            Ok(_) => self.unremoved.forget(block),
            Err(error) if error.is_in_use() => {
                self.unremoved.note(block);
                // Nothing reports when the file is removed.
                self.usage.note_uncertain();
            }
            Err(_) => {}
        }
        self.unflushed.note_delete(block, shard);
        removed.map(|existed| existed.then_some(stat.len))
    }

    /// Runs a step that changes a block's file, and adds the change to the disk usage. The shard directory and that of
    /// temp files are created if they don't exist.
    fn change(&self, block: &BlockKey, step: impl Fn() -> Result<Change>) -> Result<()> {
        let shard = self.layout.shard_of(block);
        // The filter gets the block before the file gets its name: otherwise a read in between would report the block
        // as absent.
        let _publishing = self.publishing(block);
        let changed = self
            .shards
            .with_dir(&shard, || self.usage.track(&shard, block, &step));
        // Noted even after a failure: if the block exists already, the put may succeed by leaving it as it is.
        self.unflushed.note_put(block);
        if changed.is_ok() {
            self.unremoved.forget(block);
        }
        changed
    }
}
