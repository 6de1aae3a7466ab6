//! [`RepoLock`]: an exclusive handle of a file, the lock that kubo takes on its repo on Windows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_TEMPORARY, FILE_FLAG_DELETE_ON_CLOSE, FILE_SHARE_DELETE, FILE_SHARE_READ,
};

use super::retry::is_error;
use super::verbatim::verbatim;

/// A handle of a file that no other program can open to write, until it is dropped, which removes the file.
///
/// kubo opens the file in the same way: see `lock_windows.go` of the module go4.org/lock.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct RepoLock {
    _file: File,
}

impl RepoLock {
    /// Locks the file, which is created if it is missing. Returns `None` if another process holds the lock.
    pub(crate) fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE)
            .attributes(FILE_ATTRIBUTE_TEMPORARY)
            .custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
        match options.open(verbatim(path)) {
            Ok(file) => Ok(Some(RepoLock { _file: file })),
            Err(error) if is_error(&error, &[ERROR_SHARING_VIOLATION]) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
