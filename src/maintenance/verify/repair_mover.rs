//! [`RepairMover`]: the renames of a repair. It overwrites nothing and removes nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::check_walk::BlockFile;
use super::finding::{Finding, Remedy};
use crate::disk_usage::Change;
use crate::error::{Error, Result};
use crate::format::{BlockKey, QUARANTINE};
use crate::store::{FlatFs, FlushTarget};
use crate::sync::lock;

/// Moves files of a store that is open for writing and that no other program uses.
pub(super) struct RepairMover {
    pub(super) flatfs: FlatFs,
    /// Locked during a move: not every file system can rename a file without overwriting another one, so two
    /// jobs must not move files to one path.
    moving: Mutex<()>,
}

/// What a move of a block to its shard directory did.
pub(super) enum RepairMoveOutcome {
    Moved(Remedy),
    /// There is a block at that path already.
    Taken,
    /// The block no longer exists.
    Gone,
}

impl RepairMover {
    pub(super) fn new(flatfs: FlatFs) -> Self {
        RepairMover {
            flatfs,
            moving: Mutex::new(()),
        }
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        lock(&self.moving)
    }

    /// Moves a block into quarantine. Returns `None` if it no longer exists.
    pub(super) fn quarantine(&self, file: &BlockFile) -> Result<Option<Remedy>> {
        self.quarantine_file(&file.path, &file.dir, &file.block.file_name())
    }

    /// Moves a leftover file of a shard directory into quarantine. Returns `None` if it no longer exists.
    pub(super) fn quarantine_left_over(&self, path: &Path) -> Result<Option<Remedy>> {
        let dir = path.parent().and_then(Path::file_name).unwrap_or_default();
        let name = path.file_name().unwrap_or_default();
        self.quarantine_file(path, &dir.to_string_lossy(), &name.to_string_lossy())
    }

    fn quarantine_file(&self, path: &Path, dir: &str, name: &str) -> Result<Option<Remedy>> {
        let store = &self.flatfs.store;
        let _moving = self.moving();
        let mut quarantines = quarantines(store.blocks.layout().root());
        while let (Some(size), Some(quarantine)) = (self.size(path)?, quarantines.next()) {
            self.ensure_dir(&quarantine)?;
            let to = quarantine.join(name);
            let moved = store.blocks.usage().track_file(dir, name, || {
                rename(self, path, &to).map(|()| Change::removed(size))
            });
            match moved {
                Ok(()) => {
                    // The damage may have changed the size of the block.
                    store.saved_usage.mark_stale();
                    return Ok(Some(Remedy::Quarantined(to)));
                }
                // Another file of this name is in quarantine already: try the next directory.
                Err(error) if is(&error, io::ErrorKind::AlreadyExists) => {}
                // The file or the directory no longer exists: the loop looks for the file again.
                Err(error) if is(&error, io::ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Moves a block to its shard directory.
    pub(super) fn move_to_shard(&self, file: &BlockFile, to: &Path) -> Result<RepairMoveOutcome> {
        let store = &self.flatfs.store;
        let shard = store.blocks.layout().shard_of(&file.block);
        let _moving = self.moving();
        let _publishing = store.blocks.publishing(&file.block);
        store.blocks.shards().ensure(&shard)?;
        let Some(size) = self.size(&file.path)? else {
            return Ok(RepairMoveOutcome::Gone);
        };
        let dirs = (&*file.dir, &*shard);
        let moved = store
            .blocks
            .usage()
            .track_move(dirs, &file.block, size, || rename(self, &file.path, to));
        match moved {
            Ok(()) => Ok(RepairMoveOutcome::Moved(Remedy::Moved(to.to_owned()))),
            Err(error) if is(&error, io::ErrorKind::AlreadyExists) => Ok(RepairMoveOutcome::Taken),
            Err(error) => Err(error),
        }
    }

    /// Makes the remedies of these findings durable.
    pub(super) fn flush(&self, findings: &[Finding]) -> Result<()> {
        let store = &self.flatfs.store;
        let mut blocks = Vec::new();
        let mut dirs = BTreeSet::new();
        for finding in findings {
            let Some(remedy) = &finding.remedy else {
                continue;
            };
            let Some(to) = remedy.to() else { continue };
            dirs.extend([&finding.path, to].into_iter().filter_map(|it| it.parent()));
            match remedy {
                Remedy::Moved(to) => blocks.push(FlushTarget::File(to.clone())),
                // The quarantine directories may be new, so their names must be durable, too.
                _ => dirs.extend(
                    to.ancestors()
                        .skip(1)
                        .take_while(|dir| dir.starts_with(store.blocks.layout().root())),
                ),
            }
        }
        // The contents are flushed, too: a misplaced block may never have been flushed, and a remedy that is reported
        // has to survive a power cut.
        store.blocks.flusher().flush(&blocks)?;
        let dirs = dirs.into_iter().map(Path::to_owned);
        store.blocks.shards().flush(dirs)
    }

    /// Returns whether a block has a copy in quarantine.
    pub(super) fn has_quarantined(&self, block: &BlockKey) -> Result<bool> {
        let root = self.flatfs.store.blocks.layout().root();
        let copy = root.join(QUARANTINE).join(block.file_name());
        Ok(self.size(&copy)?.is_some())
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        let found = self.flatfs.store.blocks.disk().find(path)?;
        Ok(found.map(|stat| stat.len))
    }

    fn ensure_dir(&self, dir: &Path) -> Result<()> {
        let disk = self.flatfs.store.blocks.disk();
        if disk.find_dir(dir)?.is_some() {
            return Ok(());
        }
        disk.create_dir(dir)
            .map_err(|error| Error::io("create", dir, error))
    }
}

/// Returns the quarantine directories: for the first file of a name, for the second one, and so on.
fn quarantines(root: &Path) -> impl Iterator<Item = PathBuf> {
    let first = root.join(QUARANTINE);
    let others = (2..).map({
        let first = first.clone();
        move |number: u32| first.join(number.to_string())
    });
    std::iter::once(first).chain(others)
}

fn rename(mover: &RepairMover, from: &Path, to: &Path) -> Result<()> {
    let disk = mover.flatfs.store.blocks.disk();
    disk.rename_new(from, to)
        .map_err(|error| Error::io("move a block to", to, error))
}

fn is(error: &Error, kind: io::ErrorKind) -> bool {
    error.io_error().is_some_and(|error| error.kind() == kind)
}
