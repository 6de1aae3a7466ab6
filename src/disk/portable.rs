//! Implementations of steps that work everywhere, for operating systems and file systems without better ones.

use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, Kind, NotOpened, is_not_opened};

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
    sync_tree(disk, root).map_err(|(path, error)| {
        if path == root {
            return error;
        }
        let named = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match is_not_opened(&error) {
            true => NotOpened::wrap(named),
            false => named,
        }
    })
}

/// Returns an error with the path of what could not be flushed.
fn sync_tree(disk: &dyn Disk, dir: &Path) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (dir.to_owned(), error);
    let entries = disk.list(dir).map_err(NotOpened::wrap).map_err(failed)?;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = dir.join(&entry.name);
        let synced = match entry.kind {
            Kind::Dir => sync_tree(disk, &path),
            Kind::File => disk.sync_file(&path).map_err(|error| (path, error)),
            Kind::Symlink | Kind::Other => Ok(()),
        };
        match synced {
            Err((_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    disk.sync_dir(dir).map_err(failed)
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
