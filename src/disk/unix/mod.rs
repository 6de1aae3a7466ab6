//! The steps of [`OsDisk`](super::OsDisk) on Unix: system calls that take a path relative to an open
//! directory.

mod at;
#[cfg(target_os = "linux")]
mod cached;
mod errno;
#[cfg(not(target_os = "linux"))]
mod fallback;
#[cfg(target_os = "linux")]
mod file_systems;
#[cfg(target_os = "linux")]
mod linux;
pub(super) mod listing;
#[cfg(target_os = "linux")]
mod lock_owner;
mod repo_lock;
mod retry;
mod root;
mod sync_method;

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::AtFlags;
use rustix::io::Errno;

pub(super) use self::at::At;
pub(super) use self::errno::{is_final, is_out_of_files};
#[cfg(not(target_os = "linux"))]
use self::fallback as system;
#[cfg(target_os = "linux")]
use self::linux as system;
#[cfg(all(test, target_os = "linux"))]
pub(super) use self::linux::Refused;
pub(super) use self::listing::list;
pub(crate) use self::repo_lock::RepoLock;
#[cfg(test)]
pub(super) use self::retry::retry_while_out_of_descriptors;
pub(super) use self::root::Root;
pub(super) use self::system::{cached_reads, create_unnamed, lock_owner, rename_new};
use super::{FreeSpace, if_there};
use crate::observe::target;

/// Closes a file. Some file systems (NFS, some with quotas) report a failed write only here.
pub(super) fn close(file: File) -> io::Result<()> {
    nix::unistd::close(file).map_err(io::Error::from)
}

/// Returns the free space of a file system: fstatvfs(3).
pub(super) fn free_space(at: At<'_>) -> io::Result<FreeSpace> {
    let found = rustix::fs::fstatvfs(at.open_dir()?)?;
    Ok(FreeSpace {
        bytes: found.f_bavail.saturating_mul(found.f_frsize),
        unit: found.f_frsize.max(1),
    })
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

/// Returns whether the error says that the file system does not support the call. Errors about the data, such as `EIO`,
/// are not among these.
fn is_unsupported(error: &io::Error) -> bool {
    // Not a pattern, because on some systems two of these constants are equal.
    let unsupported = [
        Errno::NOTSUP,
        Errno::OPNOTSUPP,
        Errno::NOTTY,
        Errno::INVAL,
        Errno::NOSYS,
    ];
    Errno::from_io_error(error).is_some_and(|error| unsupported.contains(&error))
}

/// Reads from a file with one call, and appends to `contents`.
pub(super) fn read_once(file: &File, contents: &mut Vec<u8>) -> io::Result<usize> {
    Ok(rustix::io::read(file, spare_capacity(contents))?)
}

/// Gives a copy the permissions of its source. The umask does not apply.
pub(super) fn copy_permissions(from: &Metadata, to: &File) -> io::Result<()> {
    let mode = from.permissions().mode() & 0o777;
    to.set_permissions(Permissions::from_mode(mode))
}

/// Takes the permissions of other users away from a lock file that an earlier version created. It stays as it is if it
/// belongs to another user, or the file system does not have permissions.
pub(super) fn restrict_to_owner(file: &File, metadata: &Metadata) {
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = file.set_permissions(Permissions::from_mode(mode & at::LOCK_MODE))
    {
        tracing::debug!(target: target::DISK, %error, "cannot restrict the lock file to its owner");
    }
}

/// Returns whether an open file is still the one at the path.
pub(super) fn is_at(file: &File, at: &At<'_>) -> io::Result<bool> {
    let opened = rustix::fs::fstat(file)?;
    let found = rustix::fs::statat(at.dir, at.path, AtFlags::SYMLINK_NOFOLLOW);
    let found = if_there(found.map_err(io::Error::from))?;
    Ok(found.is_some_and(|found| (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)))
}

/// Returns the number of files that the process may have open, `RLIMIT_NOFILE`.
pub(crate) fn open_file_limit() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(u64::MAX)
}

/// Resolves all symbolic links in a path.
#[expect(
    clippy::disallowed_methods,
    reason = "this is a part of the implementation of `Disk`"
)]
pub(super) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Runs steps on files. Only Windows has steps that are retried because another program prevents them.
pub(super) fn with_one_bound<T>(steps: impl FnOnce() -> T) -> T {
    steps()
}
