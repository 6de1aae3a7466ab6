//! The steps that create a store.

use std::io;
use std::path::Path;

use super::opener::{DirState, Opener};
use crate::disk::{Disk, LockGuard, Publish, create_dir_if_absent, publish, remove_tree};
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::format::{README, SHARDING, TEMP};

const README_TEXT: &str = "\
This directory is a flatfs datastore: blocks of IPFS data, one file each.

A block is at <shard>/<KEY>.data. KEY is the block's multihash in base32 (upper case, no padding), and
<shard> is the two characters before the last one of KEY. SHARDING names that function, .temp has what
is being written, and diskUsage.cache the space that all files take.

Programs rely on these names. Please do not add, rename or edit files here.
";

impl Opener {
    fn create_root(&self) -> Result<()> {
        match create_dir_if_absent(&*self.disk, &self.root) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(self.not_a_store("its parent directory is missing: create it first"))
            }
            created => created,
        }
    }

    /// Creates a store, and returns its lock.
    pub(super) fn create(&self, is_missing: bool) -> Result<(Shard, Box<dyn LockGuard>)> {
        if is_missing {
            self.create_root()?;
        }
        // The parent is flushed even if the directory existed: its name may not be durable yet, and a power cut would
        // take the store away with it.
        if let Some(parent) = self.root.parent() {
            match self.sync_dir(parent) {
                Err(error) if !is_missing && is_denied(&error) => {}
                synced => synced?,
            }
        }
        let lock = self.lock()?;
        match self.probe()? {
            // Another process has created the store in the meantime.
            DirState::Store(found) => {
                self.check_shard(found, self.options.shard)?;
                return Ok((found, lock));
            }
            state @ (DirState::Resharding(_) | DirState::Foreign) => {
                return Err(self.refusal(&state));
            }
            DirState::Missing | DirState::Empty => {}
        }
        let shard = self.options.shard.unwrap_or_default();
        self.mark_as_store(shard)?;
        Ok((shard, lock))
    }

    /// Makes a directory a store. The caller holds its lock. `SHARDING` is the last step, and durable when this
    /// returns: a directory without it is not a store, and is created again after a crash.
    pub(crate) fn mark_as_store(&self, shard: Shard) -> Result<()> {
        // Removed first: the next open would trust a figure that is left from before `SHARDING` was removed.
        self.forget_disk_usage()?;
        let temp = self.root.join(TEMP);
        // The directory is checked before it is removed: it may be a symbolic link, whose target must stay.
        self.ensure_temp(&temp)?;
        remove_tree(&*self.disk, &temp)?;
        create_dir_if_absent(&*self.disk, &temp)?;
        if shard == Shard::default() {
            publish_readme(&*self.disk, &temp.join(README), &self.root)?;
        }
        publish_sharding(
            &*self.disk,
            &temp.join(SHARDING),
            &self.root,
            &format!("{shard}\n"),
        )
    }
}

/// Publishes the note for users of a store, durably, through the temp file `temp`.
pub(super) fn publish_readme(disk: &dyn Disk, temp: &Path, root: &Path) -> Result<()> {
    const MODE: u32 = 0o444;
    let (path, contents) = (root.join(README), README_TEXT.as_bytes());
    publish(disk, temp, &path, contents, MODE, Publish::Durably)
}

/// Publishes `SHARDING` with these contents, durably, through the temp file `temp`.
pub(super) fn publish_sharding(
    disk: &dyn Disk,
    temp: &Path,
    root: &Path,
    contents: &str,
) -> Result<()> {
    const MODE: u32 = 0o644;
    let path = root.join(SHARDING);
    publish(
        disk,
        temp,
        &path,
        contents.as_bytes(),
        MODE,
        Publish::Durably,
    )
}

fn is_denied(error: &Error) -> bool {
    error
        .io_error()
        .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
