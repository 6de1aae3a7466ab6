//! Implementations of steps that work everywhere, for operating systems and file systems without better ones.

use std::io;
use std::path::Path;

use super::{Disk, Kind};

/// Moves a file to a name that must not exist. The check and the move are two steps, so the caller must keep
/// other writers away from `to`.
pub(super) fn rename_new(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.stat(to) {
        Ok(_) => {
            disk.stat(from)?;
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.rename(from, to),
        Err(error) => Err(error),
    }
}

/// Flushes everything below `root`, one file after another. A file that is removed during the walk needs no
/// flush.
pub(super) fn sync_all(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    for entry in disk.list(root).map_err(super::NotOpened::wrap)? {
        let entry = entry?;
        let path = root.join(&entry.name);
        let synced = match entry.kind {
            Kind::Dir => sync_all(disk, &path),
            Kind::File => disk.sync_file(&path),
            Kind::Symlink | Kind::Other => Ok(()),
        };
        match synced {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    disk.sync_dir(root)
}

/// Why a block could not be created as an unnamed file.
#[derive(Debug)]
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "only Linux has unnamed files")
)]
pub(super) enum NotUnnamed {
    /// The kernel or the file system has no unnamed files, or does not let this process link them.
    Unsupported,
    /// The file system failed with another error: a temp file may work.
    Refused,
    /// A temp file would fail as well.
    Failed(io::Error),
}
