//! [`At`]: a path and the directory that it is resolved against, as the `*at` system calls take them.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawMode};
use rustix::io::retry_on_intr;

use super::retry::retry_while_out_of_descriptors;
use crate::disk::{Kind, Stat, contents};

/// flock(2) works on a descriptor that is open for reading, so any user who may read the file could keep the
/// writer out.
pub(super) const LOCK_MODE: u32 = 0o600;

/// A path, and the directory that it is resolved against.
#[derive(Clone, Copy, Debug)]
pub(in crate::disk) struct At<'a> {
    pub(in crate::disk) dir: BorrowedFd<'a>,
    pub(in crate::disk) path: &'a Path,
}

impl<'a> At<'a> {
    /// Resolves the path against the current directory, if it is relative.
    pub(in crate::disk) fn cwd(path: &'a Path) -> Self {
        At { dir: CWD, path }
    }

    /// Opens what is at the path, and follows no symbolic link in the last component.
    pub(super) fn open(self, flags: OFlags, mode: u32) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = permissions(mode);
        let open = || rustix::fs::openat(self.dir, self.path, flags, mode);
        let opened = retry_while_out_of_descriptors(|| Ok(retry_on_intr(open)?))?;
        Ok(opened.into())
    }

    /// Returns the directory that the path is in.
    #[cfg(target_os = "linux")]
    pub(super) fn parent(self) -> Self {
        let path = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        At { path, ..self }
    }

    /// Opens a directory to list it.
    pub(in crate::disk) fn open_dir(self) -> io::Result<File> {
        self.open(OFlags::RDONLY | OFlags::DIRECTORY, 0)
    }

    /// Opens what should be a regular file to read it. `O_NONBLOCK` keeps it from waiting for the other
    /// end of a FIFO.
    pub(in crate::disk) fn open_file(self) -> io::Result<File> {
        self.open(OFlags::RDONLY | OFlags::NONBLOCK, 0)
    }

    /// Opens a regular file to flush it. An fsync(2) of a FIFO fails with an error that a disk could have.
    pub(in crate::disk) fn open_file_to_sync(self) -> io::Result<File> {
        contents::regular(self.open_file()?).map(|(file, _)| file)
    }

    /// Opens a directory to flush it.
    pub(in crate::disk) fn open_dir_to_sync(self) -> io::Result<File> {
        self.open_dir()
    }

    /// Opens a lock file, and creates it if it does not exist.
    pub(in crate::disk) fn open_lock(self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        self.open(flags, LOCK_MODE)
    }

    /// Creates a file that must not exist.
    pub(in crate::disk) fn create_file(self, mode: u32) -> io::Result<File> {
        self.open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)
    }

    pub(in crate::disk) fn create_dir(self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(self.dir, self.path, permissions(mode))?)
    }

    pub(in crate::disk) fn rename(self, to: At<'_>) -> io::Result<()> {
        Ok(rustix::fs::renameat(self.dir, self.path, to.dir, to.path)?)
    }

    pub(in crate::disk) fn link(self, to: At<'_>) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(
            self.dir, self.path, to.dir, to.path, flags,
        )?)
    }

    pub(in crate::disk) fn remove_file(self) -> io::Result<()> {
        self.unlink(AtFlags::empty())
    }

    /// On Unix a file that is open loses its name at once, like any other.
    pub(in crate::disk) fn remove_open_file(self) -> io::Result<()> {
        self.remove_file()
    }

    pub(in crate::disk) fn remove_dir(self) -> io::Result<()> {
        self.unlink(AtFlags::REMOVEDIR)
    }

    fn unlink(self, flags: AtFlags) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.dir, self.path, flags)?)
    }

    pub(in crate::disk) fn stat(self) -> io::Result<Stat> {
        let stat = rustix::fs::statat(self.dir, self.path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat {
            kind: kind(FileType::from_raw_mode(stat.st_mode)),
            len: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }
}

impl At<'_> {
    /// Returns when the contents were last changed.
    pub(in crate::disk) fn modified(self) -> io::Result<SystemTime> {
        let stat = rustix::fs::statat(self.dir, self.path, AtFlags::SYMLINK_NOFOLLOW)?;
        // A time before 1970 comes from a clock that was not set.
        let since_epoch = u64::try_from(stat.st_mtime).unwrap_or(0);
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since_epoch));
        Ok(time.unwrap_or(SystemTime::UNIX_EPOCH))
    }
}

/// Returns the permission bits of a mode. Not every system has 32-bit modes.
fn permissions(mode: u32) -> Mode {
    let bits = RawMode::try_from(mode & 0o7777);
    Mode::from_raw_mode(bits.unwrap_or_default())
}

pub(super) fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}
