//! [`Listing`]: an iteration over the entries of a directory.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::vec;

use bytes::Bytes;

use super::{Disk, Kind, Stat};

/// The entries of a directory, one after another.
///
/// [`next_entry`](Listing::next_entry) borrows each entry; the iterator copies its name. Both end with
/// the first error.
pub(crate) struct Listing(Box<dyn Entries>);

/// A cursor over the entries of a directory.
pub(super) trait Entries: Send {
    /// Moves to the next entry and returns its kind, or `None` at the end and after an error.
    fn advance(&mut self) -> io::Result<Option<Kind>>;

    /// Returns the name of the current entry.
    fn name(&self) -> &OsStr;

    /// Returns the number of the current entry's inode, or 0 if the listing does not have it.
    fn inode(&self) -> u64 {
        0
    }

    /// Stats what the name leads to now.
    fn stat(&self) -> io::Result<Stat>;

    /// Returns the contents of the regular file that the name leads to now.
    fn read(&self) -> io::Result<Bytes>;
}

/// The current entry of a [`Listing`].
pub(crate) struct CurrentEntry<'a> {
    entries: &'a dyn Entries,
    pub(crate) kind: Kind,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirEntry {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
}

impl Listing {
    pub(super) fn new(entries: impl Entries + 'static) -> Self {
        Listing(Box::new(entries))
    }

    /// Returns the next entry.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<CurrentEntry<'_>>> {
        let kind = self.advance()?;
        Ok(kind.map(|kind| self.current(kind)))
    }

    /// Moves to the next entry and returns its kind.
    pub(crate) fn advance(&mut self) -> io::Result<Option<Kind>> {
        self.0.advance()
    }

    /// Returns the current entry, which is of this kind.
    pub(crate) fn current(&self, kind: Kind) -> CurrentEntry<'_> {
        let entries = &*self.0;
        CurrentEntry { entries, kind }
    }

    /// Reads the remaining names into memory, and closes the directory. `dir` is its path.
    pub(crate) fn into_memory(self, disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        let rest = self.collect();
        Listing::in_memory(disk, dir, rest)
    }

    /// Creates a listing of `dir` from names that have been read before.
    pub(crate) fn in_memory(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        entries: Vec<io::Result<DirEntry>>,
    ) -> Self {
        Listing::new(InMemory::new(disk, dir, entries))
    }
}

/// Like the methods of [`Disk`], these follow no symbolic link.
impl<'a> CurrentEntry<'a> {
    /// Returns the name of the entry.
    pub(crate) fn name(&self) -> &'a OsStr {
        self.entries.name()
    }

    /// Returns the number of the inode, or 0 if the listing does not have it.
    pub(crate) fn inode(&self) -> u64 {
        self.entries.inode()
    }

    /// Returns what the name leads to now.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        self.entries.stat()
    }

    /// Returns the contents of the regular file that the name leads to now. Any other kind of file is
    /// an error.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        self.entries.read()
    }
}

impl Iterator for Listing {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        let entry = self.next_entry().transpose()?;
        Some(entry.map(|entry| DirEntry {
            name: entry.name().to_owned(),
            kind: entry.kind,
        }))
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

/// Entries whose names are in memory; the files are found by their paths.
pub(super) struct InMemory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    name: OsString,
    rest: vec::IntoIter<io::Result<DirEntry>>,
}

impl InMemory {
    fn new(disk: Arc<dyn Disk>, dir: PathBuf, entries: Vec<io::Result<DirEntry>>) -> Self {
        InMemory {
            disk,
            dir,
            name: OsString::new(),
            rest: entries.into_iter(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }
}

impl Entries for InMemory {
    fn advance(&mut self) -> io::Result<Option<Kind>> {
        let next = self.rest.next().transpose()?;
        Ok(next.map(|entry| {
            self.name = entry.name;
            entry.kind
        }))
    }

    fn name(&self) -> &OsStr {
        &self.name
    }

    fn stat(&self) -> io::Result<Stat> {
        self.disk.stat(&self.path())
    }

    fn read(&self) -> io::Result<Bytes> {
        self.disk.read(&self.path())
    }
}
