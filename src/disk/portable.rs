//! What every operating system can do, for those that can't do better.

use std::fs::File;
use std::io;
use std::path::Path;

use super::os::{At, OsDisk};
use super::{Disk, Kind};

#[cfg_attr(target_os = "linux", allow(dead_code, reason = "Linux does better"))]
pub(super) fn syncs_all_at_once(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Only Linux has files without a name.
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "Linux does better"))]
pub(super) fn create_nameless(_: &OsDisk, _: &Path, _: &[u8], _: u32) -> Option<io::Result<()>> {
    None
}

/// Looks first, so it is only right where nobody else writes to `to` meanwhile.
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

/// Goes through everything below `root`. A file that vanishes on the way needs no sync.
pub(super) fn sync_all(disk: &OsDisk, root: &Path) -> io::Result<()> {
    for entry in disk.list(root)? {
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
