//! What needs more than the standard library has, on Unix.

use std::fs::File;
use std::io;

use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use self::linux::{create_nameless, rename_new, sync_all, syncs_all_at_once};
#[cfg(not(target_os = "linux"))]
pub(super) use super::portable::{create_nameless, rename_new, sync_all, syncs_all_at_once};

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
    use std::fs::File;
    use std::io::{self, Write as _};
    use std::path::Path;
    use std::sync::atomic::Ordering;

    use rustix::fs::{AtFlags, OFlags, RenameFlags};
    use rustix::io::Errno;

    use crate::disk::os::{At, OsDisk};
    use crate::disk::{file_systems, portable};

    /// renameat2(2), since Linux 3.15; not every file system has `RENAME_NOREPLACE`.
    pub(in crate::disk) fn rename_new(from: At<'_>, to: At<'_>) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from.dir, from.path, to.dir, to.path, flags) {
            Err(Errno::INVAL | Errno::NOSYS) => portable::rename_new(from, to),
            result => Ok(result?),
        }
    }

    /// open(2) with `O_TMPFILE` (Linux 3.11) and linkat(2) with `AT_EMPTY_PATH`, which since Linux 6.10
    /// needs no privilege for a file that the process has opened itself. A file without a name needs
    /// no clean-up after a crash, and a link, other than a rename from another directory, doesn't
    /// take a lock of the whole file system.
    ///
    /// `None` where the kernel or the file system can't do that. Both are found out on the first file.
    pub(crate) fn create_nameless(
        disk: &OsDisk,
        file: &Path,
        contents: &[u8],
        mode: u32,
    ) -> Option<io::Result<()>> {
        if disk.has_no_nameless_files.load(Ordering::Relaxed) {
            return None;
        }
        match try_create_nameless(disk.at(file), contents, mode) {
            // EISDIR is what kernels and file systems without O_TMPFILE say, ENOENT what linkat(2) says
            // without the privilege, and openat(2) if the directory is missing.
            Err(Refused::Open(
                Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS | Errno::PERM,
            ))
            | Err(Refused::Link(
                Errno::NOENT
                | Errno::PERM
                | Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
                | Errno::XDEV,
            )) => {
                disk.has_no_nameless_files.store(true, Ordering::Relaxed);
                None
            }
            Err(Refused::Open(error) | Refused::Link(error)) => Some(Err(error.into())),
            Err(Refused::Write(error)) => Some(Err(error)),
            Ok(()) => Some(Ok(())),
        }
    }

    enum Refused {
        Open(Errno),
        Write(io::Error),
        Link(Errno),
    }

    fn try_create_nameless(file: At<'_>, contents: &[u8], mode: u32) -> Result<(), Refused> {
        let opened = file.parent().open(OFlags::TMPFILE | OFlags::WRONLY, mode);
        let mut nameless = opened
            .map_err(|error| Refused::Open(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        nameless.write_all(contents).map_err(Refused::Write)?;
        // The close has nothing to say: file systems that write at the close have no such files.
        rustix::fs::linkat(&nameless, c"", file.dir, file.path, AtFlags::EMPTY_PATH)
            .map_err(Refused::Link)
    }

    /// syncfs(2): waits until everything of the file system is on the disk, and since Linux 5.8
    /// reports what could not be written since the directory was opened.
    ///
    /// Where it is not known to do that, every file is flushed.
    pub(crate) fn sync_all(disk: &OsDisk, root: &Path) -> io::Result<()> {
        let witness = disk.root.get().map(|root| &root.dir);
        let opened = match witness {
            Some(_) => None,
            None => Some(disk.at(root).open_dir()?),
        };
        match opened.as_ref().or(witness) {
            Some(dir) if syncs_all_at_once(dir)? => Ok(rustix::fs::syncfs(dir)?),
            _ => portable::sync_all(disk, root),
        }
    }

    pub(crate) fn syncs_all_at_once(dir: &File) -> io::Result<bool> {
        Ok(file_systems::has_syncfs(dir)?)
    }
}
