//! [`lock_owner`]: the process that holds a lock on a file, from the kernel's list of all locks.
#![expect(
    clippy::disallowed_methods,
    reason = "this is a part of the implementation of `Disk`"
)]

use std::fs;
use std::path::Path;

use rustix::fs::{lstat, major, minor};

/// Returns the process that holds a lock on the file: proc_locks(5).
///
/// Returns `None` for a process on another machine or in another PID namespace, and where the kernel lists another
/// device number than stat(2) returns, as for btrfs: the inode number alone could be that of another file.
pub(in crate::disk) fn lock_owner(file: &Path) -> Option<u32> {
    let file = lstat(file).ok()?;
    let (major, minor) = (major(file.st_dev), minor(file.st_dev));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    find_owner(&locks, &format!("{major:02x}:{minor:02x}:{}", file.st_ino))
}

/// Finds the owner of an flock(2) or fcntl(2) lock in lines such as
/// `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`. In the line of a waiting process, an arrow comes before the
/// kind.
fn find_owner(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let kind = fields.next()?;
        let (owner, locked) = (fields.nth(2)?, fields.next()?);
        let is_held = matches!(kind, "FLOCK" | "POSIX") && locked == file;
        // An open file description, which has no process, is listed with -1.
        is_held.then(|| owner.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_lock_is_known_while_it_is_held() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join("lock");
        let file = fs::File::create(&path).unwrap();
        assert_eq!(lock_owner(&path), None);
        file.lock().unwrap();
        assert_eq!(lock_owner(&path), Some(std::process::id()));
        file.unlock().unwrap();
        assert_eq!(lock_owner(&path), None);
    }

    #[test]
    fn only_the_holder_of_a_lock_on_this_file_is_its_owner() {
        let locks = "\
            1: FLOCK  ADVISORY  WRITE 11 fe:00:7 0 EOF\n\
            2: LEASE  ACTIVE    READ 12 fe:00:70 0 EOF\n\
            3: OFDLCK ADVISORY  WRITE -1 fe:00:70 0 EOF\n\
            4: -> FLOCK  ADVISORY  WRITE 13 fe:00:70 0 EOF\n\
            5: FLOCK  ADVISORY  WRITE 14 fe:00:70 0 EOF\n\
            6: POSIX  ADVISORY  WRITE 15 00:2a:70 0 EOF\n";
        assert_eq!(find_owner(locks, "fe:00:70"), Some(14));
        assert_eq!(find_owner(locks, "00:2a:70"), Some(15));
        assert_eq!(find_owner(locks, "fe:00:0"), None);
        assert_eq!(find_owner("?", "fe:00:0"), None);
    }
}
