//! [`OsDisk`]: the operating system's file systems.
#![expect(clippy::disallowed_methods, reason = "this is the door to the disk")]

mod at;
mod listing;
mod record_lock;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;

pub(super) use self::at::At;
use self::at::Root;
pub(crate) use self::record_lock::RecordLock;
use super::{Disk, Listing, LockGuard, Stat, create_by_temp, if_there, platform};
use crate::observe::{self, target};

/// The operating system's file systems.
///
/// Where the process or the system has run out of file descriptors (EMFILE, ENFILE), it waits a
/// little and tries again, for about two seconds in all.
#[derive(Debug, Default)]
pub(crate) struct OsDisk {
    /// The directory of the lock, open since the lock was taken. Paths below it are looked up from it.
    /// And the kernel tells each open directory of a failure to write back since it was opened; a new
    /// one is not told of what others have heard already.
    pub(super) root: OnceLock<Root>,
    /// Whether one flush of the file system of the root reaches all of its files.
    syncs_all_at_once: AtomicBool,
    /// Whether files without a name have been found not to work.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux has them")
    )]
    pub(super) has_no_nameless_files: AtomicBool,
}

impl OsDisk {
    pub(super) fn at<'a>(&'a self, path: &'a Path) -> At<'a> {
        let below_root = self.root.get().and_then(|root| root.at(path));
        below_root.unwrap_or(At::anywhere(path))
    }
}

impl Disk for OsDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.at(dir).create_dir(0o755)
    }

    fn write_new(&self, file: &Path, contents: &[u8], mode: u32, sync: bool) -> io::Result<()> {
        let mut file = self.at(file).create_file(mode)?;
        file.write_all(contents)?;
        if sync {
            file.sync_all()?;
        }
        platform::close(file)
    }

    fn create_whole(&self, file: &Path, temp: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        match platform::create_nameless(self, file, contents, mode) {
            Some(made) => made,
            None => create_by_temp(self, file, temp, contents, mode),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.at(from).rename(self.at(to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        platform::rename_new(self.at(from), self.at(to))
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let linked = self.at(from).link(self.at(to));
        link_or(linked, || self.rename_new(from, to))
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        self.at(file).remove_file()
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.at(dir).remove_dir()
    }

    fn read(&self, file: &Path) -> io::Result<Bytes> {
        contents::read(self.at(file).open_file()?)
    }

    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<u64> {
        contents::copy_new(self.at(from), self.at(to))
    }

    fn is_same(&self, one: &Path, other: &Path) -> io::Result<bool> {
        contents::is_same(self.at(one), self.at(other))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        let (file, _) = contents::regular(self.at(file).open_file()?)?;
        Ok(Box::new(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.at(path).stat()
    }

    fn list(&self, dir: &Path) -> io::Result<Listing> {
        listing::list::<listing::Platform>(self.at(dir).open_dir()?)
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.at(file).open_file()?.sync_all()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.at(dir).open_dir()?.sync_all()
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        platform::sync_all(self, root)
    }

    fn syncs_all_at_once(&self) -> bool {
        self.syncs_all_at_once.load(Ordering::Relaxed)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        let root = match (file.parent(), self.root.get()) {
            (Some(dir), None) => Some(Root::open(dir)?),
            _ => None,
        };
        // Both are of one directory, though somebody put another one in its place just now.
        let at = root.as_ref().and_then(|root| root.at(file));
        let locked = at.unwrap_or(self.at(file)).open(flags, 0o666)?;
        match locked.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let lock = OsLock { file: locked };
        if let Some(root) = root {
            let at_once = platform::syncs_all_at_once(&root.dir)?;
            self.syncs_all_at_once.store(at_once, Ordering::Relaxed);
            let _ = self.root.set(root);
        }
        Ok(Some(Box::new(lock)))
    }

    #[cfg(target_os = "linux")]
    fn cached_reads(&self, root: &Path) -> io::Result<Option<Box<dyn super::CachedReads>>> {
        let root = self.at(root).open_dir()?;
        let reads = super::cached::LinuxCachedReads::new(root)?;
        Ok(reads.map(|reads| Box::new(reads) as _))
    }
}

/// What became of a link, or of a move instead where there are no hard links, or none to this file.
fn link_or(
    linked: rustix::io::Result<()>,
    rename: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    match linked {
        Err(
            Errno::PERM
            | Errno::ACCESS
            | Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::INVAL
            | Errno::XDEV
            | Errno::MLINK,
        ) => rename(),
        linked => Ok(linked?),
    }
}

#[derive(Debug)]
struct OsLock {
    file: File,
}

impl LockGuard for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        // The close alone would leave the lock to a process that is just being forked and has
        // inherited the file. If this fails the close is what there is.
        let _ = self.file.unlock();
    }
}

/// Where a path leads whose last component is a symbolic link; any other path as it is.
pub(crate) fn resolve(path: PathBuf) -> io::Result<PathBuf> {
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        _ => Ok(path),
    }
}

/// Where a path leads, with no symbolic link in it; the last component need not be there. A path in a
/// directory that isn't there is left as it is.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    match (fs::canonicalize(path), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let parent = if_there(fs::canonicalize(parent))?;
            Ok(parent.map_or_else(|| path.to_owned(), |parent| parent.join(name)))
        }
        (found, _, _) => found,
    }
}

/// Opens something, and where there is no free file descriptor waits for one: 2, 4, 8… ms, about two
/// seconds in all.
pub(super) fn with_patience<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const TRIES: u32 = 10;
    for attempt in 1..=TRIES {
        match open() {
            Err(error) if platform::is_out_of_files(&error) => {
                observe::file_retry();
                if attempt == 1 {
                    tracing::warn!(target: target::DISK, "out of file descriptors, waiting until one is free");
                }
                thread::sleep(Duration::from_millis(1 << attempt));
            }
            opened => return opened,
        }
    }
    open()
}

mod contents;
#[cfg(test)]
mod tests;
