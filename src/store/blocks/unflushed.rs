//! [`UnflushedWrites`]: the writes that may not be durable, where a flush of everything would be a walk through
//! every block.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::flusher::{FlushTarget, Flusher};
use crate::disk::{Disk, Kind, if_there};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout};
use crate::sync::lock;

/// The blocks that were written since the last flush of everything.
///
/// On a disk that flushes everything at once no writes are noted.
#[derive(Debug)]
pub(crate) struct UnflushedWrites {
    disk: Arc<dyn Disk>,
    layout: Layout,
    flusher: Arc<Flusher>,
    is_tracking: bool,
    writes: Mutex<WriteSet>,
    /// Held during a flush: a second flush must not report success while the first one, which took the
    /// writes, still runs.
    flushing: Mutex<()>,
}

/// A set of writes.
#[derive(Debug, Default)]
struct WriteSet {
    /// Whether the set is everything in the store. The other fields are then empty.
    is_everything: bool,
    puts: HashSet<BlockKey>,
    /// The shards of the blocks that were deleted.
    deletes: HashSet<String>,
}

impl UnflushedWrites {
    /// Creates an empty set. Writes are noted only if `is_lazy`, which tells that some are not durable when they are
    /// acknowledged, and only on a disk that can't flush everything at once.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        flusher: Arc<Flusher>,
        is_lazy: bool,
    ) -> Self {
        UnflushedWrites {
            is_tracking: is_lazy && !disk.syncs_all_at_once(),
            disk,
            layout,
            flusher,
            writes: Mutex::default(),
            flushing: Mutex::default(),
        }
    }

    /// Notes that a block was written, or was found and left as it is. Call this after the write is made and before
    /// it is acknowledged: a flush between the note and the write would take the note and miss the write.
    pub(super) fn note_put(&self, block: &BlockKey) {
        if self.is_tracking {
            lock(&self.writes).add(|writes| writes.puts.insert(block.clone()));
        }
    }

    /// Notes that a block was removed, or is absent. Call this at the same point as
    /// [`note_put`](UnflushedWrites::note_put).
    pub(super) fn note_delete(&self, block: &BlockKey, shard: &str) {
        if self.is_tracking {
            lock(&self.writes).add(|writes| {
                writes.puts.remove(block);
                writes.deletes.insert(shard.to_owned())
            });
        }
    }

    /// Notes that any block of the store may not be durable, because a session that crashed may have left acknowledged
    /// writes that are not.
    pub(crate) fn note_everything(&self) {
        lock(&self.writes).set_everything();
    }

    /// Makes every write durable that was acknowledged before the call.
    ///
    /// If the disk can't flush everything at once, this flushes what was written since the last call. After a
    /// crash, the first call flushes every block.
    pub(crate) fn flush(&self) -> Result<()> {
        if self.disk.syncs_all_at_once() {
            return self.flusher.flush_all();
        }
        let _flushing = lock(&self.flushing);
        // If the flush fails or panics, the writes stay noted.
        let mut taken = TakenWrites {
            unflushed: self,
            writes: mem::take(&mut *lock(&self.writes)),
        };
        if taken.writes.is_everything {
            self.flusher.flush_all()?;
        } else {
            let mut targets = taken.writes.targets(&self.layout);
            targets.extend(self.own_dirs()?.into_iter().map(FlushTarget::Dir));
            self.flusher.flush_existing(&targets)?;
        }
        taken.writes = WriteSet::default();
        Ok(())
    }

    /// Returns the store's directories that are not shards. The directories of batches are among them: a commit record
    /// whose removal is not durable could be applied over later writes. And a batch whose removal has failed may have a
    /// second name of a block: either both names have to be durable, or neither.
    fn own_dirs(&self) -> Result<Vec<PathBuf>> {
        let mut dirs = vec![self.layout.root().to_owned()];
        let mut unlisted = vec![self.layout.temp()];
        while let Some(dir) = unlisted.pop() {
            let failed = |error| Error::io("list", &dir, error);
            if let Some(listing) = if_there(self.disk.list(&dir)).map_err(failed)? {
                for entry in listing {
                    let entry = entry.map_err(failed)?;
                    if entry.kind == Kind::Dir {
                        unlisted.push(dir.join(entry.name));
                    }
                }
            }
            dirs.push(dir);
        }
        Ok(dirs)
    }
}

impl WriteSet {
    /// The maximum number of writes that are remembered. Beyond that, everything is flushed.
    const MAX_LEN: usize = if cfg!(test) { 256 } else { 1 << 16 };

    /// Returns the files and directories whose flush makes these writes durable.
    fn targets(&self, layout: &Layout) -> Vec<FlushTarget> {
        let mut shards: BTreeSet<String> = self.deletes.iter().cloned().collect();
        shards.extend(
            self.puts
                .iter()
                .map(|block| layout.shard_of(block).into_owned()),
        );
        let blocks = self.puts.iter().map(|block| layout.block(block));
        let dirs = shards.iter().map(|shard| layout.at_root(shard));
        blocks
            .map(FlushTarget::Block)
            .chain(dirs.map(FlushTarget::Dir))
            .collect()
    }

    fn add(&mut self, insert: impl FnOnce(&mut Self) -> bool) {
        if self.is_everything {
            return;
        }
        insert(self);
        if self.puts.len() + self.deletes.len() > Self::MAX_LEN {
            self.set_everything();
        }
    }

    fn set_everything(&mut self) {
        *self = WriteSet {
            is_everything: true,
            ..WriteSet::default()
        };
    }

    fn merge(&mut self, other: WriteSet) {
        if other.is_everything {
            self.set_everything();
        }
        for block in other.puts {
            self.add(|writes| writes.puts.insert(block));
        }
        for shard in other.deletes {
            self.add(|writes| writes.deletes.insert(shard));
        }
    }
}

/// Writes that a flush has taken.
struct TakenWrites<'a> {
    unflushed: &'a UnflushedWrites,
    writes: WriteSet,
}

/// Notes the writes again if they were not flushed.
impl Drop for TakenWrites<'_> {
    fn drop(&mut self) {
        let writes = mem::take(&mut self.writes);
        lock(&self.unflushed.writes).merge(writes);
    }
}
