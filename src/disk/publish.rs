//! Steps that belong together, so that no call site can forget one.

use std::io;
use std::path::Path;

use super::{Disk, Kind, if_there};
use crate::error::{Error, Result};
use crate::observe::target;

/// What [`publish`] makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// Nothing: for what may be lost.
    Lazily,
    /// The contents before the name: for a caller that syncs the directory itself.
    Contents,
    /// The contents, then the name.
    Durably,
}

impl Publish {
    pub(crate) fn contents(durable: bool) -> Self {
        if durable {
            Publish::Contents
        } else {
            Publish::Lazily
        }
    }
}

/// Puts a file in its place in one step: whoever looks sees the old contents or the new ones, whole.
///
/// Writes `temp`, which is on the same file system, and renames it to `file`. On an error `temp` is
/// removed and `file` is what it was, unless the last step failed, the sync of its directory.
pub(crate) fn publish(
    disk: &dyn Disk,
    temp: &Path,
    file: &Path,
    contents: &[u8],
    mode: u32,
    how: Publish,
) -> Result<()> {
    let renamed = disk
        .write_new(temp, contents, mode, how != Publish::Lazily)
        .map_err(|error| Error::io("write", temp, error))
        .and_then(|()| {
            disk.rename(temp, file)
                .map_err(|error| Error::io("rename a temp file to", file, error))
        });
    if let Err(error) = renamed {
        clean_up(disk, temp);
        return Err(error);
    }
    match file.parent() {
        Some(dir) if how == Publish::Durably => disk
            .sync_dir(dir)
            .map_err(|error| Error::io("sync", dir, error)),
        _ => Ok(()),
    }
}

/// Creates a directory, unless it exists.
pub(crate) fn create_dir_if_absent(disk: &dyn Disk, dir: &Path) -> Result<()> {
    match disk.create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", dir, error))
        }
        _ => Ok(()),
    }
}

/// Removes a file that an error left behind. The error is what counts then, so this one is only
/// logged.
pub(crate) fn clean_up<D: Disk + ?Sized>(disk: &D, file: &Path) {
    if let Err(error) = if_there(disk.remove_file(file)) {
        tracing::warn!(target: target::DISK, path = %file.display(), %error, "cannot remove a temp file");
    }
}

/// Removes a directory and all that is in it. It is no error if it isn't there.
pub(crate) fn remove_tree(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::io("remove", path, error)
    };
    let listed = if_there(disk.list(dir)).map_err(|error| Error::io("list", dir, error))?;
    let Some(entries) = listed else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("list", dir, error))?;
        let path = dir.join(&entry.name);
        match entry.kind {
            Kind::Dir => remove_tree(disk, &path)?,
            Kind::File | Kind::Symlink | Kind::Other => {
                if_there(disk.remove_file(&path)).map_err(failed(&path))?;
            }
        }
    }
    if_there(disk.remove_dir(dir)).map_err(failed(dir))?;
    Ok(())
}
