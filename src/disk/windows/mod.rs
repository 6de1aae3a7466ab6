//! The steps of [`OsDisk`](super::OsDisk) on Windows, by the standard library.
//!
//! Windows has no names relative to an open directory in its documented interface, so all steps take whole
//! paths, in [verbatim](self::verbatim) form. Steps that another program prevents are [retried](self::retry).
#![expect(
    clippy::disallowed_methods,
    reason = "this is a part of the implementation of `Disk`"
)]

mod at;
mod listing;
mod repo_lock;
mod retry;
mod root;
#[cfg(test)]
mod tests;
mod verbatim;

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::{
    ERROR_CRC, ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_IO_DEVICE,
    ERROR_NOT_SUPPORTED, ERROR_TOO_MANY_OPEN_FILES, ERROR_WRITE_FAULT,
};

pub(super) use self::at::At;
pub(super) use self::listing::list;
pub(crate) use self::repo_lock::RepoLock;
use self::retry::is_error;
pub(super) use self::retry::with_one_bound;
pub(super) use self::root::Root;
use self::verbatim::without_verbatim;
use super::portable::NotUnnamed;
use super::{CachedReads, FreeSpace, if_there};

/// Closes a file. Windows has no error of a write that only the close reports.
#[expect(clippy::unnecessary_wraps, reason = "other platforms have such errors")]
pub(super) fn close(file: File) -> io::Result<()> {
    drop(file);
    Ok(())
}

/// Resolves all symbolic links in a path. Where the file system cannot do that, as on [some virtual disks], they stay.
///
/// [some virtual disks]: https://github.com/rust-lang/rust/issues/48249
pub(super) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(found) => Ok(without_verbatim(found)),
        Err(_) if fs::metadata(path).is_ok() => std::path::absolute(path),
        Err(error) => Err(error),
    }
}

/// Returns the free space of a volume: `GetDiskFreeSpace`.
pub(super) fn free_space(at: At<'_>) -> io::Result<FreeSpace> {
    let found = fs4::statvfs(without_verbatim(at.path().to_owned()))?;
    Ok(FreeSpace {
        bytes: found.available_space(),
        unit: found.allocation_granularity().max(1),
    })
}

/// Flushes a file or directory: `FlushFileBuffers`, which also flushes the cache of the device.
///
/// A directory that the file system cannot flush, as on FAT, is left as it is: there is no other way.
pub(super) fn sync(file: &File) -> io::Result<()> {
    let unsupported = [
        ERROR_INVALID_FUNCTION,
        ERROR_INVALID_PARAMETER,
        ERROR_NOT_SUPPORTED,
    ];
    match file.sync_all() {
        Err(error) if is_error(&error, &unsupported) && file.metadata()?.is_dir() => Ok(()),
        synced => synced,
    }
}

/// Returns whether the process has no free handle.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    is_error(error, &[ERROR_TOO_MANY_OPEN_FILES])
}

/// Returns whether a step that creates a name failed for a reason that another kind of step would fail
/// for, too: the name exists, a directory does not, or the disk takes nothing more.
pub(super) fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotFound
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
    ) || is_error(error, &[ERROR_CRC, ERROR_IO_DEVICE, ERROR_WRITE_FAULT])
}

/// The standard library has no rename that replaces nothing.
pub(super) fn rename_new(_: At<'_>, _: At<'_>) -> Option<io::Result<()>> {
    None
}

/// Windows has no unnamed files.
pub(super) fn create_unnamed(_: At<'_>, _: &[u8], _: u32) -> Result<(), NotUnnamed> {
    Err(NotUnnamed::Unsupported)
}

/// Windows has no list of locks.
pub(super) fn lock_owner(_: &Path) -> Option<u32> {
    None
}

/// Windows has no reads that never wait for a disk.
#[expect(clippy::unnecessary_wraps, reason = "other platforms have errors")]
pub(super) fn cached_reads(_: At<'_>) -> io::Result<Option<Box<dyn CachedReads>>> {
    Ok(None)
}

/// Reads a file by one call, into an empty vector.
pub(super) fn read_once(mut file: &File, contents: &mut Vec<u8>) -> io::Result<usize> {
    contents.resize(contents.capacity(), 0);
    let read = file.read(contents);
    contents.truncate(*read.as_ref().unwrap_or(&0));
    read
}

/// A copy inherits its permissions from its directory, as every new file does.
#[expect(clippy::unnecessary_wraps, reason = "other platforms have errors")]
pub(super) fn copy_permissions(_: &Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

/// The lock is mandatory and takes write access, so the permissions of the directory are enough.
pub(super) fn restrict_to_owner(_: &File, _: &Metadata) {}

/// Returns whether an open file is still the one at the path.
pub(super) fn is_at(file: &File, at: &At<'_>) -> io::Result<bool> {
    let found = match if_there(at.open_file()) {
        // The file is being removed, which ends when its last handle is closed: this one.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        found => found?,
    };
    let Some(found) = found else {
        return Ok(false);
    };
    let id = |file: &File| {
        let found = winapi_util::file::information(file)?;
        io::Result::Ok((found.volume_serial_number(), found.file_index()))
    };
    Ok(id(file)? == id(&found)?)
}

/// Returns the number of files that the process may have open: millions of handles.
pub(crate) fn open_file_limit() -> u64 {
    u64::MAX
}
