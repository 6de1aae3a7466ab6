//! What file systems of Linux can do, by their numbers in statfs(2).

use std::os::fd::AsFd;

use rustix::io;

const EXT: u32 = 0x0000_ef53;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683e;
const F2FS: u32 = 0xf2f5_2010;
const BCACHEFS: u32 = 0xca45_1a4e;
const ZFS: u32 = 0x2fc1_2fc1;
const TMPFS: u32 = 0x0102_1994;
const OVERLAYFS: u32 = 0x794c_7630;

/// Whether a file whose name is cached is opened without asking anybody. NFS, FUSE and others ask their
/// server.
pub(super) fn opens_at_once(file: impl AsFd) -> io::Result<bool> {
    is_one_of(file, &[EXT, XFS, BTRFS, F2FS, BCACHEFS, ZFS, TMPFS])
}

/// Whether syncfs(2) makes everything durable, as fsync(2) does one file. It doesn't everywhere: FUSE
/// writes to its server then and does not tell it to flush (`fuse_sync_fs`), and FAT writes to the device
/// and leaves it in that one's cache; both do more for an fsync.
pub(super) fn has_syncfs(file: impl AsFd) -> io::Result<bool> {
    is_one_of(
        file,
        &[EXT, XFS, BTRFS, F2FS, BCACHEFS, ZFS, TMPFS, OVERLAYFS],
    )
}

fn is_one_of(file: impl AsFd, known: &[u32]) -> io::Result<bool> {
    let number = rustix::fs::fstatfs(file)?.f_type;
    Ok(u32::try_from(number).is_ok_and(|number| known.contains(&number)))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test opens its own files")]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn proc_has_no_syncfs_and_a_file_system_in_memory_has() {
        let open = |path| File::open(path).unwrap();
        assert!(!has_syncfs(open("/proc")).unwrap());
        assert!(!opens_at_once(open("/proc")).unwrap());
        assert!(has_syncfs(open("/dev/shm")).unwrap());
        assert!(opens_at_once(open("/dev/shm")).unwrap());
    }
}
