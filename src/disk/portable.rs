//! Steps by means that every operating system has, for file systems and systems without better ones.

use std::io;
use std::path::Path;

use super::at::At;
use super::{Disk, Kind};

/// Moves a file to a name that must not exist. The check and the move are two steps, so the caller must keep
/// other writers away from `to`.
pub(super) fn rename_new(from: At<'_>, to: At<'_>) -> io::Result<()> {
    match to.stat() {
        Ok(_) => {
            from.stat()?;
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => from.rename(to),
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
    /// The file system refused this one with an error of its own: a temp file may work.
    Refused,
    /// A temp file would fail as well.
    Failed(io::Error),
}

/// Stand-ins for what only Linux has.
#[cfg(not(target_os = "linux"))]
pub(super) mod fallback {
    use std::fs::File;

    use super::*;
    use crate::disk::sync_method::SyncMethod;

    pub(in crate::disk) fn sync_method(_: &File) -> io::Result<SyncMethod> {
        Ok(SyncMethod::EachFile)
    }

    pub(in crate::disk) fn create_unnamed(_: At<'_>, _: &[u8], _: u32) -> Result<(), NotUnnamed> {
        Err(NotUnnamed::Unsupported)
    }

    pub(in crate::disk) fn sync_file_system(_: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
