//! [`RootEntries`]: what is in the root of a store, and [`Root`]: a listing of it that walks share.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::shard_dir::{Listings, ShardDir};
use crate::disk::{Disk, Kind, Listing};
use crate::error::{Error, Result};
use crate::format::{self, DISK_USAGE, LOCK, QUARANTINE, README, SHARDING, TEMP, UNCLEAN};
use crate::sync::lock;

/// An entry of the root.
#[derive(Debug)]
pub(crate) struct RootEntry {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
    pub(crate) role: RootRole,
}

/// What an entry of the root is, by its name and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootRole {
    /// One of the store's own files and directories, by its name. It should be of this kind.
    Own(Kind),
    /// A directory that may have blocks in it.
    Shard,
    /// A symbolic link or a special file that has the name of a shard directory.
    ShardObstacle,
    /// Something else whose name begins with a dot. Readers ignore it.
    Hidden,
    /// Not a part of a datastore.
    Foreign,
}

impl RootEntry {
    fn new(name: OsString, kind: Kind) -> Self {
        let role = RootRole::of(&name, kind);
        RootEntry { name, kind, role }
    }

    pub(crate) fn is_shard(&self) -> bool {
        self.role == RootRole::Shard
    }

    /// Returns whether the name begins with a dot.
    pub(crate) fn is_hidden(&self) -> bool {
        is_hidden(&self.name)
    }
}

impl RootRole {
    fn of(name: &OsStr, kind: Kind) -> Self {
        // Checked first: `SHARDING` and `_README` are valid names of shard directories, too.
        if let Some(expected) = expected_of_own(name) {
            return RootRole::Own(expected);
        }
        match kind {
            Kind::Dir if format::is_shard_name(name) => RootRole::Shard,
            // Not foreign: it may lead to a directory with blocks, which a regular file can't.
            Kind::Symlink | Kind::Other if format::is_shard_name(name) => RootRole::ShardObstacle,
            _ if is_hidden(name) => RootRole::Hidden,
            _ => RootRole::Foreign,
        }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Returns the kind that an entry must have if its name is one of the store's own files and directories.
fn expected_of_own(name: &OsStr) -> Option<Kind> {
    let is_one_of = |names: &[&str]| names.iter().any(|own| name == *own);
    if is_one_of(&[SHARDING, README, DISK_USAGE, LOCK, UNCLEAN]) {
        Some(Kind::File)
    } else {
        is_one_of(&[TEMP, QUARANTINE]).then_some(Kind::Dir)
    }
}

/// The entries of a root, in the order of its listing. The iterator ends after the first error.
#[derive(Debug)]
pub(crate) struct RootEntries {
    root: PathBuf,
    listing: Listing,
}

impl RootEntries {
    /// Lists the root of a store.
    pub(crate) fn list(disk: &dyn Disk, root: &Path) -> Result<Self> {
        let listing = disk
            .list(root)
            .map_err(|error| Error::io("list", root, error))?;
        let root = root.to_owned();
        Ok(RootEntries { root, listing })
    }

    fn into_memory(self, disk: Arc<dyn Disk>) -> Self {
        let RootEntries { root, listing } = self;
        let listing = listing.into_memory(disk, root.clone());
        RootEntries { root, listing }
    }
}

impl Iterator for RootEntries {
    type Item = Result<RootEntry>;

    fn next(&mut self) -> Option<Result<RootEntry>> {
        let listed = self.listing.next()?;
        Some(match listed {
            Ok(listed) => Ok(RootEntry::new(listed.name, listed.kind)),
            Err(error) => Err(Error::io("list", &self.root, error)),
        })
    }
}

/// Returns the paths of the shard directories in a root, in the order of its listing.
pub(crate) fn shard_dirs(
    disk: &dyn Disk,
    root: &Path,
) -> Result<impl Iterator<Item = Result<PathBuf>>> {
    let entries = RootEntries::list(disk, root)?;
    Ok(entries.filter_map(|entry| match entry {
        Ok(entry) => entry.is_shard().then(|| Ok(root.join(entry.name))),
        Err(error) => Some(Err(error)),
    }))
}

/// Counts the shard directories in a root.
pub(crate) fn count_shards(disk: &dyn Disk, root: &Path) -> Result<u64> {
    shard_dirs(disk, root)?.try_fold(0, |count, dir| dir.map(|_| count + 1))
}

/// The root of a store for one or more [walks](super::Walk). It is listed once, and each entry goes to the walk
/// that asks next.
pub(crate) struct Root {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    listing: Mutex<RootListing>,
}

/// The progress of the listing of a root.
enum RootListing {
    /// The first walk lists the root, in a job on the blocking pool. [`Root::new`] must not block.
    NotBegun,
    Begun(RootEntries),
    Ended,
}

impl Root {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Arc<Self> {
        let listing = Mutex::new(RootListing::NotBegun);
        Arc::new(Root {
            disk,
            path,
            listing,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next entry, which no other walk gets.
    pub(super) fn next(&self, listings: Listings) -> Result<Option<RootEntry>> {
        // Held while the root is listed, so that walks that begin at the same time share one listing.
        let mut listing = lock(&self.listing);
        let entry = self.next_of(&mut listing, listings).transpose();
        if !matches!(entry, Some(Ok(_))) {
            // After an error too: this walk reports it, and the others must not list the root again.
            *listing = RootListing::Ended;
        }
        entry.transpose()
    }

    fn next_of(&self, listing: &mut RootListing, listings: Listings) -> Result<Option<RootEntry>> {
        if matches!(listing, RootListing::NotBegun) {
            let entries = RootEntries::list(&*self.disk, &self.path)?;
            *listing = RootListing::Begun(match listings {
                Listings::Open => entries,
                Listings::InMemory => entries.into_memory(Arc::clone(&self.disk)),
            });
        }
        match listing {
            RootListing::Begun(entries) => entries.next().transpose(),
            RootListing::NotBegun | RootListing::Ended => Ok(None),
        }
    }

    /// Lists a shard directory. Returns `None` if it no longer exists.
    pub(super) fn open(&self, name: &str, listings: Listings) -> Result<Option<ShardDir>> {
        let dir = ShardDir::open(&*self.disk, &self.path, name)?;
        Ok(match listings {
            Listings::Open => dir,
            Listings::InMemory => dir.map(|dir| dir.into_memory(Arc::clone(&self.disk))),
        })
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_root_is_known_by_its_name_and_kind() {
        let of = |name: &str, kind| RootRole::of(OsStr::new(name), kind);
        assert_eq!(of("SHARDING", Kind::Dir), RootRole::Own(Kind::File));
        assert_eq!(of("_README", Kind::Symlink), RootRole::Own(Kind::File));
        assert_eq!(of(".temp", Kind::Dir), RootRole::Own(Kind::Dir));
        assert_eq!(of(".quarantine", Kind::File), RootRole::Own(Kind::Dir));
        assert_eq!(of("QY", Kind::Dir), RootRole::Shard);
        assert_eq!(of("QY", Kind::Symlink), RootRole::ShardObstacle);
        assert_eq!(of("QY", Kind::File), RootRole::Foreign);
        assert_eq!(of("lost+found", Kind::Dir), RootRole::Foreign);
        assert_eq!(of(".git", Kind::Dir), RootRole::Hidden);
    }
}
