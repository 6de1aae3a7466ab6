//! [`Copies`]: blocks that are in both stores until those in the new one are durable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::mover::BlockMove;
use crate::disk::{clean_up, if_there};
use crate::error::{Error, Result};
use crate::maintenance::move_file::{Placed, place};
use crate::store::{FlushTarget, Store};

/// So much is copied before it is made durable: enough that this takes little of the time, and little
/// enough that a stop needs not wait long.
const BYTES: u64 = 64 << 20;
/// And so many blocks, whose names are in memory until then.
const BLOCKS: usize = 4096;

/// Some blocks on their way from one file system to another one. What is not settled when this is
/// dropped is still in the old store, and leaves nothing in the new one.
#[derive(Debug)]
pub(super) struct Copies<'a> {
    old: &'a Store,
    new: &'a Store,
    staged: Vec<Staged>,
    /// Blocks that are in the new store already.
    found: Vec<BlockMove>,
    bytes: u64,
}

#[derive(Debug)]
struct Staged {
    passenger: BlockMove,
    temp: PathBuf,
}

/// What came of some copies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    pub(super) copied: u64,
    pub(super) copied_bytes: u64,
    pub(super) duplicates: u64,
    pub(super) duplicate_bytes: u64,
}

impl<'a> Copies<'a> {
    pub(super) fn new(old: &'a Store, new: &'a Store) -> Self {
        Copies {
            old,
            new,
            staged: Vec::new(),
            found: Vec::new(),
            bytes: 0,
        }
    }

    /// Copies a block to a temp file. One that has gone meanwhile is left out.
    pub(super) fn copy(&mut self, passenger: BlockMove) -> Result<()> {
        let temp = self.new.blocks.temp_files().next();
        self.staged.push(Staged { passenger, temp });
        let Some(Staged { passenger, temp }) = self.staged.last_mut() else {
            return Ok(());
        };
        let copied = if_there(self.new.blocks.disk().copy_new(&passenger.from, temp));
        let copied = copied.map_err(|error| Error::io("copy a block to", &*temp, error))?;
        match copied {
            Some(len) => {
                passenger.len = len;
                self.bytes += len;
            }
            None => drop(self.staged.pop()),
        }
        Ok(())
    }

    /// Takes note of a block that is in the new store already, with the same contents.
    pub(super) fn found(&mut self, mut passenger: BlockMove) -> Result<()> {
        passenger.len = self
            .new
            .blocks
            .stat_at(&passenger.to)?
            .map_or(0, |stat| stat.len);
        self.found.push(passenger);
        Ok(())
    }

    pub(super) fn are_many(&self) -> bool {
        self.bytes >= BYTES || self.staged.len() + self.found.len() >= BLOCKS
    }

    /// Makes the blocks durable in the new store, and then removes them from the old one.
    pub(super) fn settle(&mut self) -> Result<Settled> {
        if self.staged.is_empty() && self.found.is_empty() {
            return Ok(Settled::default());
        }
        let copied = self.staged.iter().map(|staged| &staged.temp);
        let found = self.found.iter().map(|found| &found.to);
        let contents = copied.chain(found).cloned().map(FlushTarget::File);
        self.new
            .blocks
            .flusher()
            .flush(&contents.collect::<Vec<_>>())?;
        let placed = self.place_all()?;
        let both = placed.iter().chain(&self.found);
        let shards: BTreeSet<&Path> = both.clone().filter_map(|one| one.to.parent()).collect();
        if !shards.is_empty() {
            self.new
                .blocks
                .flush_shards(shards.into_iter().map(Path::to_owned))?;
        }
        for BlockMove { from, .. } in both {
            if_there(self.old.blocks.disk().remove_file(from))
                .map_err(|error| Error::io("remove", from, error))?;
        }
        let settled = Settled {
            copied: placed.len() as u64,
            copied_bytes: placed.iter().map(|one| one.len).sum(),
            duplicates: self.found.len() as u64,
            duplicate_bytes: self.found.iter().map(|one| one.len).sum(),
        };
        self.staged.clear();
        self.found.clear();
        self.bytes = 0;
        Ok(settled)
    }

    /// Moves the temp files to their places, and answers those that are there.
    fn place_all(&self) -> Result<Vec<BlockMove>> {
        let mut placed = Vec::new();
        for Staged { passenger, temp } in &self.staged {
            let BlockMove {
                from, to, shard, ..
            } = passenger;
            match place(self.new, temp, shard, to)? {
                Placed::Moved => placed.push(passenger.clone()),
                // A second copy in another shard was faster. The next pass sees whether they are equal.
                Placed::Taken => clean_up(self.new.blocks.disk(), temp),
                Placed::Elsewhere | Placed::Gone => {
                    let lost = std::io::ErrorKind::NotFound.into();
                    return Err(Error::io("find the copy of", from, lost));
                }
            }
        }
        Ok(placed)
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        for Staged { temp, .. } in &self.staged {
            clean_up(self.new.blocks.disk(), temp);
        }
    }
}
