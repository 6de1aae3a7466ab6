//! The steps of a re-sharding that change `SHARDING`: first to the marker of the re-sharding, and at the end to
//! the new function.

use super::create::{publish_readme, publish_sharding};
use super::opener::{DirState, Opener};
use super::shared::Store;
use crate::error::Result;
use crate::format::README;
use crate::format::ReshardMarker;
use crate::format::Shard;

impl Opener {
    /// Opens a store to re-shard it, and returns the marker to write. Returns `None` if the store has the
    /// function already. Pending commits are applied first.
    ///
    /// An interrupted re-sharding is resumed, even with a different function: the marker names all functions
    /// by which blocks may be placed.
    pub(crate) fn open_to_reshard(self, to: Shard) -> Result<Option<(Store, ReshardMarker)>> {
        match self.probe()? {
            DirState::Store(found) if found == to => {
                // A crash may have left a SHARDING that is not durable.
                self.sync_dir(&self.root)?;
                return Ok(None);
            }
            DirState::Store(_) | DirState::Resharding(_) => {}
            state => return Err(self.refusal(&state)),
        }
        let lock = self.lock()?;
        // Probed again: another process may have changed the store before the lock was taken.
        match self.probe()? {
            DirState::Store(found) if found == to => Ok(None),
            DirState::Store(from) => {
                let store = self.open_to_write(from, lock)?;
                store.commit_log.roll_forward()?;
                Ok(Some((store, ReshardMarker::new(from, to))))
            }
            DirState::Resharding(marker) => {
                let store = self.open_to_write(to, lock)?;
                Ok(Some((store, marker.resumed(to))))
            }
            state => Err(self.refusal(&state)),
        }
    }
}

impl Store {
    /// Writes the marker of the re-sharding to `SHARDING`. It is durable before the first block moves: no other
    /// program may open the store while blocks are in the directories of two functions.
    pub(crate) fn begin_resharding(&self, resharding: &ReshardMarker) -> Result<()> {
        self.write_sharding(&resharding.encode())
    }

    /// Writes the new function to `SHARDING`, after all moves are durable: a power cut must not leave blocks where
    /// the function in `SHARDING` does not find them.
    pub(crate) fn finish_resharding(&self, resharding: &ReshardMarker) -> Result<()> {
        // Before the function is written: a power cut may undo renames that are not durable.
        self.blocks.flusher().flush_all()?;
        let (from, to) = (resharding.from, resharding.to);
        let default = Shard::default();
        if to == default {
            let temp = self.blocks.temp_files().next();
            publish_readme(self.blocks.disk(), &temp, self.blocks.layout().root())?;
        } else if from == default {
            // The note describes the old function.
            let readme = self.blocks.layout().at_root(README);
            self.blocks.disk().remove_if_there(&readme)?;
        }
        self.write_sharding(&format!("{to}\n"))
    }

    fn write_sharding(&self, contents: &str) -> Result<()> {
        let temp = self.blocks.temp_files().next();
        publish_sharding(
            self.blocks.disk(),
            &temp,
            self.blocks.layout().root(),
            contents,
        )
    }
}
