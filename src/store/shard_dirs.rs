//! [`ShardDirs`]: the directories that blocks stand in.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::disk::{Disk, Kind, if_there};
use crate::disk_usage::{Change, UsageTracker};
use crate::error::{Error, Result};
use crate::format::Layout;

/// Which shard directories are known to be real ones, and whether new ones are durable yet.
#[derive(Debug, Default)]
pub(crate) struct ShardDirs {
    known: RwLock<HashSet<String>>,
    /// Held while a directory is made: who sees a new directory and then asks here learns that it is
    /// new.
    made: Mutex<Made>,
}

/// How many directories were made, and how many of these are durable.
#[derive(Debug, Default)]
struct Made {
    all: u64,
    durable: u64,
}

impl ShardDirs {
    /// Whether the shard directory is there.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`] if something else stands in its place: a symbolic link could lead out of
    /// the store. Each directory is looked at once.
    pub(crate) fn is_there(&self, disk: &dyn Disk, layout: &Layout, shard: &str) -> Result<bool> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(shard) {
            return Ok(true);
        }
        drop(known);
        let dir = layout.at_root(shard);
        let found = if_there(disk.stat(&dir));
        match found.map_err(|error| Error::io("look at", &dir, error))? {
            None => Ok(false),
            Some(stat) if stat.kind == Kind::Dir => {
                self.remember(shard);
                Ok(true)
            }
            Some(stat) => Err(stat.kind.unexpected(dir, "directory")),
        }
    }

    /// Makes the shard directory, if nobody else was faster.
    pub(crate) fn make(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        meter: &UsageTracker,
        shard: &str,
    ) -> Result<()> {
        let mut made = self.made();
        let dir = layout.at_root(shard);
        meter.track_dir(|| match disk.create_dir(&dir) {
            Ok(()) => {
                made.all += 1;
                let size = disk.stat(&dir).map_or(0, |stat| stat.len);
                Ok(Change::new_file(size))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Change::NONE),
            Err(error) => Err(Error::io("create", &dir, error)),
        })?;
        drop(made);
        self.is_there(disk, layout, shard).map(drop)
    }

    /// How many directories were made so far, if not all of them are durable: a flush of the root from
    /// here on makes them so.
    pub(crate) fn unsynced(&self) -> Option<u64> {
        let made = self.made();
        (made.durable < made.all).then_some(made.all)
    }

    /// Notes that a flush has made so many directories durable.
    pub(crate) fn set_durable(&self, count: u64) {
        let mut made = self.made();
        made.durable = made.durable.max(count);
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bounded, for stores with a directory for each block.
    fn remember(&self, shard: &str) {
        const MOST: usize = 1 << 16;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST {
            known.insert(shard.to_owned());
        }
    }
}
