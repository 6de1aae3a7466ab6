//! [`OsDisk`]: the operating system's file systems.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the implementation of `Disk`"
)]

mod copies;
mod lock;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use super::platform::{self, At, Root, is_final, is_out_of_files, read_once};
use super::portable::NotUnnamed;
use super::{
    CachedReads, Disk, FreeSpace, Listing, LockGuard, NotOpened, Stat, contents, create_by_temp,
    if_there, portable,
};

/// The operating system's file systems.
///
/// Where the process or the system has run out of file descriptors (`EMFILE`, `ENFILE`), it waits for a
/// free one, for about two seconds in all.
#[derive(Debug, Default)]
pub(crate) struct OsDisk {
    /// The directory of the lock file, open since the lock was taken. Paths below it are resolved
    /// relative to it.
    ///
    /// It stays open for syncfs(2), too: the kernel reports a failed write-back to each descriptor that
    /// was open when it happened. A new descriptor does not learn of a failure that has been reported
    /// to another one.
    root: OnceLock<Root>,
    /// Whether unnamed files have been found not to work here.
    lacks_unnamed_files: AtomicBool,
}

impl OsDisk {
    pub(super) fn at<'a>(&'a self, path: &'a Path) -> At<'a> {
        let below_root = self.root.get().and_then(|root| root.at(path));
        below_root.unwrap_or(At::cwd(path))
    }

    /// Flushes the file or directory at the path. `open` opens it.
    fn sync_opened(
        &self,
        path: &Path,
        mut open: impl FnMut() -> io::Result<File>,
    ) -> io::Result<()> {
        loop {
            let error = match open() {
                Ok(file) => return platform::sync(&file),
                Err(error) => error,
            };
            let is_out_of_files = is_out_of_files(&error);
            // If one flush of the file system reaches the file, the descriptor of the root is enough.
            if is_out_of_files || error.kind() == io::ErrorKind::PermissionDenied {
                let root = self.root.get().filter(|root| root.at(path).is_some());
                if let Some(root) = root.filter(|root| root.syncs_all_at_once()) {
                    return root.sync_file_system();
                }
            }
            // Otherwise this waits for a free descriptor: after an error the caller would be left with a change that it
            // can neither acknowledge nor undo.
            if !is_out_of_files {
                return Err(NotOpened::wrap(error));
            }
        }
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
            platform::sync(&file)?;
        }
        platform::close(file)
    }

    fn create_whole(&self, file: &Path, temp: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        if !self.lacks_unnamed_files.load(Ordering::Relaxed) {
            match platform::create_unnamed(self.at(file), contents, mode) {
                Ok(()) => return Ok(()),
                Err(NotUnnamed::Failed(error)) => return Err(error),
                Err(NotUnnamed::Unsupported) => {
                    self.lacks_unnamed_files.store(true, Ordering::Relaxed);
                }
                // If the temp file cannot be created either, its error says why.
                Err(NotUnnamed::Refused) => {}
            }
        }
        create_by_temp(self, file, temp, contents, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.at(from).rename(self.at(to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match platform::rename_new(self.at(from), self.at(to)) {
            Some(renamed) => renamed,
            None => portable::rename_new(self, from, to),
        }
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let linked = self.at(from).link(self.at(to));
        link_or(linked, || self.rename_new(from, to))
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        self.at(file).remove_file()
    }

    fn remove_open_file(&self, file: &Path) -> io::Result<()> {
        self.at(file).remove_open_file()
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.at(dir).remove_dir()
    }

    fn read(&self, file: &Path) -> io::Result<Bytes> {
        contents::read(self.at(file).open_file()?, read_once)
    }

    fn read_at_most(&self, file: &Path, max_len: u64) -> io::Result<Bytes> {
        contents::read_at_most(self.at(file).open_file()?, max_len)
    }

    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<u64> {
        copies::copy_new(self.at(from), self.at(to))
    }

    fn is_same(&self, one: &Path, other: &Path) -> io::Result<bool> {
        copies::is_same(self.at(one), self.at(other))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        let (file, _) = contents::regular(self.at(file).open_file()?)?;
        Ok(Box::new(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.at(path).stat()
    }

    fn modified(&self, file: &Path) -> io::Result<SystemTime> {
        self.at(file).modified()
    }

    fn free_space(&self, dir: &Path) -> io::Result<FreeSpace> {
        platform::free_space(self.at(dir))
    }

    fn list(&self, dir: &Path) -> io::Result<Listing> {
        platform::list(self.at(dir))
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.sync_opened(file, || self.at(file).open_file_to_sync())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync_opened(dir, || self.at(dir).open_dir_to_sync())
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        let opened;
        let open = match self.root.get() {
            Some(open) => open,
            None => {
                opened = Root::open(root).map_err(NotOpened::wrap)?;
                &opened
            }
        };
        if open.syncs_all_at_once() {
            open.sync_file_system()
        } else {
            portable::sync_all(self, root)
        }
    }

    fn syncs_all_at_once(&self) -> bool {
        self.root.get().is_some_and(Root::syncs_all_at_once)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let root = match (file.parent(), self.root.get()) {
            (Some(dir), None) => Some(Root::open(dir)?),
            _ => None,
        };
        // The lock and the root are of one directory, even if another process has just put a different
        // one in its place.
        let at = root.as_ref().and_then(|root| root.at(file));
        let Some(lock) = lock::lock(at.unwrap_or(self.at(file)))? else {
            return Ok(None);
        };
        if let Some(root) = root {
            let _ = self.root.set(root);
        }
        Ok(Some(Box::new(lock)))
    }

    fn lock_owner(&self, file: &Path) -> Option<u32> {
        platform::lock_owner(file)
    }

    fn cached_reads(&self, root: &Path) -> io::Result<Option<Box<dyn CachedReads>>> {
        platform::cached_reads(self.at(root))
    }
}

/// Returns the result of a link, or moves the file instead where the link was refused.
///
/// File systems without hard links refuse them with many different errors. So only errors that say why no
/// name can be created at all are final. After any other error the move is tried, and fails with its own
/// error if it does not work either.
fn link_or(linked: io::Result<()>, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match linked {
        Ok(()) => Ok(()),
        Err(error) if is_final(&error) => Err(error),
        Err(_) => rename(),
    }
}

/// Resolves a path whose last component is a symbolic link; returns any other path as it is.
pub(crate) fn resolve(path: PathBuf) -> io::Result<PathBuf> {
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => platform::canonicalize(&path),
        _ => Ok(path),
    }
}

/// Resolves all symbolic links in a path, whose last component need not exist. A path in a directory
/// that does not exist is returned as it is.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    match (
        platform::canonicalize(path),
        path.parent(),
        path.file_name(),
    ) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let parent = if_there(platform::canonicalize(parent))?;
            Ok(parent.map_or_else(|| path.to_owned(), |parent| parent.join(name)))
        }
        (found, _, _) => found,
    }
}
