//! Creating a store.

use std::io;

use super::place::{Opening, Place};
use crate::disk::{LockGuard, Publish, publish, remove_tree};
use crate::error::{Error, Result};
use crate::layout::{README, SHARDING, TEMP};
use crate::shard::Shard;

const README_TEXT: &str = "\
This directory is a flatfs datastore: blocks of IPFS data, one file each.

A block stands in <shard>/<KEY>.data. KEY is the block's multihash in base32 (upper case, no padding),
and <shard> the two characters before the last one of KEY. SHARDING names that function, .temp holds
what is being written, and diskUsage.cache the space that all of it takes.

Programs rely on these names. Please don't add, rename or edit files here by hand.
";

impl Opening {
    fn create_root(&self) -> Result<()> {
        match self.create_dir(&self.root) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(self.not_a_store("the directory above it is missing; create that first"))
            }
            created => created,
        }
    }

    /// Makes a store, and answers its lock.
    pub(super) fn create(&self, is_missing: bool) -> Result<(Shard, Box<dyn LockGuard>)> {
        if is_missing {
            self.create_root()?;
        }
        // Who made a directory that was there may not have made it durable.
        if let Some(parent) = self.root.parent() {
            match self.sync_dir(parent) {
                Err(error) if !is_missing && is_denied(&error) => {}
                synced => synced?,
            }
        }
        let lock = self.lock()?;
        if let Place::Store(found) = self.look()? {
            // Somebody was faster.
            self.check_shard(found, self.options.shard)?;
            return Ok((found, lock));
        }
        let shard = self.options.shard.unwrap_or_default();
        self.mark_as_store(shard)?;
        Ok((shard, lock))
    }

    /// Makes a store of a directory whose lock the caller has. `SHARDING` comes last: it makes the
    /// directory a store.
    pub(crate) fn mark_as_store(&self, shard: Shard) -> Result<()> {
        const README_MODE: u32 = 0o444;
        const SHARDING_MODE: u32 = 0o644;
        let temp = self.root.join(TEMP);
        // It may be a symbolic link, whose target is not ours to remove.
        self.ensure_temp(&temp)?;
        remove_tree(&*self.disk, &temp)?;
        self.create_dir(&temp)?;
        let publish = |name: &str, contents: &str, mode| {
            let (temp, path) = (temp.join(name), self.root.join(name));
            let how = Publish::Durably;
            publish(&*self.disk, &temp, &path, contents.as_bytes(), mode, how)
        };
        if shard == Shard::default() {
            publish(README, README_TEXT, README_MODE)?;
        }
        publish(SHARDING, &format!("{shard}\n"), SHARDING_MODE)
    }
}

fn is_denied(error: &Error) -> bool {
    error
        .io_error()
        .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
