//! [`UnflushedWrites`]: the writes that may not be durable, where a flush of everything would be a walk through
//! every block.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::Mutex;

use super::flusher::FlushTarget;
use crate::error::Result;
use crate::format::{BlockKey, Layout};
use crate::sync::lock;

/// The blocks that were written since the last flush of everything.
///
/// A disk that flushes everything at once needs none of this.
#[derive(Debug)]
pub(super) struct UnflushedWrites {
    is_tracking: bool,
    writes: Mutex<WriteSet>,
    /// Held during a flush: a second flush must not report success while the first one, which took the
    /// writes, still runs.
    flushing: Mutex<()>,
}

/// A set of writes.
#[derive(Debug, Default)]
pub(super) struct WriteSet {
    /// Whether the set is everything in the store. The other fields are then empty.
    is_everything: bool,
    puts: HashSet<BlockKey>,
    /// The shards of the blocks that were deleted.
    deletes: HashSet<String>,
}

impl UnflushedWrites {
    /// Creates an empty set. Writes are noted only if `is_tracking` is true; those that are durable when they are
    /// acknowledged don't have to be.
    pub(super) fn new(is_tracking: bool) -> Self {
        UnflushedWrites {
            is_tracking,
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

    /// Notes that any block of the store may not be durable.
    pub(super) fn note_everything(&self) {
        lock(&self.writes).set_everything();
    }

    /// Runs `flush` for the writes that were noted. If it fails or panics, they stay noted.
    pub(super) fn flush(&self, flush: impl FnOnce(&WriteSet) -> Result<()>) -> Result<()> {
        let _flushing = lock(&self.flushing);
        let mut taken = TakenWrites {
            unflushed: self,
            writes: mem::take(&mut *lock(&self.writes)),
        };
        flush(&taken.writes)?;
        taken.writes = WriteSet::default();
        Ok(())
    }
}

impl WriteSet {
    /// The maximum number of writes that are remembered. Beyond that, everything is flushed.
    const MAX_LEN: usize = if cfg!(test) { 256 } else { 1 << 16 };

    pub(super) fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// Returns the files and directories whose flush makes these writes durable.
    pub(super) fn targets(&self, layout: &Layout) -> Vec<FlushTarget> {
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
