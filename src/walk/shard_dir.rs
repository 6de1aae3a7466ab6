//! [`ShardDir`]: a shard directory and the rest of its entries.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{CurrentEntry, Disk, Kind, Listing, if_there};
use crate::error::{Error, Result};

/// Where a walk keeps the remaining entries of a directory between two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listings {
    /// On disk: the directory stays open, and no names are in memory.
    Open,
    /// In memory, all names of the directory, so that no file stays open.
    InMemory,
}

/// A directory of the root that is being listed, usually a shard directory.
#[derive(Debug)]
pub(crate) struct ShardDir {
    name: Arc<str>,
    path: PathBuf,
    listing: Listing,
}

impl ShardDir {
    /// Lists the directory `name` of a root. Returns `None` if it no longer exists.
    pub(crate) fn open(disk: &dyn Disk, root: &Path, name: &str) -> Result<Option<Self>> {
        let path = root.join(name);
        let listing =
            if_there(disk.list(&path)).map_err(|error| Error::io("list", &path, error))?;
        Ok(listing.map(|listing| ShardDir {
            name: Arc::from(name),
            path,
            listing,
        }))
    }

    pub(super) fn into_memory(self, disk: Arc<dyn Disk>) -> Self {
        let listing = self.listing.into_memory(disk, self.path.clone());
        ShardDir { listing, ..self }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves to the next entry and returns it, or `None` at the end and after an error.
    pub(crate) fn next_entry(&mut self) -> Result<Option<CurrentEntry<'_>>> {
        let kind = self.advance()?;
        Ok(kind.map(|kind| self.current(kind)))
    }

    /// Moves to the next entry.
    pub(super) fn advance(&mut self) -> Result<Option<Kind>> {
        let path = &self.path;
        let entry = self.listing.advance();
        entry.map_err(|error| Error::io("list", path, error))
    }

    /// Returns the current entry, which is of this kind.
    pub(super) fn current(&self, kind: Kind) -> CurrentEntry<'_> {
        self.listing.current(kind)
    }
}
