//! [`CachedBlocks`]: cached reads of blocks, which the kernel serves from its caches without waiting for a
//! disk.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{CachedReads, Disk, Kind};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout};
use crate::store::stale_check::StaleCheck;

/// The result of a cached read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    Found(T),
    Absent,
    /// The block must be looked up on disk.
    Unknown,
}

/// The cached reads of the blocks of a store.
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
    pub(crate) fn size(&self, block: &BlockKey) -> Lookup<u64> {
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
