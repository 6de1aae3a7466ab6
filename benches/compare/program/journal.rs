//! How many commits the journal of an ext4 has made. On a real disk they are what durability costs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// The journal of one file system.
pub(super) struct Journal {
    info: PathBuf,
}

impl Journal {
    /// The journal of the file system that `dir` is on, if it has one that can be watched.
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
        let journal = Journal { info };
        journal.commits().map(|_| journal)
    }

    /// Commits since the file system was mounted.
    pub(super) fn commits(&self) -> Option<u64> {
        let info = fs::read_to_string(&self.info).ok()?;
        let (commits, _) = info.split_once(" transactions")?;
        commits.trim().parse().ok()
    }
}
