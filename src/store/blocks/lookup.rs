//! Lookups of one block: in memory and in the kernel's caches, without waiting for a disk, and on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Blocks;
use crate::disk::{CachedReads, Disk, Kind, Stat, if_there};
use crate::error::{Error, ExpectedEntry, Result};
use crate::format::{BlockKey, Layout, SHARDING};
use crate::store::stale_check::StaleCheck;
use crate::walk::ShardDir;

/// The result of a lookup that does not wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    Found(T),
    /// The presence filter excludes the block.
    Excluded,
    /// The kernel's cache of names records that the block is absent.
    Absent,
    /// The block must be looked up on disk.
    Unknown,
}

/// The cached reads of the blocks of a store, which the kernel serves from its caches.
#[derive(Debug)]
pub(crate) struct CachedBlocks {
    reads: Option<Box<dyn CachedReads>>,
    layout: Layout,
    /// Only for a store that is open read-only, because it has no lock.
    stale_check: Option<StaleCheck>,
}

impl CachedBlocks {
    pub(super) fn new(disk: &Arc<dyn Disk>, layout: &Layout, read_only: bool) -> Result<Self> {
        let reads = disk.cached_reads(layout.root());
        Ok(CachedBlocks {
            reads: reads.map_err(|error| Error::io("open", layout.root(), error))?,
            layout: layout.clone(),
            stale_check: read_only.then(|| StaleCheck::new(Arc::clone(disk), layout)),
        })
    }

    /// Returns whether this disk has cached reads.
    pub(crate) fn is_available(&self) -> bool {
        self.reads.is_some()
    }

    pub(crate) fn value(&self, block: &BlockKey) -> Lookup<Bytes> {
        let Some(reads) = self.reads.as_deref() else {
            return Lookup::Unknown;
        };
        self.lookup(reads.read(&self.layout.below_root(block)))
    }

    /// Returns the size of a block in bytes.
    fn size(&self, block: &BlockKey) -> Lookup<u64> {
        let Some(reads) = self.reads.as_deref() else {
            return Lookup::Unknown;
        };
        match self.lookup(reads.stat(&self.layout.below_root(block))) {
            // Anything except a file is an error, which the read from disk describes better.
            Lookup::Found(stat) if stat.kind == Kind::File => Lookup::Found(stat.len),
            Lookup::Absent => Lookup::Absent,
            _ => Lookup::Unknown,
        }
    }

    fn lookup<T>(&self, read: Option<io::Result<T>>) -> Lookup<T> {
        match read {
            Some(Ok(found)) => Lookup::Found(found),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound && self.is_current() => {
                Lookup::Absent
            }
            _ => Lookup::Unknown,
        }
    }

    /// Returns whether a cached read shows that this is still the store that was opened, so that a block
    /// which isn't found is absent.
    fn is_current(&self) -> bool {
        match (&self.stale_check, self.reads.as_deref()) {
            (None, _) => true,
            (Some(check), Some(reads)) => check.is_current(reads),
            (Some(_), None) => false,
        }
    }

    /// Checks on disk that a block which wasn't found is absent, and has not been moved to another path.
    ///
    /// # Errors
    ///
    /// Returns the error that opening the store would return now.
    pub(crate) fn check_absence(&self) -> Result<()> {
        self.stale_check.as_ref().map_or(Ok(()), StaleCheck::check)
    }
}

impl Blocks {
    /// Looks up the value of a block without blocking.
    pub(crate) fn cached_value(&self, block: &BlockKey) -> Lookup<Bytes> {
        if self.is_known_absent(block) {
            return Lookup::Excluded;
        }
        self.cached.value(block)
    }

    /// Looks up the size of a block in bytes without blocking.
    pub(crate) fn cached_size(&self, block: &BlockKey) -> Lookup<u64> {
        if self.is_known_absent(block) {
            return Lookup::Excluded;
        }
        self.cached.size(block)
    }

    /// Returns whether the presence filter shows that the block is absent.
    fn is_known_absent(&self, block: &BlockKey) -> bool {
        self.presence.excludes(&self.layout.shard_of(block), block)
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
            Ok(stat) if stat.kind != Kind::File => stat.kind.unexpected(path, ExpectedEntry::Block),
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
        match self.disk.find(path)? {
            Some(stat) if stat.kind != Kind::File => {
                Err(stat.kind.unexpected(path, ExpectedEntry::Block))
            }
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
        let keeps = self.may_keep(block) && self.cached_size(block) == Lookup::Found(size);
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
