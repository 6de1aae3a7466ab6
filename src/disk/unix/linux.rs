//! Steps that only Linux has.

use std::fs::File;
use std::io::{self, Write as _};

use rustix::fs::{AtFlags, OFlags, RenameFlags};
use rustix::io::Errno;

use super::at::At;
use super::cached::LinuxCachedReads;
use super::errno::is_final;
use crate::disk::CachedReads;
use crate::disk::portable::NotUnnamed;

pub(super) use super::file_systems::sync_method;
pub(in crate::disk) use super::lock_owner::lock_owner;

/// Moves a file to a name that must not exist: renameat2(2), since Linux 3.15. Returns `None` where the file
/// system does not support `RENAME_NOREPLACE`.
pub(in crate::disk) fn rename_new(from: At<'_>, to: At<'_>) -> Option<io::Result<()>> {
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(from.dir, from.path, to.dir, to.path, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => None,
        result => Some(result.map_err(io::Error::from)),
    }
}

/// Creates a file by open(2) with `O_TMPFILE` (Linux 3.11) and linkat(2) with `AT_EMPTY_PATH`, which
/// since Linux 6.10 needs no privilege for a file that the process has opened itself.
///
/// An unnamed file needs no clean-up after a crash. And unlike a rename from another directory, the
/// link does not take a lock of the whole file system.
pub(in crate::disk) fn create_unnamed(
    file: At<'_>,
    contents: &[u8],
    mode: u32,
) -> Result<(), NotUnnamed> {
    try_create_unnamed(file, contents, mode).map_err(NotUnnamed::from)
}

impl From<Refused> for NotUnnamed {
    fn from(refused: Refused) -> Self {
        match refused {
            // Kernels and file systems without O_TMPFILE return EISDIR. linkat(2) returns ENOENT without the
            // privilege; from openat(2) it means that the directory is missing.
            Refused::Open(
                Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS | Errno::PERM,
            )
            | Refused::Link(
                Errno::NOENT
                | Errno::PERM
                | Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
                | Errno::XDEV,
            ) => NotUnnamed::Unsupported,
            Refused::Write(error) => NotUnnamed::Failed(error),
            Refused::Open(error) | Refused::Link(error) => match error.into() {
                error if is_final(&error) => NotUnnamed::Failed(error),
                _ => NotUnnamed::Refused,
            },
        }
    }
}

/// The step at which an unnamed file failed.
#[derive(Debug)]
pub(in crate::disk) enum Refused {
    Open(Errno),
    Write(io::Error),
    Link(Errno),
}

fn try_create_unnamed(file: At<'_>, contents: &[u8], mode: u32) -> Result<(), Refused> {
    let opened = file.parent().open(OFlags::TMPFILE | OFlags::WRONLY, mode);
    let mut unnamed =
        opened.map_err(|error| Refused::Open(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    unnamed.write_all(contents).map_err(Refused::Write)?;
    // The close is not checked: file systems that report a failed write at the close have no unnamed
    // files.
    rustix::fs::linkat(&unnamed, c"", file.dir, file.path, AtFlags::EMPTY_PATH)
        .map_err(Refused::Link)
}

/// Returns reads that do not block, if the file system of the directory has them.
pub(in crate::disk) fn cached_reads(dir: At<'_>) -> io::Result<Option<Box<dyn CachedReads>>> {
    let reads = LinuxCachedReads::new(dir.open_dir()?)?;
    Ok(reads.map(|reads| Box::new(reads) as _))
}

/// Writes everything of a file system to the disk, and waits for it: syncfs(2). It reports what could
/// not be written since the directory was opened.
pub(super) fn sync_file_system(dir: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(dir)?)
}
