//! [`FsJournal`]: how many commits the journal of an ext4 file system has made. On a disk they are the cost
//! of durability.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// The journal of one file system.
pub(super) struct FsJournal {
    info: PathBuf,
}

impl FsJournal {
    /// Returns the journal of the file system of `dir`, if it has one whose commits are visible.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let device = fs::metadata(dir).ok()?.dev();
        let device = format!("/sys/dev/block/{}:{}", major(device), minor(device));
        let device = fs::canonicalize(device).ok()?;
        let name = device.file_name()?.to_str()?;
        // `<device>-<inode of the journal>`
        let info = fs::read_dir("/proc/fs/jbd2").ok()?.find_map(|entry| {
            let entry = entry.ok()?;
            let of = entry.file_name().into_string().ok()?;
            (of.rsplit_once('-')?.0 == name).then(|| entry.path().join("info"))
        })?;
        let journal = FsJournal { info };
        journal.commits().map(|_| journal)
    }

    /// Returns the number of commits since the file system was mounted.
    pub(super) fn commits(&self) -> Option<u64> {
        let info = fs::read_to_string(&self.info).ok()?;
        let (commits, _) = info.split_once(" transactions")?;
        commits.trim().parse().ok()
    }
}
