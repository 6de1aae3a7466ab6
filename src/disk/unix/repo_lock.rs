//! [`RepoLock`]: an fcntl(2) lock on a whole file, the kind of lock that kubo takes on its repo.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, Gid, Uid, fchown, fcntl_lock};
use rustix::io::Errno;

/// An exclusive lock on a whole file (`F_SETLK` with `F_WRLCK`), until it is dropped.
///
/// The lock belongs to the process. It is released when the process closes *any* descriptor of the file, so
/// the caller must not let a process open the file twice.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct RepoLock {
    _file: File,
}

impl RepoLock {
    /// Locks the file, which is created if it is missing. Returns `None` if another process holds the lock.
    pub(crate) fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(RepoLock { _file: file })),
            // fcntl(2) says that either of the two may be returned.
            Err(Errno::ACCESS | Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o644);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            give_to_owner_of_dir(&file, path);
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

/// A lock file that root creates would keep out the user who owns the directory. If the owner can't be
/// changed, the lock is still good.
fn give_to_owner_of_dir(file: &File, path: &Path) {
    let Some(Ok(dir)) = path.parent().map(Path::metadata) else {
        return;
    };
    let owner = (Uid::from_raw(dir.uid()), Gid::from_raw(dir.gid()));
    let _ = fchown(file, Some(owner.0), Some(owner.1));
}
