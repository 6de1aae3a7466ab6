//! What needs more than the standard library has, on Unix.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use self::linux::{create_nameless, rename_new, sync_all, syncs_all_at_once};
#[cfg(not(target_os = "linux"))]
pub(super) use super::portable::{create_nameless, rename_new, sync_all, syncs_all_at_once};

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
    use std::fs::File;
    use std::io::{self, Write as _};
    use std::path::Path;
    use std::sync::atomic::Ordering;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
    use rustix::io::Errno;

    use crate::disk::os::{OsDisk, open_dir, with_patience};
    use crate::disk::{file_systems, portable};

    /// renameat2(2), since Linux 3.15; not every file system has `RENAME_NOREPLACE`.
    pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
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
        match try_create_nameless(file, contents, mode) {
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

    fn try_create_nameless(file: &Path, contents: &[u8], mode: u32) -> Result<(), Refused> {
        let dir = file.parent().ok_or(Refused::Open(Errno::INVAL))?;
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let open = || Ok(rustix::fs::open(dir, flags, mode)?);
        let opened = with_patience(open)
            .map_err(|error| Refused::Open(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let mut nameless = File::from(opened);
        nameless.write_all(contents).map_err(Refused::Write)?;
        // The close has nothing to say: file systems that write at the close have no such files.
        rustix::fs::linkat(&nameless, c"", CWD, file, AtFlags::EMPTY_PATH).map_err(Refused::Link)
    }

    /// syncfs(2): waits until everything of the file system is on the disk, and since Linux 5.8
    /// reports what could not be written since the directory was opened.
    ///
    /// Where it is not known to do that, every file is flushed.
    pub(crate) fn sync_all(disk: &OsDisk, root: &Path) -> io::Result<()> {
        let opened = match disk.witness.get() {
            Some(_) => None,
            None => Some(open_dir(root)?),
        };
        match opened.as_ref().or(disk.witness.get()) {
            Some(dir) if syncs_all_at_once(dir)? => Ok(rustix::fs::syncfs(dir)?),
            _ => portable::sync_all(disk, root),
        }
    }

    pub(crate) fn syncs_all_at_once(dir: &File) -> io::Result<bool> {
        Ok(file_systems::has_syncfs(dir)?)
    }
}
