//! The teardown of a store whose blocks are moved away: at the end its directory is empty.

use super::open::Purpose;
use super::opener::{DirState, Opener};
use super::shared::Store;
use crate::disk::{Disk, if_there, remove_tree};
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::format::{self, DISK_USAGE, LOCK, README, SHARDING, TEMP, UNCLEAN};
use crate::walk::RootEntries;

impl Opener {
    /// Opens a store to move its blocks away. If it no longer has a `SHARDING`, removes what an interrupted teardown
    /// has left, and returns `None`.
    pub(crate) fn open_for_teardown(self) -> Result<Option<Store>> {
        if !matches!(self.probe()?, DirState::Empty) {
            return self.run(Purpose::Open).map(Some);
        }
        // Probed again under the lock: another process may have put blocks here in the meantime.
        let lock = self.lock()?;
        match self.probe()? {
            DirState::Empty => {
                remove_own(&*self.disk, &self.root)?;
                drop(lock);
                Ok(None)
            }
            state => Err(self.refusal(&state)),
        }
    }

    /// Opens a store for writing. If there is no store, creates one with this function, unless the options ask for a
    /// different one.
    pub(crate) fn open_or_create(mut self, shard: Shard) -> Result<Store> {
        if !matches!(self.probe()?, DirState::Store(_)) {
            self.options.shard.get_or_insert(shard);
        }
        self.run(Purpose::Either)
    }
}

impl Store {
    /// Removes a store without blocks, and leaves an empty directory. Returns `false`, and leaves the store, if the
    /// directory has anything that does not belong to the store. A store that was removed must not be used.
    ///
    /// # Durability
    ///
    /// When this returns, the removal is durable, and so is everything that was removed before.
    pub(crate) fn tear_down(&self) -> Result<bool> {
        let root = self.blocks.layout().root();
        for entry in RootEntries::list(self.blocks.disk(), root)? {
            if !format::is_known(&entry?.name) {
                return Ok(false);
            }
        }
        // The removal of the blocks is durable before `SHARDING` is removed: if a power cut brings a block back, it
        // must be in a store, where the next call finds it.
        self.blocks.flusher().flush_all()?;
        remove_own(self.blocks.disk(), root)?;
        Ok(true)
    }
}

/// Removes a store's own files. `SHARDING` is the last one before the lock: until then this is a store without
/// blocks, which an interrupted teardown can open again.
fn remove_own(disk: &dyn Disk, root: &std::path::Path) -> Result<()> {
    remove_tree(disk, &root.join(TEMP))?;
    for name in [README, DISK_USAGE, UNCLEAN, SHARDING, LOCK] {
        let path = root.join(name);
        let removed = if name == LOCK {
            disk.remove_open_file(&path)
        } else {
            disk.remove_file(&path)
        };
        if_there(removed).map_err(|error| Error::io("remove", path, error))?;
    }
    disk.sync_dir(root)
        .map_err(|error| Error::io("sync", root, error))
}
