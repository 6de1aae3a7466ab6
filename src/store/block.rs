//! The steps that writes of one block are made of: looking at its place, moving a file there, removing
//! it, each with its entry in the disk usage. A caller has the key's turn.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Store;
use super::opener::Opener;
use super::options::ExistingBlock;
use crate::disk::{Kind, Stat, if_there};
use crate::disk_usage::Change;
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::observe::Flush;

impl Store {
    /// The block's file, `None` if it isn't there.
    pub(super) fn stat_block(&self, block: &BlockKey) -> Result<Option<Stat>> {
        let shard = self.layout.shard_of(block);
        if !self.shards.is_there(&*self.disk, &self.layout, &shard)? {
            return Ok(None);
        }
        self.stat_at(&self.layout.block(block))
    }

    /// The file at a block's place. Anything but a file is an error.
    pub(crate) fn stat_at(&self, target: &Path) -> Result<Option<Stat>> {
        let found = if_there(self.disk.stat(target));
        match found.map_err(|error| Error::io("look at", target, error))? {
            Some(stat) if stat.kind != Kind::File => Err(stat.kind.unexpected(target, "block")),
            found => Ok(found),
        }
    }

    /// Whether blocks that are there may be kept. Where that relies on their durability, the open has flushed
    /// them, unless that would take a walk through all of them.
    pub(super) fn may_keep(&self) -> bool {
        self.options.existing_block == ExistingBlock::Keep
            && (self.disk.syncs_all_at_once() || !self.options.relies_on_found_blocks())
    }

    /// Whether a block is there that is to be kept when one of `size` bytes is put.
    pub(super) fn keeps(&self, block: &BlockKey, size: u64) -> Result<bool> {
        if !self.may_keep() {
            return Ok(false);
        }
        let found = self.stat_block(block)?;
        Ok(found.is_some_and(|found| found.len == size))
    }

    /// Writes a temp file, which is not flushed.
    pub(crate) fn stage(&self, temp: &Path, value: &[u8]) -> Result<()> {
        self.write_temp(temp, value, false)
    }

    /// Writes a temp file whose contents are durable then. A file that is opened anew to be flushed may
    /// not tell of a failure to write it back meanwhile: the kernel forgets that with the file.
    pub(super) fn stage_durably(&self, temp: &Path, value: &[u8]) -> Result<()> {
        let flush = Flush::begin();
        let written = self.write_temp(temp, value, true);
        flush.end(written.is_err());
        written
    }

    fn write_temp(&self, temp: &Path, value: &[u8], sync: bool) -> Result<()> {
        let mode = self.options.file_mode;
        self.in_temp(|| {
            let written = self.disk.write_new(temp, value, mode, sync);
            written.map_err(|error| Error::io("write", temp, error))
        })
    }

    /// Takes a step that needs the directory of temp files, which is made if it isn't there.
    pub(crate) fn in_temp(&self, step: impl Fn() -> Result<()>) -> Result<()> {
        step_in(step, || {
            let root = self.layout.root().to_owned();
            Opener::on(Arc::clone(&self.disk), root).create_dir(&self.layout.temp())
        })
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

    /// Makes a block's file with `value`, unless there is one, and takes that into the disk usage.
    /// Nothing is flushed.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), and those of the disk.
    pub(super) fn create(&self, block: &BlockKey, value: &[u8]) -> Result<()> {
        let target = self.layout.block(block);
        let temp = self.next_temp_file();
        self.in_shard_of(block, |shard| {
            self.meter.track(shard, block, || {
                self.disk
                    .create_whole(&target, &temp, value, self.options.file_mode)
                    .map_err(|error| Error::io("write", &target, error))?;
                Ok(Change::new_file(value.len() as u64))
            })
        })
    }

    /// Moves a file of `size` bytes to the place of a block, unless there is one, and takes that into
    /// the disk usage. `temp` is still there after an error.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), and those of the disk.
    pub(super) fn place_new(&self, temp: &Path, block: &BlockKey, size: u64) -> Result<()> {
        let action = "rename a temp file to";
        self.place(block, size, action, |target| {
            self.disk.rename_new(temp, target)
        })
    }

    /// The same for a file whose first name may stay.
    pub(super) fn link_new(&self, staged: &Path, block: &BlockKey, size: u64) -> Result<()> {
        let action = "link a staged block to";
        self.place(block, size, action, |target| {
            self.disk.link_new(staged, target)
        })
    }

    fn place(
        &self,
        block: &BlockKey,
        size: u64,
        action: &'static str,
        step: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<()> {
        let target = self.layout.block(block);
        self.in_shard_of(block, |shard| {
            self.meter.track(shard, block, || {
                step(&target).map_err(|error| Error::io(action, &target, error))?;
                Ok(Change::new_file(size))
            })
        })
    }

    /// Moves a file of `size` bytes over a block that is there. The contents of `temp` must be
    /// durable, since those of the block may be: a power cut could leave neither.
    pub(super) fn place_over(&self, temp: &Path, block: &BlockKey, size: u64) -> Result<()> {
        let target = self.layout.block(block);
        self.in_shard_of(block, |shard| {
            self.meter.track(shard, block, || {
                let before = self.stat_at(&target)?.map_or(0, |stat| stat.len);
                let moved = self.disk.rename(temp, &target);
                moved.map_err(|error| Error::io("rename a temp file to", &target, error))?;
                Ok(Change {
                    before,
                    after: size,
                })
            })
        })
    }

    /// Takes a step that needs the block's shard directory, which is made if it isn't there.
    fn in_shard_of(&self, block: &BlockKey, step: impl Fn(&str) -> Result<()>) -> Result<()> {
        let shard = self.layout.shard_of(block);
        self.in_shard(&shard, || step(&shard))
    }

    /// Takes a step that needs this shard directory, which is made if it isn't there.
    pub(crate) fn in_shard(&self, shard: &str, step: impl Fn() -> Result<()>) -> Result<()> {
        self.ensure_shard(shard)?;
        step_in(step, || self.make_shard(shard))
    }

    /// Whether the block is there with just this value, as it mostly is where keys are hashes and a
    /// block is put again.
    pub(super) fn holds(&self, block: &BlockKey, value: &[u8]) -> Result<bool> {
        let path = self.layout.block(block);
        if self.stat_at(&path)?.map(|stat| stat.len) != Some(value.len() as u64) {
            return Ok(false);
        }
        Ok(self.read_at(path)?.is_some_and(|found| found == value))
    }

    /// Whether two files have the same contents.
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
}

/// Takes a step in a directory. Where somebody removed that, though nobody should, it is made again.
fn step_in(step: impl Fn() -> Result<()>, make: impl FnOnce() -> Result<()>) -> Result<()> {
    match step() {
        Err(error) if is_not_found(&error) => {
            make()?;
            step()
        }
        done => done,
    }
}

fn is_not_found(error: &Error) -> bool {
    has_kind(error, io::ErrorKind::NotFound)
}

pub(super) fn is_already_there(error: &Error) -> bool {
    has_kind(error, io::ErrorKind::AlreadyExists)
}

fn has_kind(error: &Error, kind: io::ErrorKind) -> bool {
    error.io_error().is_some_and(|error| error.kind() == kind)
}
