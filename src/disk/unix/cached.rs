//! Reads that the kernel serves from memory, on Linux: without a hop to the blocking pool, and without
//! ever waiting for a disk.
//!
//! openat2(2) with `RESOLVE_CACHED` (Linux 5.12) resolves a path through the kernel's cache of names
//! only, and preadv2(2) with `RWF_NOWAIT` (Linux 4.14) reads from the page cache only. Where that is
//! not enough, both return `EAGAIN` at once. Between the two, the file system itself opens the file,
//! which is why only local file systems are read this way. A read that records the time of access may
//! wait for the journal of the file system, so the file is opened with `O_NOATIME`, which its owner may
//! do. Every other error is left to the blocking pool: a seccomp filter, a file system that lacks these
//! calls, a symbolic link, no free descriptor.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::file_systems;
use crate::disk::{CachedReads, Kind, Stat};

/// Longer files are read on the blocking pool: a worker should not copy for much longer than the hop takes. kubo's
/// usual blocks, of 256 KiB and a few bytes, are copied in about 20 µs.
const MAX_READ_LEN: u64 = 512 * 1024;

/// Cached reads below one root.
#[derive(Debug)]
pub(super) struct LinuxCachedReads {
    root: File,
    /// Whether the kernel or the file system has refused such an open.
    cannot_open: AtomicBool,
    /// Whether a file of another user was found, which cannot be opened with `O_NOATIME`.
    has_foreign_files: AtomicBool,
    /// Whether the kernel has refused such a read.
    cannot_read: AtomicBool,
}

impl LinuxCachedReads {
    /// Returns `None` if the file system may ask a server, and so wait for it.
    pub(super) fn new(root: File) -> io::Result<Option<Self>> {
        let is_local = file_systems::opens_at_once(&root)?;
        Ok(is_local.then(|| LinuxCachedReads {
            root,
            cannot_open: AtomicBool::new(false),
            has_foreign_files: AtomicBool::new(false),
            cannot_read: AtomicBool::new(false),
        }))
    }

    /// Opens a file to read it, with `O_NOATIME` where that is allowed.
    fn open_file(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        if !self.has_foreign_files.load(Ordering::Relaxed) {
            match self.try_open(path, flags | OFlags::NOATIME) {
                Err(Errno::PERM) => self.has_foreign_files.store(true, Ordering::Relaxed),
                opened => {
                    return opened.inspect_err(|&error| remember_refusal(error, &self.cannot_open));
                }
            }
        }
        self.open(path, flags)
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.try_open(path, flags)
            .inspect_err(|&error| remember_refusal(error, &self.cannot_open))
    }

    /// Opens a path below the root, through no symbolic link.
    fn try_open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Without `BENEATH`, whose check takes a lock of the whole system: the path is that of a block or of a file
        // of the store, so it has no `..`.
        let resolve = ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    fn try_read(&self, path: &str) -> Result<Option<Bytes>, Errno> {
        let file = self.open_file(path)?;
        let stat = stat(&file)?;
        let length = match usize::try_from(stat.len) {
            Ok(length) if stat.kind == Kind::File && stat.len <= MAX_READ_LEN => length,
            _ => return Ok(None),
        };
        let mut contents = vec![0; length];
        if length > 0 {
            let mut buffers = [IoSliceMut::new(&mut contents)];
            let read = rustix::io::preadv2(&file, &mut buffers, 0, ReadWriteFlags::NOWAIT);
            if read.inspect_err(|&error| remember_refusal(error, &self.cannot_read))? != length {
                return Ok(None);
            }
        }
        Ok(Some(contents.into()))
    }
}

impl CachedReads for LinuxCachedReads {
    fn read(&self, path: &str) -> Option<io::Result<Bytes>> {
        if self.cannot_open.load(Ordering::Relaxed) || self.cannot_read.load(Ordering::Relaxed) {
            return None;
        }
        if_certain(self.try_read(path).transpose()?)
    }

    fn stat(&self, path: &str) -> Option<io::Result<Stat>> {
        if self.cannot_open.load(Ordering::Relaxed) {
            return None;
        }
        if_certain(self.open(path, OFlags::PATH).and_then(|file| stat(&file)))
    }
}

/// Returns what was found, or that it does not exist. Any other error says nothing about the file.
fn if_certain<T>(result: Result<T, Errno>) -> Option<io::Result<T>> {
    match result {
        Ok(found) => Some(Ok(found)),
        Err(Errno::NOENT) => Some(Err(Errno::NOENT.into())),
        Err(_) => None,
    }
}

/// Sets the flag if the error means that such calls never work here.
fn remember_refusal(error: Errno, flag: &AtomicBool) {
    if matches!(
        error,
        Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP
    ) {
        flag.store(true, Ordering::Relaxed);
    }
}

/// Returns what an open file is, as far as the kernel knows without asking a server.
fn stat(file: impl AsFd) -> Result<Stat, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(file, c"", flags, StatxFlags::TYPE | StatxFlags::SIZE)?;
    let kind = match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    };
    Ok(Stat {
        kind,
        len: found.stx_size,
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test makes its own files")]
mod tests {
    use std::fs;

    use super::*;

    /// Returns `None` where temp files are not on a local file system.
    fn reads() -> Option<(tempfile::TempDir, LinuxCachedReads)> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("AB")).unwrap();
        fs::write(dir.path().join("AB/X.data"), b"block").unwrap();
        fs::write(dir.path().join("AB/EMPTY.data"), b"").unwrap();
        fs::write(dir.path().join("AB/LONG.data"), vec![1; 512 * 1024 + 1]).unwrap();
        let reads = LinuxCachedReads::new(File::open(dir.path()).unwrap()).unwrap()?;
        Some((dir, reads))
    }

    /// `None` is also correct: the kernel or the file system may lack these calls.
    fn is_or_unknown<T: PartialEq>(result: Option<io::Result<T>>, right: &T) -> bool {
        result.is_none_or(|found| found.is_ok_and(|found| found == *right))
    }

    #[test]
    fn a_file_system_that_is_not_known_to_be_local_has_no_cached_reads() {
        assert!(
            LinuxCachedReads::new(File::open("/proc").unwrap())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_cached_read_returns_what_is_on_the_disk() {
        let Some((_dir, reads)) = reads() else {
            return;
        };
        assert!(is_or_unknown(
            reads.read("AB/X.data"),
            &Bytes::from("block")
        ));
        assert!(is_or_unknown(reads.read("AB/EMPTY.data"), &Bytes::new()));
        let stat = Stat {
            kind: Kind::File,
            len: 5,
        };
        assert!(is_or_unknown(reads.stat("AB/X.data"), &stat));
    }

    #[test]
    fn an_absent_file_is_not_found_or_unknown() {
        let Some((_dir, reads)) = reads() else {
            return;
        };
        for path in ["AB/NONE.data", "NO/X.data"] {
            if let Some(result) = reads.read(path) {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
            }
            if let Some(result) = reads.stat(path) {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
            }
        }
    }

    #[test]
    fn long_files_directories_and_links_are_left_to_the_pool() {
        let Some((dir, reads)) = reads() else {
            return;
        };
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(dir.path().join(to), dir.path().join(at)).unwrap();
        };
        link("AB", "LINK");
        link("AB/X.data", "AB/LINK.data");
        for path in ["AB/LONG.data", "AB", "LINK/X.data", "AB/LINK.data"] {
            assert!(reads.read(path).is_none(), "{path}");
        }
        assert!(reads.stat("LINK/X.data").is_none());
    }
}
