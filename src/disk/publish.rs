//! Sequences of steps that belong together, as one function each, so that no caller can forget a step.

use std::io;
use std::path::Path;

use super::{Disk, Kind, if_there, platform};
use crate::error::{Error, Result};
use crate::observe::target;

/// What [`publish`] makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// Nothing: the file may be lost or empty after a power cut.
    Lazily,
    /// The contents before the name: for a caller that flushes the directory itself.
    Contents,
    /// The contents, then the name.
    Durably,
}

impl Publish {
    /// `Contents` if the caller's mode is durable, otherwise `Lazily`.
    pub(crate) fn contents(durable: bool) -> Self {
        if durable {
            Publish::Contents
        } else {
            Publish::Lazily
        }
    }
}

/// Creates or replaces a file in one step: other processes see the whole old contents or the whole new
/// contents.
///
/// It writes `temp`, which must be on the same file system, and renames it to `file`.
///
/// # Errors
///
/// After an error `temp` is removed and `file` is unchanged, unless only the last step has failed, which
/// is the flush of the directory.
pub(crate) fn publish(
    disk: &dyn Disk,
    temp: &Path,
    file: &Path,
    contents: &[u8],
    mode: u32,
    how: Publish,
) -> Result<()> {
    // The contents are flushed before the rename: a power cut between the two must not leave the name
    // with an empty file where a good one was.
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
        // Without this a power cut can undo the rename.
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

/// Removes a temp file after an error. The caller reports that error, so a failure of this one is only
/// logged.
pub(crate) fn clean_up<D: Disk + ?Sized>(disk: &D, file: &Path) {
    if let Err(error) = if_there(disk.remove_file(file)) {
        tracing::warn!(target: target::DISK, path = %file.display(), %error, "cannot remove a temp file");
    }
}

/// Removes a directory and everything in it. It does nothing if the directory does not exist.
///
/// On Windows the removals are retried for two seconds in all, however many files another program has open.
pub(crate) fn remove_tree(disk: &dyn Disk, dir: &Path) -> Result<()> {
    platform::with_one_bound(|| remove_below(disk, dir))
}

fn remove_below(disk: &dyn Disk, dir: &Path) -> Result<()> {
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
            Kind::Dir => remove_below(disk, &path)?,
            Kind::File | Kind::Symlink | Kind::Other => {
                if_there(disk.remove_file(&path)).map_err(failed(&path))?;
            }
        }
    }
    if_there(disk.remove_dir(dir)).map_err(failed(dir))?;
    Ok(())
}
