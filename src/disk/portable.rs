//! Steps by means that every operating system has, for file systems and systems without better ones.

use std::io;
use std::path::Path;

use super::os::{At, OsDisk};
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
pub(super) fn sync_all(disk: &OsDisk, root: &Path) -> io::Result<()> {
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

/// Stand-ins for what only Linux has.
#[cfg(not(target_os = "linux"))]
pub(super) mod fallback {
    use std::fs::File;

    use super::*;
    use crate::disk::os::SyncMethod;

    pub(in crate::disk) fn sync_method(_: &File) -> io::Result<SyncMethod> {
        Ok(SyncMethod::EachFile)
    }

    pub(in crate::disk) fn create_unnamed(
        _: &OsDisk,
        _: &Path,
        _: &[u8],
        _: u32,
    ) -> Option<io::Result<()>> {
        None
    }

    pub(in crate::disk) fn sync_file_system(_: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
