//! A count of the store while it is in use.
//!
//! Shard directories are counted one after another. A change in one that is still to come needs no
//! entry: the count will see it. A change in one that is done goes straight into the total. In the
//! one that is being counted, the set of settled keys tells the two apart, file by file.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::{Change, Meter, signed};
use crate::disk::{Disk, Kind, Stat, if_there};
use crate::error::{Error, Result};
use crate::layout::{BlockKey, DISK_USAGE, LOCK, Layout, TEMP, UNCLEAN};

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

impl Current {
    /// Whether the file was not settled before.
    fn settle(&mut self, file_name: &[u8]) -> bool {
        let hash = self.hasher.hash_one(file_name);
        self.settled.insert(hash)
    }
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
        self.total += size(disk, path)?.map_or(0, |stat| signed(stat.len));
        Ok(())
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
                if current.settle(block.file_name().as_bytes()) {
                    self.total += signed(change.after);
                } else {
                    self.total += change.delta();
                }
            }
            _ => self.total += change.delta(),
        }
    }

    /// A shard directory that was made while the count runs: it was not there when it began.
    pub(super) fn new_dir(&mut self, change: Change) {
        self.total += change.delta();
    }
}

/// Counts what stands in the root, and the shard directories without what is in them.
pub(crate) fn count_frame(disk: &dyn Disk, layout: &Layout) -> Result<u64> {
    let mut count = Count::begin(disk, layout)?;
    for shard in count.pending() {
        count.add(disk, &layout.at_root(&shard))?;
    }
    Ok(u64::try_from(count.total()).unwrap_or(0))
}

/// Counts one of the directories that [`Meter::begin_count`] answered, unless `stop` says to stop.
pub(crate) fn count_dir(
    meter: &Meter,
    disk: &dyn Disk,
    layout: &Layout,
    shard: &str,
    stop: impl Fn() -> bool,
) -> Result<()> {
    let dir = layout.at_root(shard);
    meter.step(|count| {
        count.pending.remove(shard);
        count.current = Some(Current {
            shard: shard.to_owned(),
            settled: HashSet::new(),
            hasher: RandomState::new(),
        });
        count.add(disk, &dir)
    })?;
    let failed = |error| Error::io("list", &dir, error);
    let Some(entries) = if_there(disk.list(&dir)).map_err(failed)? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.kind != Kind::File {
            continue;
        }
        if stop() {
            return Ok(());
        }
        let file = dir.join(&entry.name);
        meter.step(|count| match &mut count.current {
            Some(current) => {
                if current.settle(entry.name.as_encoded_bytes()) {
                    count.add(disk, &file)?;
                }
                Ok(())
            }
            None => Ok(()),
        })?;
    }
    Ok(())
}

/// What is at the path, `None` if it has gone.
fn size(disk: &dyn Disk, path: &Path) -> Result<Option<Stat>> {
    if_there(disk.stat(path)).map_err(|error| Error::io("read the size of", path, error))
}
