//! The only door to the file system: [`Disk`].
//!
//! Every step that the crate takes on disk is one call of this trait, by path. It blocks, so it is
//! called on tokio's blocking pool only; reads that memory can answer have a door of their own,
//! [`CachedReads`]. There are two implementations: the operating system, and for tests a disk that
//! keeps what is live and what is durable apart, can crash after any step and can make any step fail.
//!
//! Errors are plain [`io::Error`]s; the caller knows what it was doing and adds that and the path.

#[cfg(target_os = "linux")]
mod cached;
#[cfg(target_os = "linux")]
mod file_systems;
mod listing;
mod os;
#[path = "unix.rs"]
mod platform;
mod portable;
mod publish;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub(crate) use self::listing::{Current, Listed, Listing};
pub(crate) use self::os::{OsDisk, RecordLock, canonical, resolve};
pub(crate) use self::publish::{Publish, clean_up, create_dir_if_absent, publish, remove_tree};
use crate::error::Error;

/// A file system, as the operations of a store see it. No operation follows a symbolic link in the
/// last component of its path.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory, mode 0755 less umask. Its parent must be there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a file that isn't there yet and writes all of `contents` into it; flushes it to the
    /// disk before the close if `sync` says so. On an error the file may be left behind, empty or
    /// cut short.
    fn write_new(&self, file: &Path, contents: &[u8], mode: u32, sync: bool) -> io::Result<()>;

    /// Makes a file with `contents`, whole or not at all as far as others can see;
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is one. It may write `temp` on the way,
    /// which is gone afterwards. Nothing of it is flushed. The same holds for callers as for
    /// [`rename_new`](Disk::rename_new).
    fn create_whole(&self, file: &Path, temp: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        create_by_temp(self, file, temp, contents, mode)
    }

    /// Moves a file in one step, in place of one that is there. It does nothing where both are names of
    /// one file, as rename(2) says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Moves a file in one step, [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is one,
    /// [`CrossesDevices`](io::ErrorKind::CrossesDevices) if it is on another file system. It may look
    /// before it moves: callers keep others away from `to`.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file one more name in one step, [`AlreadyExists`](io::ErrorKind::AlreadyExists) if
    /// there is something by that name. Where the file can have no second name, it is moved as
    /// [`rename_new`](Disk::rename_new) does, so its first one may be gone then.
    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, file: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// The contents of a regular file; any other kind of file is an error.
    fn read(&self, file: &Path) -> io::Result<Bytes>;

    /// Makes a file that isn't there yet, with the contents and the permissions of another one, and
    /// answers its length. Nothing is flushed. On an error the file may be left behind, cut short.
    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<u64>;

    /// Whether two regular files have the same contents.
    fn is_same(&self, one: &Path, other: &Path) -> io::Result<bool> {
        Ok(self.read(one)? == self.read(other)?)
    }

    /// Opens a regular file to read it in parts, for files of any size; any other kind of file is an
    /// error.
    #[cfg_attr(not(feature = "verify"), allow(dead_code))]
    fn open(&self, file: &Path) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.read(file)?)))
    }

    /// What is at the path.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// What is in a directory, without `.` and `..`, read while the listing is walked through. It keeps
    /// one file open until it is dropped.
    fn list(&self, dir: &Path) -> io::Result<Listing>;

    /// Makes the contents of a file durable: fsync.
    fn sync_file(&self, file: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable: fsync.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes everything below `root` durable, contents and entries.
    fn sync_all(&self, root: &Path) -> io::Result<()>;

    /// Whether [`sync_all`](Disk::sync_all) is one step of the file system, and not a walk through
    /// every file. Known once a lock was taken; before, it is said not to be.
    fn syncs_all_at_once(&self) -> bool;

    /// Makes the file if it isn't there, and takes an exclusive advisory lock on it; `None` if
    /// somebody else has it. The lock is released when the guard is dropped, or the process ends.
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn LockGuard>>>;

    /// Reads that need not block, if this disk has them.
    fn cached_reads(&self, root: &Path) -> io::Result<Option<Box<dyn CachedReads>>> {
        let _ = root;
        Ok(None)
    }
}

/// How every file system can make a file that others see whole or not at all.
fn create_by_temp<D: Disk + ?Sized>(
    disk: &D,
    file: &Path,
    temp: &Path,
    contents: &[u8],
    mode: u32,
) -> io::Result<()> {
    let made = disk
        .write_new(temp, contents, mode, false)
        .and_then(|()| disk.rename_new(temp, file));
    if made.is_err() {
        clean_up(disk, temp);
    }
    made
}

/// Reads below one root that memory can answer. These don't block, so they need no pool.
///
/// `None` is no answer: the same read through the [`Disk`] has one. An error is always
/// [`NotFound`](io::ErrorKind::NotFound). Paths are relative to the root.
pub(crate) trait CachedReads: fmt::Debug + Send + Sync {
    /// The contents of a regular file.
    fn read(&self, path: &str) -> Option<io::Result<Bytes>>;

    /// What is at the path.
    fn stat(&self, path: &str) -> Option<io::Result<Stat>>;
}

/// What an operation answered, or `None` if what it was about isn't there.
pub(crate) fn if_there<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Holds a lock until it is dropped.
#[must_use = "the lock is released when this is dropped"]
pub(crate) trait LockGuard: fmt::Debug + Send + Sync {}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    /// In bytes.
    pub(crate) len: u64,
}

/// The kinds of things that a directory can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    Other,
}

impl Kind {
    /// As errors name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Dir => "directory",
            Kind::Symlink => "symbolic link",
            Kind::Other => "special file",
        }
    }

    /// The error of finding this in the place of a block, a directory or whatever was expected.
    pub(crate) fn unexpected(self, path: impl Into<PathBuf>, expected: &'static str) -> Error {
        Error::Unexpected {
            path: path.into(),
            found: self.name(),
            expected,
        }
    }
}
