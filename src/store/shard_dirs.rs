//! [`ShardDirs`]: the directories that blocks stand in.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::disk::{Disk, Kind};
use crate::disk_usage::{Change, Meter};
use crate::error::{Error, Result};
use crate::layout::Layout;

/// Which shard directories are known to be real ones, and whether new ones are durable yet.
#[derive(Debug, Default)]
pub(crate) struct ShardDirs {
    known: RwLock<HashSet<String>>,
    /// Whether a directory was made since the root was last synced. Held while one is made: who sees
    /// a new directory and then asks here learns that it is new.
    unsynced: Mutex<bool>,
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
        match disk.stat(&dir) {
            Ok(stat) if stat.kind == Kind::Dir => {
                self.remember(shard);
                Ok(true)
            }
            Ok(stat) => Err(Error::Unexpected {
                path: dir,
                found: stat.kind.name(),
                expected: "directory",
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("look at", dir, error)),
        }
    }

    /// Makes the shard directory, if nobody else was faster.
    pub(crate) fn make(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        meter: &Meter,
        shard: &str,
    ) -> Result<()> {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = layout.at_root(shard);
        meter.track_dir(|| match disk.create_dir(&dir) {
            Ok(()) => {
                *unsynced = true;
                let size = disk.stat(&dir).map_or(0, |stat| stat.len);
                Ok(Change::new_file(size))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Change::NONE),
            Err(error) => Err(Error::io("create", &dir, error)),
        })?;
        drop(unsynced);
        self.is_there(disk, layout, shard).map(drop)
    }

    /// Makes all shard directories that were made so far durable, with the files in them left aside.
    pub(crate) fn sync(&self, disk: &dyn Disk, root: &Path) -> Result<()> {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        if *unsynced {
            disk.sync_dir(root)
                .map_err(|error| Error::io("sync", root, error))?;
            *unsynced = false;
        }
        Ok(())
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
