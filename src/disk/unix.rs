//! What needs more than the standard library has, on Unix.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use self::linux::{SYNCS_ALL_AT_ONCE, rename_new, sync_all};
#[cfg(not(target_os = "linux"))]
pub(super) use super::portable::{SYNCS_ALL_AT_ONCE, rename_new, sync_all};

/// Refuses a symbolic link, and doesn't wait for the other end of a FIFO.
pub(super) fn only_regular(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed());
}

/// Refuses whatever isn't a directory, a symbolic link to one too.
pub(super) fn only_dir(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    options.custom_flags(flags.bits().cast_signed());
}

pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Some file systems (NFS, some with quotas) report a failed write at the close only.
pub(super) fn close(file: File) -> io::Result<()> {
    nix::unistd::close(file).map_err(io::Error::from)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::Path;

    use rustix::fs::{CWD, RenameFlags};
    use rustix::io::Errno;

    use crate::disk::os::{OsDisk, open_dir};
    use crate::disk::portable;

    pub(crate) const SYNCS_ALL_AT_ONCE: bool = true;

    /// renameat2(2), since Linux 3.15; not every file system has `RENAME_NOREPLACE`.
    pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => portable::rename_new(from, to),
            result => Ok(result?),
        }
    }

    /// syncfs(2): waits until everything of the file system is on the disk, and since Linux 5.8
    /// reports what could not be written since the directory was opened.
    pub(crate) fn sync_all(disk: &OsDisk, root: &Path) -> io::Result<()> {
        match disk.witness.get() {
            Some(witness) => rustix::fs::syncfs(witness)?,
            None => rustix::fs::syncfs(open_dir(root)?)?,
        }
        Ok(())
    }
}
