//! A count of the disk usage while the store is in use.
//!
//! Shard directories are counted one after another. A change in a directory that is still to be counted is
//! ignored, because the count will see it. A change in a directory that has been counted is added to the total.
//! In the directory that is being counted, the set of counted files says for each file which of the two applies.
//!
//! The files of a directory are examined in groups. A file may change at the same time, so the size that was read may
//! be the size before or after the change. Then the whole group is added in one step, while no change is in progress. A
//! change that has ended by then has already counted its file, with the size after the change, and the size that was
//! read is dropped. Any other change begins later, and the size that was read is the size before it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::change::{Change, signed};
use super::{ROOT, UsageTracker, size};
use crate::datastore::{Accuracy, DiskUsage};
use crate::disk::{Disk, Kind, if_there};
use crate::error::{Error, Result};
use crate::format::{DISK_USAGE, LOCK, Layout, TEMP, UNCLEAN};
#[cfg(test)]
use crate::sync::read;
use crate::sync::{lock, write};
use crate::walk::{RootEntries, ShardDir};

/// A count that is running.
#[derive(Debug)]
pub(super) struct RunningCount {
    total: i64,
    pending: HashSet<String>,
    /// The sizes of the directories that were counted.
    dirs: HashMap<String, u64>,
    current: Option<CurrentDir>,
}

/// The directory that is being counted.
#[derive(Debug)]
struct CurrentDir {
    shard: String,
    /// The files whose current size is in the total, by a hash of their name: a directory may have
    /// millions.
    counted: HashSet<u64>,
    hasher: RandomState,
}

/// A file that was examined, and its size.
struct ExaminedFile {
    /// The hash of its name.
    name: u64,
    len: u64,
}

impl RunningCount {
    /// Begins with the root and its files. No directory may be created while this runs.
    pub(super) fn begin(disk: &dyn Disk, layout: &Layout) -> Result<Self> {
        let root = size(disk, layout.root())?;
        let temp = size(disk, &layout.temp())?;
        let dirs = [(ROOT, root), (TEMP, temp)].map(|(name, size)| (name.to_owned(), size));
        let mut count = RunningCount {
            total: signed(root),
            pending: HashSet::new(),
            dirs: dirs.into(),
            current: None,
        };
        for entry in RootEntries::list(disk, layout.root())? {
            let entry = entry?;
            let name = entry.name.to_string_lossy();
            match entry.kind {
                // Foreign directories too: go-ds-flatfs counts them.
                Kind::Dir if !entry.is_hidden() => {
                    count.pending.insert(name.into_owned());
                }
                Kind::Dir if name == TEMP => count.grow(signed(temp)),
                Kind::File if ![DISK_USAGE, LOCK, UNCLEAN].contains(&name.as_ref()) => {
                    count.add(disk, &layout.at_root(&name))?;
                }
                _ => {}
            }
        }
        Ok(count)
    }

    fn add(&mut self, disk: &dyn Disk, path: &Path) -> Result<()> {
        self.grow(signed(size(disk, path)?));
        Ok(())
    }

    /// Adds to the total. It saturates, because a few sparse files are enough for an overflow.
    fn grow(&mut self, bytes: i64) {
        self.total = self.total.saturating_add(bytes);
    }

    pub(super) fn pending(&self) -> Vec<String> {
        self.pending.iter().cloned().collect()
    }

    pub(super) fn dirs(&self) -> &HashMap<String, u64> {
        &self.dirs
    }

    pub(super) fn total(&self) -> i64 {
        self.total
    }

    /// Records a change of a file that was made while the count runs.
    pub(super) fn record_file(&mut self, shard: &str, name: &str, change: Change) {
        if self.pending.contains(shard) {
            return;
        }
        match &mut self.current {
            Some(current) if current.shard == shard => {
                let name = current.hasher.hash_one(name.as_bytes());
                if current.counted.insert(name) {
                    self.grow(signed(change.after));
                } else {
                    self.grow(change.delta());
                }
            }
            _ => self.grow(change.delta()),
        }
    }

    /// Begins with the next directory. Returns the hasher for the names in it.
    fn enter(&mut self, shard: &str) -> RandomState {
        let hasher = RandomState::new();
        self.pending.remove(shard);
        self.current = Some(CurrentDir {
            shard: shard.to_owned(),
            counted: HashSet::new(),
            hasher: hasher.clone(),
        });
        hasher
    }

    /// Adds the sizes of the examined files that no change has counted in the meantime.
    fn add_examined(&mut self, examined: &mut Vec<ExaminedFile>) {
        if let Some(current) = &mut self.current {
            current.counted.reserve(examined.len());
            for file in examined.drain(..) {
                if current.counted.insert(file.name) {
                    self.total = self.total.saturating_add(signed(file.len));
                }
            }
        }
    }

    /// Records a shard directory that was created while the count runs. It is not among the pending ones.
    pub(super) fn record_new_dir(&mut self, shard: &str, change: Change) {
        self.dirs.insert(shard.to_owned(), change.after);
        self.grow(change.delta());
    }
}

impl UsageTracker {
    /// Begins a count, and returns the directories that are to be counted with [`count_dir`]. Until
    /// [`finish_count`](UsageTracker::finish_count) the figure continues from what it was.
    pub(crate) fn begin_count(&self, disk: &dyn Disk, layout: &Layout) -> Result<Vec<String>> {
        // Waits for steps in progress: they do not know the count that begins here, and would not record their change.
        let mut counting = write(&self.count);
        let count = RunningCount::begin(disk, layout)?;
        let dirs = count.pending();
        // The count reads the sizes of all directories.
        self.dirs.forget_gaps();
        *counting = Some(Mutex::new(count));
        Ok(dirs)
    }

    /// Replaces the figure with the result of the count.
    pub(crate) fn finish_count(&self) {
        // Held until the figure is replaced: a change in between would be added to the old figure and lost.
        let mut counting = write(&self.count);
        if let Some(count) = counting.take() {
            let count = lock(&count);
            self.dirs.set_counted(count.dirs());
            let total = count.total();
            self.bytes.store(total, Ordering::Relaxed);
            *lock(&self.accuracy) = Accuracy::Exact;
        }
    }

    /// Drops what was counted so far.
    pub(crate) fn abandon_count(&self) {
        let mut counting = write(&self.count);
        *counting = None;
    }

    /// Returns whether a count is running.
    #[cfg(test)]
    pub(crate) fn is_counting(&self) -> bool {
        let counting = read(&self.count);
        counting.is_some()
    }

    /// Runs a step of the count while no tracked step runs. Returns `None` if no count is running.
    fn step<T>(&self, step: impl FnOnce(&mut RunningCount) -> T) -> Option<T> {
        let counting = write(&self.count);
        counting.as_ref().map(|count| step(&mut lock(count)))
    }
}

/// Counts a store while no other program uses it.
///
/// Returns `None` if `stop` returned `true` before the end.
pub(crate) fn count_all(
    disk: &dyn Disk,
    layout: &Layout,
    stop: impl Fn() -> bool,
) -> Result<Option<DiskUsage>> {
    let tracker = UsageTracker::new(DiskUsage::new(0, Accuracy::Unknown));
    for dir in tracker.begin_count(disk, layout)? {
        count_dir(&tracker, disk, layout, &dir, &stop)?;
        if stop() {
            return Ok(None);
        }
    }
    tracker.finish_count();
    Ok(Some(tracker.figure()))
}

/// Counts the root and its files, and the shard directories without the files in them.
pub(crate) fn count_overhead(disk: &dyn Disk, layout: &Layout) -> Result<u64> {
    let mut count = RunningCount::begin(disk, layout)?;
    for shard in count.pending() {
        count.add(disk, &layout.at_root(&shard))?;
    }
    Ok(u64::try_from(count.total()).unwrap_or(0))
}

/// The number of files that are examined before they are added, which takes about 10 µs.
const FILES_PER_GROUP: usize = 256;

/// Counts one of the directories that [`UsageTracker::begin_count`] returned, until `stop` returns `true`.
pub(crate) fn count_dir(
    tracker: &UsageTracker,
    disk: &dyn Disk,
    layout: &Layout,
    shard: &str,
    stop: impl Fn() -> bool,
) -> Result<()> {
    let dir = layout.at_root(shard);
    // The directory stops being pending before its first file is examined: changes in a pending directory are
    // ignored, so one that comes after the examination of its file would be missed.
    let Some(hasher) = tracker.step(|count| count.enter(shard)) else {
        return Ok(());
    };
    let len = size(disk, &dir)?;
    tracker.step(|count| {
        count.grow(signed(len));
        count.dirs.insert(shard.to_owned(), len);
    });
    let Some(mut entries) = ShardDir::open(disk, layout.root(), shard)? else {
        return Ok(());
    };
    let mut examined = Vec::with_capacity(FILES_PER_GROUP);
    while let Some(entry) = entries.next_entry()? {
        if entry.kind != Kind::File {
            continue;
        }
        if stop() {
            return Ok(());
        }
        let stat = if_there(entry.stat())
            .map_err(|error| Error::io("read the size of", dir.join(entry.name()), error))?;
        examined.push(ExaminedFile {
            name: hasher.hash_one(entry.name().as_encoded_bytes()),
            len: stat.map_or(0, |stat| stat.len),
        });
        if examined.len() == FILES_PER_GROUP {
            tracker.step(|count| count.add_examined(&mut examined));
        }
    }
    tracker.step(|count| count.add_examined(&mut examined));
    Ok(())
}
