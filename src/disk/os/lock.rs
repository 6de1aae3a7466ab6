//! The lock of a writer on a file in the root of the store: flock(2) on Unix, `LockFileEx` on Windows.

use std::fs::{File, TryLockError};
use std::io;
use std::process;

use crate::disk::LockGuard;
use crate::disk::contents;
use crate::disk::platform::{self, At};

/// How often the lock file may be replaced while the lock is being taken.
const MAX_ATTEMPTS: usize = 16;

/// Takes the lock, `None` if another writer has it.
pub(super) fn lock(at: At<'_>) -> io::Result<Option<OsLock>> {
    for _ in 0..MAX_ATTEMPTS {
        let (file, metadata) = contents::regular(at.open_lock()?)?;
        // The permissions are restricted before the lock is taken: from here on no other user can open the
        // file to lock it.
        platform::restrict_to_owner(&file, &metadata);
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
        if platform::is_at(&lock.file, &at)? {
            return Ok(Some(lock));
        }
    }
    Ok(None)
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
