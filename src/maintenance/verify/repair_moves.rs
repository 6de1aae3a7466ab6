//! [`RepairMover`]: the moves of a repair. Nothing is overwritten, and nothing removed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::finding::{Finding, Remedy};
use super::walk::BlockFile;
use crate::disk::{Kind, if_there};
use crate::disk_usage::Change;
use crate::error::{Error, Result};
use crate::format::{BlockKey, QUARANTINE};
use crate::store::{FlatFs, FlushTarget};

/// Moves files of a store that is open to write, and that nobody else uses.
pub(super) struct RepairMover {
    pub(super) flatfs: FlatFs,
    /// Held for a move: not every file system can see to it that nothing is overwritten.
    moving: Mutex<()>,
}

/// What came of putting a block where it belongs.
pub(super) enum Placed {
    Moved(Remedy),
    /// There is a block already.
    Taken,
    /// The file to move is not there any more.
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
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a file out of the way; `None` if it has gone.
    pub(super) fn quarantine(&self, file: &BlockFile) -> Result<Option<Remedy>> {
        let store = &self.flatfs.store;
        let _moving = self.moving();
        let mut dirs = quarantines(store.blocks.layout().root());
        while let (Some(size), Some(dir)) = (self.size(&file.path)?, dirs.next()) {
            self.ensure_dir(&dir)?;
            let to = dir.join(file.block.file_name());
            let moved = store.blocks.usage().track(&file.dir, &file.block, || {
                rename(self, &file.path, &to).map(|()| Change::removed(size))
            });
            match moved {
                Ok(()) => {
                    // What damaged the block may have changed its size.
                    store.saved_usage.mark_stale();
                    return Ok(Some(Remedy::Quarantined(to)));
                }
                Err(error) if is(&error, io::ErrorKind::AlreadyExists) => {}
                // Looked for once more.
                Err(error) if is(&error, io::ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Moves a block to where it belongs.
    pub(super) fn put_in_place(&self, file: &BlockFile, to: &Path) -> Result<Placed> {
        let store = &self.flatfs.store;
        let shard = store.blocks.layout().shard_of(&file.block);
        let _moving = self.moving();
        store.blocks.shards().ensure(&shard)?;
        let Some(size) = self.size(&file.path)? else {
            return Ok(Placed::Gone);
        };
        let dirs = (&*file.dir, &*shard);
        let moved = store
            .blocks
            .usage()
            .track_move(dirs, &file.block, size, || rename(self, &file.path, to));
        match moved {
            Ok(()) => Ok(Placed::Moved(Remedy::Moved(to.to_owned()))),
            Err(error) if is(&error, io::ErrorKind::AlreadyExists) => Ok(Placed::Taken),
            Err(error) => Err(error),
        }
    }

    /// Makes what was done about these durable.
    pub(super) fn settle(&self, findings: &[Finding]) -> Result<()> {
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
                // Its directories may be new.
                _ => dirs.extend(
                    to.ancestors()
                        .skip(1)
                        .take_while(|dir| dir.starts_with(store.blocks.layout().root())),
                ),
            }
        }
        store.blocks.flusher().flush(&blocks)?;
        store
            .blocks
            .flush_shards(dirs.into_iter().map(Path::to_owned))
    }

    /// Whether a block has a copy in quarantine.
    pub(super) fn has_quarantined(&self, block: &BlockKey) -> Result<bool> {
        let root = self.flatfs.store.blocks.layout().root();
        let copy = root.join(QUARANTINE).join(block.file_name());
        Ok(self.size(&copy)?.is_some())
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        let found = if_there(self.flatfs.store.blocks.disk().stat(path));
        let found = found.map_err(|error| Error::io("look at", path, error))?;
        Ok(found.map(|stat| stat.len))
    }

    fn ensure_dir(&self, dir: &Path) -> Result<()> {
        let disk = self.flatfs.store.blocks.disk();
        let found = if_there(disk.stat(dir));
        match found.map_err(|error| Error::io("look at", dir, error))? {
            None => disk
                .create_dir(dir)
                .map_err(|error| Error::io("create", dir, error)),
            Some(stat) if stat.kind == Kind::Dir => Ok(()),
            Some(stat) => Err(stat.kind.unexpected(dir, "directory")),
        }
    }
}

/// Where the first copy of a block goes, the second, and so on.
fn quarantines(root: &Path) -> impl Iterator<Item = PathBuf> {
    let first = root.join(QUARANTINE);
    let others = (2..).map({
        let first = first.clone();
        move |number: u32| first.join(number.to_string())
    });
    std::iter::once(first).chain(others)
}

fn rename(mender: &RepairMover, from: &Path, to: &Path) -> Result<()> {
    let disk = mender.flatfs.store.blocks.disk();
    disk.rename_new(from, to)
        .map_err(|error| Error::io("move a block to", to, error))
}

fn is(error: &Error, kind: io::ErrorKind) -> bool {
    error.io_error().is_some_and(|error| error.kind() == kind)
}
