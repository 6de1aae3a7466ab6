//! Steps for which the standard library is not enough, on every Unix.

use std::fs::File;
use std::io;

use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use super::linux::{create_unnamed, rename_new, sync_file_system, sync_method};
#[cfg(not(target_os = "linux"))]
pub(super) use super::portable::{
    fallback::{create_unnamed, sync_file_system, sync_method},
    rename_new,
};

/// Closes a file. Some file systems (NFS, some with quotas) report a failed write only here.
pub(super) fn close(file: File) -> io::Result<()> {
    nix::unistd::close(file).map_err(io::Error::from)
}

/// Flushes a file or directory: fsync(2), and on Apple systems fcntl(2) with `F_FULLFSYNC`, which also
/// flushes the cache of the device.
pub(super) fn sync(file: &File) -> io::Result<()> {
    full_sync_or(file.sync_all(), || Ok(rustix::fs::fsync(file)?))
}

/// Returns the result of a full flush, or does a plain fsync(2) where the file system has no full one: SMB
/// shares on macOS return `ENOTSUP` for `F_FULLFSYNC`. A plain fsync(2) is all that they offer.
pub(super) fn full_sync_or(
    synced: io::Result<()>,
    fsync: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    match synced {
        Err(error) if cfg!(any(target_vendor = "apple", test)) && is_unsupported(&error) => fsync(),
        synced => synced,
    }
}

/// Returns whether a file system does not have what it was asked for. What it says about data, such as
/// `EIO`, is not among these errors.
fn is_unsupported(error: &io::Error) -> bool {
    // Not a pattern: on some systems two of these are one number.
    let unsupported = [
        Errno::NOTSUP,
        Errno::OPNOTSUPP,
        Errno::NOTTY,
        Errno::INVAL,
        Errno::NOSYS,
    ];
    Errno::from_io_error(error).is_some_and(|error| unsupported.contains(&error))
}
