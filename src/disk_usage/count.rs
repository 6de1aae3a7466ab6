//! A count of the disk usage while the store is in use.
//!
//! Shard directories are counted one after another. A change in a directory that is still to be counted is
//! not noted: the count will see it. A change in one that was counted is added to the total. In the directory
//! that is being counted, the set of settled names tells for each file which of the two applies.
//!
//! The files of a directory are examined in groups, and may change during that, so the size that was seen may
//! be that before or after a change. Then the whole group is settled in one step, while no change is in
//! progress. A change that has ended by then has settled its file itself, with the size after the change, and
//! the size that was seen is dropped. Any other change begins later, and the size that was seen is the size
//! before it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::{Change, ROOT, UsageTracker, signed};
use crate::disk::{Disk, Kind, Stat, if_there};
use crate::error::{Error, Result};
use crate::format::{DISK_USAGE, LOCK, Layout, TEMP, UNCLEAN};
use crate::walk::{RootEntries, ShardDir};

#[derive(Debug)]
pub(super) struct Count {
    total: i64,
    pending: HashSet<String>,
    /// The sizes of the directories that were counted.
    dirs: HashMap<String, u64>,
    current: Option<Current>,
}

/// The directory that is being counted.
#[derive(Debug)]
struct Current {
    shard: String,
    /// The files whose size now is in the total, by a hash of their name: a directory may hold
    /// millions.
    settled: HashSet<u64>,
    hasher: RandomState,
}

/// The size of a file that was examined.
struct Seen {
    /// The hash of its name.
    name: u64,
    len: u64,
}

impl Count {
    /// Counts the files in the root. No directory may be created while this runs.
    pub(super) fn begin(disk: &dyn Disk, layout: &Layout) -> Result<Self> {
        let root = size(disk, layout.root())?.map_or(0, |stat| stat.len);
        let temp = size(disk, &layout.temp())?.map_or(0, |stat| stat.len);
        let dirs = [(ROOT, root), (TEMP, temp)].map(|(name, size)| (name.to_owned(), size));
        let mut count = Count {
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
        self.grow(size(disk, path)?.map_or(0, |stat| signed(stat.len)));
        Ok(())
    }

    /// Saturates: a few sparse files are enough for a sum that no number can hold.
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

    /// Adds a change of a file that was made while the count runs.
    pub(super) fn file(&mut self, shard: &str, name: &str, change: Change) {
        if self.pending.contains(shard) {
            return;
        }
        match &mut self.current {
            Some(current) if current.shard == shard => {
                let name = current.hasher.hash_one(name.as_bytes());
                if current.settled.insert(name) {
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
        self.current = Some(Current {
            shard: shard.to_owned(),
            settled: HashSet::new(),
            hasher: hasher.clone(),
        });
        hasher
    }

    /// Adds the sizes of the examined files that no change has settled in the meantime.
    fn settle(&mut self, seen: &mut Vec<Seen>) {
        if let Some(current) = &mut self.current {
            current.settled.reserve(seen.len());
            for file in seen.drain(..) {
                if current.settled.insert(file.name) {
                    self.total = self.total.saturating_add(signed(file.len));
                }
            }
        }
    }

    /// Adds a shard directory that was created while the count runs. It is not among the pending ones.
    pub(super) fn new_dir(&mut self, shard: &str, change: Change) {
        self.dirs.insert(shard.to_owned(), change.after);
        self.grow(change.delta());
    }
}

/// Counts the root and its files, and the shard directories without the files in them.
pub(crate) fn count_overhead(disk: &dyn Disk, layout: &Layout) -> Result<u64> {
    let mut count = Count::begin(disk, layout)?;
    for shard in count.pending() {
        count.add(disk, &layout.at_root(&shard))?;
    }
    Ok(u64::try_from(count.total()).unwrap_or(0))
}

/// The number of files that are examined before they are settled, which takes about 10 µs.
const FILES_PER_SETTLE: usize = 256;

/// Counts one of the directories that [`UsageTracker::begin_count`] returned, unless `stop` says to stop.
pub(crate) fn count_dir(
    tracker: &UsageTracker,
    disk: &dyn Disk,
    layout: &Layout,
    shard: &str,
    stop: impl Fn() -> bool,
) -> Result<()> {
    let dir = layout.at_root(shard);
    let Some(hasher) = tracker.step(|count| count.enter(shard)) else {
        return Ok(());
    };
    let len = size(disk, &dir)?.map_or(0, |stat| stat.len);
    tracker.step(|count| {
        count.grow(signed(len));
        count.dirs.insert(shard.to_owned(), len);
    });
    let Some(mut entries) = ShardDir::open(disk, layout.root(), shard)? else {
        return Ok(());
    };
    let mut seen = Vec::with_capacity(FILES_PER_SETTLE);
    while let Some(entry) = entries.next_entry()? {
        if entry.kind != Kind::File {
            continue;
        }
        if stop() {
            return Ok(());
        }
        let stat = if_there(entry.stat())
            .map_err(|error| Error::io("read the size of", dir.join(entry.name()), error))?;
        seen.push(Seen {
            name: hasher.hash_one(entry.name().as_encoded_bytes()),
            len: stat.map_or(0, |stat| stat.len),
        });
        if seen.len() == FILES_PER_SETTLE {
            tracker.step(|count| count.settle(&mut seen));
        }
    }
    tracker.step(|count| count.settle(&mut seen));
    Ok(())
}

/// Returns what is at the path, `None` if it does not exist.
fn size(disk: &dyn Disk, path: &Path) -> Result<Option<Stat>> {
    if_there(disk.stat(path)).map_err(|error| Error::io("read the size of", path, error))
}
