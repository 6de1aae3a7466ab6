//! The advisory lock of a writer: flock(2) on a file in the root of the store.

use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process;

use rustix::fs::{AtFlags, OFlags};

use super::contents;
use crate::disk::at::At;
use crate::disk::{LockGuard, if_there};
use crate::observe::target;

/// flock(2) works on a descriptor that is open for reading, so any user who may read the file could keep the
/// writer out.
const LOCK_MODE: u32 = 0o600;

/// How often the lock file may be replaced while the lock is being taken.
const MAX_ATTEMPTS: usize = 16;

/// Takes the lock, `None` if another writer has it.
pub(super) fn lock(at: At<'_>) -> io::Result<Option<OsLock>> {
    for _ in 0..MAX_ATTEMPTS {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        let (file, metadata) = contents::regular(at.open(flags, LOCK_MODE)?)?;
        // The permissions are restricted before the lock is taken: from here on no other user can open the
        // file to lock it.
        restrict(&file, &metadata);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let lock = OsLock {
            file,
            process: process::id(),
        };
        // A writer that tears a store down removes the file while it has the lock. If it did so after
        // this open and before this lock, the next writer would create another file and lock that:
        // there would be two.
        if is_at(&lock.file, at)? {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Takes the rights of other users away from a lock file that an earlier version created. It stays as
/// it is if it belongs to another user, or the file system does not have permissions.
fn restrict(file: &File, metadata: &Metadata) {
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = file.set_permissions(Permissions::from_mode(mode & LOCK_MODE))
    {
        tracing::debug!(target: target::DISK, %error, "cannot restrict the lock file to its owner");
    }
}

/// Returns whether an open file is still the one at the path.
fn is_at(file: &File, at: At<'_>) -> io::Result<bool> {
    let opened = rustix::fs::fstat(file)?;
    let found = rustix::fs::statat(at.dir, at.path, AtFlags::SYMLINK_NOFOLLOW);
    let found = if_there(found.map_err(io::Error::from))?;
    Ok(found.is_some_and(|found| (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)))
}

/// A lock that has been taken.
#[derive(Debug)]
pub(super) struct OsLock {
    pub(super) file: File,
    /// The process that has taken the lock.
    pub(super) process: u32,
}

impl LockGuard for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        // The lock belongs to the open file, which a forked child shares. The close alone would leave
        // the lock to a child that has not yet called exec, so the parent unlocks. A child that runs
        // destructors must not: it would unlock the parent's store.
        if process::id() == self.process {
            // If this fails, only the close releases the lock.
            let _ = self.file.unlock();
        }
    }
}
