//! A count of the store while it is in use.
//!
//! Shard directories are counted one after another. A change in one that is still to come needs no
//! entry: the count will see it. A change in one that is done goes straight into the total. In the
//! one that is being counted, the set of settled names tells the two apart, file by file.
//!
//! Its files are looked at some at a time, and changed meanwhile, so what was seen of one may be its
//! size before a change or after it. Then they are settled together, while no change is under way. A
//! change that has ended by then has settled its file itself, with the size that it left, and what was
//! seen doesn't count. Any other change begins later: what was seen is the size before it.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::{Change, UsageTracker, signed};
use crate::disk::{Disk, Kind, Stat, if_there};
use crate::error::{Error, Result};
use crate::format::{BlockKey, DISK_USAGE, LOCK, Layout, TEMP, UNCLEAN};

#[derive(Debug)]
pub(super) struct Count {
    total: i64,
    pending: HashSet<String>,
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

/// What was seen of a file.
struct Seen {
    /// The hash of its name.
    name: u64,
    len: u64,
}

impl Count {
    /// Counts what stands in the root. No directory may be made meanwhile.
    pub(super) fn begin(disk: &dyn Disk, layout: &Layout) -> Result<Self> {
        let mut count = Count {
            total: size(disk, layout.root())?.map_or(0, |stat| signed(stat.len)),
            pending: HashSet::new(),
            current: None,
        };
        let failed = |error| Error::io("list", layout.root(), error);
        for entry in disk.list(layout.root()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.name.to_string_lossy();
            match entry.kind {
                Kind::Dir if !name.starts_with('.') => {
                    count.pending.insert(name.into_owned());
                }
                Kind::Dir if name == TEMP => count.add(disk, &layout.temp())?,
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

    pub(super) fn total(&self) -> i64 {
        self.total
    }

    /// A change of a block that was made while the count runs.
    pub(super) fn block(&mut self, shard: &str, block: &BlockKey, change: Change) {
        if self.pending.contains(shard) {
            return;
        }
        match &mut self.current {
            Some(current) if current.shard == shard => {
                let name = current.hasher.hash_one(block.file_name().as_bytes());
                if current.settled.insert(name) {
                    self.grow(signed(change.after));
                } else {
                    self.grow(change.delta());
                }
            }
            _ => self.grow(change.delta()),
        }
    }

    /// Goes to the next directory; the hasher for the names in it.
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

    /// Adds what was seen of files that no change has settled meanwhile.
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

    /// A shard directory that was made while the count runs: it was not there when it began.
    pub(super) fn new_dir(&mut self, change: Change) {
        self.grow(change.delta());
    }
}

/// Counts what stands in the root, and the shard directories without what is in them.
pub(crate) fn count_overhead(disk: &dyn Disk, layout: &Layout) -> Result<u64> {
    let mut count = Count::begin(disk, layout)?;
    for shard in count.pending() {
        count.add(disk, &layout.at_root(&shard))?;
    }
    Ok(u64::try_from(count.total()).unwrap_or(0))
}

/// How many files are looked at before they are settled, which takes some 10 µs.
const SOME: usize = 256;

/// Counts one of the directories that [`UsageTracker::begin_count`] answered, unless `stop` says to stop.
pub(crate) fn count_dir(
    meter: &UsageTracker,
    disk: &dyn Disk,
    layout: &Layout,
    shard: &str,
    stop: impl Fn() -> bool,
) -> Result<()> {
    let dir = layout.at_root(shard);
    let Some(hasher) = meter.step(|count| count.enter(shard)) else {
        return Ok(());
    };
    let len = size(disk, &dir)?.map_or(0, |stat| stat.len);
    meter.step(|count| count.grow(signed(len)));
    let failed = |error| Error::io("list", &dir, error);
    let Some(mut listing) = if_there(disk.list(&dir)).map_err(failed)? else {
        return Ok(());
    };
    let mut seen = Vec::with_capacity(SOME);
    while let Some(entry) = listing.next_entry().map_err(failed)? {
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
        if seen.len() == SOME {
            meter.step(|count| count.settle(&mut seen));
        }
    }
    meter.step(|count| count.settle(&mut seen));
    Ok(())
}

/// What is at the path, `None` if it has gone.
fn size(disk: &dyn Disk, path: &Path) -> Result<Option<Stat>> {
    if_there(disk.stat(path)).map_err(|error| Error::io("read the size of", path, error))
}
