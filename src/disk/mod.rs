//! [`Disk`]: the only way to the file system.
//!
//! Every step that the crate takes on disk is one call of this trait, with absolute paths. The calls
//! block, so they run on tokio's blocking pool only; reads that the kernel can serve from memory go
//! through [`CachedReads`] instead. There are two implementations: [`OsDisk`] is the operating system's
//! file systems, and the test disk keeps live and durable state apart, can crash after any step and can
//! make any step fail.
//!
//! Errors are plain [`io::Error`]s. The caller knows which operation it was in, and adds that and the
//! path, except where the methods of `dyn Disk` do.

mod contents;
mod listing;
mod os;
mod portable;
mod publish;
#[cfg(feature = "object-store")]
mod spill;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

#[cfg(test)]
pub(crate) use self::listing::DirEntry;
pub(crate) use self::listing::{CurrentEntry, Listing};
pub(crate) use self::os::{OsDisk, canonical, resolve};
pub(crate) use self::platform::{RepoLock, open_file_limit};
pub(crate) use self::publish::{Publish, clean_up, create_dir_if_absent, publish, remove_tree};
#[cfg(feature = "object-store")]
pub(crate) use self::spill::SpillFile;
#[cfg(unix)]
use self::unix as platform;
#[cfg(windows)]
use self::windows as platform;
use crate::error::{Error, ExpectedEntry, Result};

/// A file system, as the operations of a store see it.
///
/// No method follows a symbolic link in the last component of its path, except where it says so. Each
/// method names the system calls that [`OsDisk`] makes for it; section 2 of the manual describes them.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Creates a directory with mode 0755 less the umask. Its parent must exist. mkdirat(2).
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates a file that must not exist and writes `contents` to it; with `sync` it also flushes
    /// the file before it closes it. openat(2) with `O_CREAT | O_EXCL`, write(2), fsync(2), close(2).
    ///
    /// After an error the file may remain, empty or truncated.
    fn write_new(&self, file: &Path, contents: &[u8], mode: u32, sync: bool) -> io::Result<()>;

    /// Creates a file with `contents`, which other processes see whole or not at all. openat(2) with
    /// `O_TMPFILE`, write(2) and linkat(2) where these work, otherwise [`write_new`](Disk::write_new)
    /// of `temp` and [`rename_new`](Disk::rename_new).
    ///
    /// Nothing is flushed. `temp` does not exist afterwards.
    ///
    /// # Errors
    ///
    /// Returns [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `file` exists. As for
    /// [`rename_new`](Disk::rename_new), the caller must keep other writers away from it.
    fn create_whole(&self, file: &Path, temp: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        create_by_temp(self, file, temp, contents, mode)
    }

    /// Moves a file in one step and replaces `to` if it exists. If both are names of one file, the call does
    /// nothing. renameat(2).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Moves a file in one step to a name that must not exist. renameat2(2) with `RENAME_NOREPLACE`
    /// where that works, otherwise fstatat(2) and renameat(2): the caller must keep other writers away
    /// from `to`.
    ///
    /// # Errors
    ///
    /// Returns [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `to` exists,
    /// [`CrossesDevices`](io::ErrorKind::CrossesDevices) if it is on another file system.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must not exist. linkat(2). Where the file cannot have a second
    /// name, it is moved by [`rename_new`](Disk::rename_new), so `from` may not exist afterwards.
    ///
    /// # Errors
    ///
    /// Returns [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `to` exists.
    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. unlinkat(2). When this returns, the name is gone.
    fn remove_file(&self, file: &Path) -> io::Result<()>;

    /// Removes a file that this process has open. unlinkat(2). Some versions of Windows keep the name until the file
    /// is closed.
    fn remove_open_file(&self, file: &Path) -> io::Result<()> {
        self.remove_file(file)
    }

    /// Removes an empty directory. unlinkat(2) with `AT_REMOVEDIR`.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Returns the contents of a regular file. openat(2), fstat(2), read(2).
    ///
    /// # Errors
    ///
    /// Any other kind of file is an error.
    fn read(&self, file: &Path) -> io::Result<Bytes>;

    /// Returns the contents of a regular file of at most `max_len` bytes. This is for the small files of a
    /// store, because another program may have put anything in their place.
    ///
    /// # Errors
    ///
    /// Returns [`FileTooLarge`](io::ErrorKind::FileTooLarge) if the file is longer. At most `max_len + 1` bytes
    /// are read. Any other kind of file is an error.
    fn read_at_most(&self, file: &Path, max_len: u64) -> io::Result<Bytes> {
        let contents = self.read(file)?;
        if contents.len() as u64 > max_len {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(contents)
    }

    /// Creates a file that must not exist, with the contents and the permissions of another one, and
    /// returns its length. copy_file_range(2) or sendfile(2) on Linux, otherwise read(2) and write(2).
    ///
    /// Nothing is flushed. After an error the file may remain, truncated.
    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<u64>;

    /// Returns whether two regular files have the same contents.
    fn is_same(&self, one: &Path, other: &Path) -> io::Result<bool> {
        Ok(self.read(one)? == self.read(other)?)
    }

    /// Opens a regular file of any size to read it in parts. openat(2), fstat(2).
    ///
    /// # Errors
    ///
    /// Any other kind of file is an error.
    fn open(&self, file: &Path) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.read(file)?)))
    }

    /// Returns what is at the path. fstatat(2) with `AT_SYMLINK_NOFOLLOW`.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Returns when the contents of the file were last changed. fstatat(2).
    #[cfg_attr(
        not(feature = "dag"),
        expect(dead_code, reason = "only a garbage collection uses it")
    )]
    fn modified(&self, file: &Path) -> io::Result<SystemTime> {
        let _ = file;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns the free space of the file system. fstatvfs(3).
    #[cfg_attr(
        not(feature = "dag"),
        expect(dead_code, reason = "only a garbage collection uses it")
    )]
    fn free_space(&self, dir: &Path) -> io::Result<FreeSpace> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Lists a directory, without `.` and `..`. The entries are read while the listing is iterated,
    /// which keeps one file open until it is dropped. openat(2), getdents64(2).
    fn list(&self, dir: &Path) -> io::Result<Listing>;

    /// Makes the contents of a file durable. openat(2), fsync(2).
    ///
    /// # Errors
    ///
    /// As for [`sync_dir`](Disk::sync_dir). Anything except a regular file counts as not opened.
    fn sync_file(&self, file: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable. openat(2), fsync(2).
    ///
    /// # Errors
    ///
    /// If the directory cannot be opened, the error [says so](is_not_opened): nothing was flushed, and
    /// nothing is known about the data. Any other error is what the file system says about the data. A lack
    /// of file descriptors is not an error: the call waits for one, or flushes the whole file system through
    /// the descriptor of the root.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes everything below `root` durable, contents and entries. syncfs(2) where it can be trusted,
    /// otherwise [`sync_file`](Disk::sync_file) and [`sync_dir`](Disk::sync_dir) for each.
    ///
    /// # Errors
    ///
    /// As for [`sync_dir`](Disk::sync_dir).
    fn sync_all(&self, root: &Path) -> io::Result<()>;

    /// Returns whether [`sync_all`](Disk::sync_all) is one step of the file system, and not a walk
    /// through every file. It is `false` until a lock has been taken, because the file system is not
    /// known before that.
    fn syncs_all_at_once(&self) -> bool;

    /// Creates the lock file if it does not exist, and takes an exclusive advisory lock on it. openat(2)
    /// with mode 0600, flock(2) with `LOCK_EX | LOCK_NB`.
    ///
    /// Returns `None` if another writer, in this process or another one, has the lock. The lock is
    /// released when the guard is dropped or the process ends.
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn LockGuard>>>;

    /// Returns the id of the process that holds a lock on this file, if the system reports it.
    fn lock_owner(&self, file: &Path) -> Option<u32> {
        let _ = file;
        None
    }

    /// Returns reads that do not block, if this disk has them.
    fn cached_reads(&self, root: &Path) -> io::Result<Option<Box<dyn CachedReads>>> {
        let _ = root;
        Ok(None)
    }
}

/// Creates a file that others see whole or not at all, in a way that works on every file system.
fn create_by_temp<D: Disk + ?Sized>(
    disk: &D,
    file: &Path,
    temp: &Path,
    contents: &[u8],
    mode: u32,
) -> io::Result<()> {
    let created = disk
        .write_new(temp, contents, mode, false)
        .and_then(|()| disk.rename_new(temp, file));
    if created.is_err() {
        clean_up(disk, temp);
    }
    created
}

/// Steps whose errors name the path.
impl dyn Disk + '_ {
    /// Returns what is at a path, or `None` if nothing is.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Stat>> {
        if_there(self.stat(path)).map_err(|error| Error::io("stat", path, error))
    }

    /// Returns the directory at a path, or `None` if nothing is there.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unexpected`] if something else is there: a symbolic link could lead out of the store.
    pub(crate) fn find_dir(&self, path: &Path) -> Result<Option<Stat>> {
        match self.find(path)? {
            Some(stat) if stat.kind != Kind::Dir => {
                Err(stat.kind.unexpected(path, ExpectedEntry::Directory))
            }
            found => Ok(found),
        }
    }

    /// Removes a file, and returns whether it existed.
    pub(crate) fn remove_if_there(&self, file: &Path) -> Result<bool> {
        let removed = if_there(self.remove_file(file));
        let removed = removed.map_err(|error| Error::io("remove", file, error))?;
        Ok(removed.is_some())
    }
}

/// Reads below one root that the kernel serves from its caches. They do not block, so they need no blocking
/// pool.
///
/// `None` means that the caches do not have the result, and that the caller must read through the
/// [`Disk`]. An error is always [`NotFound`](io::ErrorKind::NotFound). Paths must be relative to the root and without
/// `..`, which is not checked.
pub(crate) trait CachedReads: fmt::Debug + Send + Sync {
    /// Returns the contents of a regular file.
    fn read(&self, path: &str) -> Option<io::Result<Bytes>>;

    /// Returns what is at the path.
    fn stat(&self, path: &str) -> Option<io::Result<Stat>>;
}

/// Returns `None` for [`NotFound`](io::ErrorKind::NotFound).
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The error of a flush that did not begin, because the file or the directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NotOpened(io::Error);

impl NotOpened {
    /// Wraps the error of an open. The result has the same kind and the same text.
    pub(crate) fn wrap(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), NotOpened(error))
    }
}

/// Returns whether the error of a flush means that it did not begin. It says nothing about the data, and
/// a later flush can succeed.
pub(crate) fn is_not_opened(error: &io::Error) -> bool {
    // fsync(2) never returns ENOENT.
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    is_missing || error.get_ref().is_some_and(|inner| inner.is::<NotOpened>())
}

/// An exclusive lock, which is released on drop.
#[must_use = "the lock is released when this is dropped"]
pub(crate) trait LockGuard: fmt::Debug + Send + Sync {}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    /// The size in bytes.
    pub(crate) len: u64,
}

/// The free space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeSpace {
    /// The bytes that this process may use.
    pub(crate) bytes: u64,
    /// A file takes a multiple of this number of bytes.
    pub(crate) unit: u64,
}

/// The kinds of directory entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    Dir,
    Symlink,
    Other,
}

impl Kind {
    /// Returns the name of the kind for error messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Dir => "directory",
            Kind::Symlink => "symbolic link",
            Kind::Other => "special file",
        }
    }

    /// Returns the error for an entry of this kind at a path where the store needs another kind.
    pub(crate) fn unexpected(self, path: impl Into<PathBuf>, expected: ExpectedEntry) -> Error {
        Error::Unexpected {
            path: path.into(),
            found: self.name(),
            expected,
        }
    }
}
