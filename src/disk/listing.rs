//! [`Listing`]: a walk through the entries of a directory.

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
/// [`next_entry`](Listing::next_entry) shows them where they are. As an iterator it copies the name of
/// each. It ends with the first error.
pub(crate) struct Listing(Box<dyn Entries>);

/// What a [`Listing`] walks through.
pub(super) trait Entries: Send {
    /// Goes to the next entry; what it is, or `None` at the end. An error is the end, too.
    fn advance(&mut self) -> io::Result<Option<Kind>>;

    /// The name of the entry that it stands at.
    fn name(&self) -> &OsStr;

    /// What that name leads to now.
    fn stat(&self) -> io::Result<Stat>;

    /// The contents of the regular file that it leads to now.
    fn read(&self) -> io::Result<Bytes>;
}

/// The entry at which a [`Listing`] stands.
pub(crate) struct Current<'a> {
    entries: &'a dyn Entries,
    pub(crate) kind: Kind,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
}

impl Listing {
    pub(super) fn new(entries: impl Entries + 'static) -> Self {
        Listing(Box::new(entries))
    }

    /// Goes to the next entry.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Current<'_>>> {
        let kind = self.0.advance()?;
        let entries = &*self.0;
        Ok(kind.map(|kind| Current { entries, kind }))
    }

    /// The rest of it, with all names in memory and no file open; `dir` is the directory that it lists.
    pub(crate) fn into_memory(self, disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        let rest = self.collect();
        Listing::in_memory(disk, dir, rest)
    }

    /// A listing of `dir` whose names were read before.
    pub(crate) fn in_memory(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        listed: Vec<io::Result<Listed>>,
    ) -> Self {
        Listing::new(InMemory::new(disk, dir, listed))
    }
}

/// Like the methods of [`Disk`], these follow no symbolic link.
impl<'a> Current<'a> {
    pub(crate) fn name(&self) -> &'a OsStr {
        self.entries.name()
    }

    /// What the name leads to now.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        self.entries.stat()
    }

    /// The contents of the regular file that the name leads to now; any other kind of file is an error.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        self.entries.read()
    }
}

impl Iterator for Listing {
    type Item = io::Result<Listed>;

    fn next(&mut self) -> Option<io::Result<Listed>> {
        let entry = self.next_entry().transpose()?;
        Some(entry.map(|entry| Listed {
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

/// Entries that were listed before, and are looked at by their paths.
pub(super) struct InMemory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    name: OsString,
    rest: vec::IntoIter<io::Result<Listed>>,
}

impl InMemory {
    fn new(disk: Arc<dyn Disk>, dir: PathBuf, listed: Vec<io::Result<Listed>>) -> Self {
        InMemory {
            disk,
            dir,
            name: OsString::new(),
            rest: listed.into_iter(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }
}

impl Entries for InMemory {
    fn advance(&mut self) -> io::Result<Option<Kind>> {
        let next = self.rest.next().transpose()?;
        Ok(next.map(|listed| {
            self.name = listed.name;
            listed.kind
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
