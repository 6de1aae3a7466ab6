//! What the file systems of Linux can do, by their numbers in statfs(2).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::sync_method::SyncMethod;

const EXT: u32 = 0x0000_ef53;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683e;
const F2FS: u32 = 0xf2f5_2010;
const BCACHEFS: u32 = 0xca45_1a4e;
const ZFS: u32 = 0x2fc1_2fc1;
const TMPFS: u32 = 0x0102_1994;

/// Returns whether the file system opens a file whose name is cached without asking a server. NFS, FUSE
/// and others ask theirs.
pub(super) fn opens_at_once(file: impl AsFd) -> io::Result<bool> {
    let known = [EXT, XFS, BTRFS, F2FS, BCACHEFS, ZFS, TMPFS];
    Ok(known.contains(&number(file)?))
}

/// Returns how everything of a store is made durable on the file system of `dir`.
///
/// syncfs(2) is used only where it is known to do for every file what fsync(2) does for one: write
/// contents and names, flush the volatile cache of the device, and report what could not be written.
///
/// - Before Linux 5.8 it reports no failed write-back.
/// - XFS, btrfs, bcachefs, ZFS and ext4 (or ext3) with a journal commit a log, with a flush of the
///   device, and report their errors. tmpfs has nothing to flush.
/// - ext2, and ext4 without a journal, have the same number as ext4. They write names and inodes through
///   the block device after the flush of its cache, if they flush it at all. An fsync(2) of any file
///   flushes it, so one follows, of the root directory. It also follows where a journal cannot be
///   found.
/// - F2FS returns success once a checkpoint has failed. An fsync(2) reports that, so one follows.
/// - overlayfs writes through the file system of its upper directory, but does not report the failed write-backs of
///   that file system.
/// - FUSE writes to its server and does not tell it to flush. FAT and exFAT leave the writes in the
///   cache of the device. Nothing is known about other file systems.
pub(super) fn sync_method(dir: &File) -> io::Result<SyncMethod> {
    if !reports_write_back_errors(rustix::system::uname().release().to_bytes()) {
        return Ok(SyncMethod::EachFile);
    }
    Ok(match number(dir)? {
        XFS | BTRFS | BCACHEFS | ZFS | TMPFS => SyncMethod::FileSystem,
        EXT if has_journal(dir)? => SyncMethod::FileSystem,
        EXT | F2FS => SyncMethod::FileSystemThenRoot,
        _ => SyncMethod::EachFile,
    })
}

/// Returns whether this release of Linux is at least 5.8. A release that can't be parsed counts as older.
fn reports_write_back_errors(release: &[u8]) -> bool {
    let release = String::from_utf8_lossy(release);
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    next().zip(next()).is_some_and(|version| version >= (5, 8))
}

/// Returns whether an ext file system has a journal, or `false` if that is not known.
///
/// The kernel has a directory in `/proc/fs/jbd2` for each journal, named after its device and inode,
/// which is number 8 on all ext file systems. `/sys` has the name of the device.
fn has_journal(file: &File) -> io::Result<bool> {
    let device = rustix::fs::fstat(file)?;
    let (major, minor) = (
        rustix::fs::major(device.st_dev),
        rustix::fs::minor(device.st_dev),
    );
    let link = rustix::fs::readlink(format!("/sys/dev/block/{major}:{minor}"), Vec::new());
    let Ok(Ok(link)) = link.map(std::ffi::CString::into_string) else {
        return Ok(false);
    };
    let Some(name) = Path::new(&link).file_name().and_then(|name| name.to_str()) else {
        return Ok(false);
    };
    let journal = format!("/proc/fs/jbd2/{name}-8");
    Ok(rustix::fs::stat(journal).is_ok())
}

fn number(file: impl AsFd) -> io::Result<u32> {
    let number = rustix::fs::fstatfs(file)?.f_type;
    // All known numbers fit into 32 bits.
    Ok(u32::try_from(number).unwrap_or(0))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test opens its own files")]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use tempfile::TempDir;

    use super::*;

    /// A file system that is mounted until this is dropped.
    struct Mount(PathBuf);

    impl Drop for Mount {
        fn drop(&mut self) {
            succeeds(Command::new("umount").arg(&self.0));
        }
    }

    fn succeeds(command: &mut Command) -> bool {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Returns `None` if this process cannot mount, which only root can.
    fn mount(arguments: &[&str], source: &Path, at: PathBuf) -> Option<Mount> {
        fs::create_dir(&at).unwrap();
        let mut command = Command::new("mount");
        let is_mounted = succeeds(command.args(arguments).arg(source).arg(&at));
        if !is_mounted {
            eprintln!("skipped: cannot mount with {arguments:?}");
        }
        is_mounted.then_some(Mount(at))
    }

    fn mount_ext(dir: &TempDir, number: usize, mkfs: &[&str]) -> Option<Mount> {
        let image = dir.path().join(format!("image-{number}"));
        File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let (program, arguments) = mkfs.split_first().unwrap();
        if !succeeds(Command::new(program).args(arguments).arg("-q").arg(&image)) {
            eprintln!("skipped: cannot run {mkfs:?}");
            return None;
        }
        mount(
            &["-o", "loop"],
            &image,
            dir.path().join(format!("mount-{number}")),
        )
    }

    #[test]
    fn ext_without_a_journal_takes_a_flush_of_the_device_and_overlayfs_one_of_each_file() {
        let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
            eprintln!("skipped: no directory in /dev/shm");
            return;
        };
        let method = |mount: &Mount| sync_method(&File::open(&mount.0).unwrap()).unwrap();
        for (number, (mkfs, expected)) in [
            (&["mkfs.ext4"][..], SyncMethod::FileSystem),
            (
                &["mkfs.ext4", "-O", "^has_journal"],
                SyncMethod::FileSystemThenRoot,
            ),
            (&["mkfs.ext2"], SyncMethod::FileSystemThenRoot),
        ]
        .into_iter()
        .enumerate()
        {
            if let Some(mount) = mount_ext(&dir, number, mkfs) {
                assert_eq!(method(&mount), expected, "{mkfs:?}");
            }
        }
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| {
            let dir = dir.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir.display().to_string()
        });
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let arguments = ["-t", "overlay", "-o", &options];
        if let Some(mount) = mount(&arguments, Path::new("overlay"), dir.path().join("overlay")) {
            assert_eq!(method(&mount), SyncMethod::EachFile);
        }
    }

    #[test]
    fn proc_is_not_flushed_as_a_whole_and_a_file_system_in_memory_is() {
        let open = |path| File::open(path).unwrap();
        assert_eq!(sync_method(&open("/proc")).unwrap(), SyncMethod::EachFile);
        assert!(!opens_at_once(open("/proc")).unwrap());
        let shm = open("/dev/shm");
        assert_eq!(sync_method(&shm).unwrap(), SyncMethod::FileSystem);
        assert!(opens_at_once(shm).unwrap());
    }

    #[test]
    fn syncfs_is_trusted_since_linux_5_8() {
        for new in ["5.8.0", "5.10.0-28-amd64", "6.18.44", "10.0", "5.8-rc1"] {
            assert!(reports_write_back_errors(new.as_bytes()), "{new}");
        }
        for old in [
            "5.7.19",
            "4.19.0",
            "4.18.0-553.el8",
            "5",
            "",
            "linux",
            "-5.8",
        ] {
            assert!(!reports_write_back_errors(old.as_bytes()), "{old}");
        }
    }
}
