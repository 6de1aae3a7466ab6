//! The steps of a re-sharding that change what a store is: `SHARDING` says that it is under way, and
//! at the end which function the store has.

use super::create::{publish_readme, publish_sharding};
use super::opener::{DirState, Opener};
use super::shared::Store;
use crate::disk::if_there;
use crate::error::{Error, Result};
use crate::format::README;
use crate::format::ReshardMarker;
use crate::format::Shard;

impl Opener {
    /// Opens a store to re-shard it, and says from which function to which; `None` if it has the function
    /// already. Committed batches are carried out before.
    ///
    /// A re-sharding that is under way goes on, if need be to another function than before: where a block
    /// stands doesn't depend on it until the end.
    pub(crate) fn open_to_reshard(self, to: Shard) -> Result<Option<(Store, ReshardMarker)>> {
        match self.look()? {
            DirState::Store(found) if found == to => {
                // A crash may have left it so for the moment.
                self.sync_dir(&self.root)?;
                return Ok(None);
            }
            DirState::Store(_) | DirState::Resharding(_) => {}
            place => return Err(self.refusal(&place)),
        }
        let lock = self.lock()?;
        // Who had the lock before may have changed it.
        match self.look()? {
            DirState::Store(found) if found == to => Ok(None),
            DirState::Store(from) => {
                let store = self.open_to_write(from, lock)?;
                store.commit_log.roll_forward()?;
                Ok(Some((store, ReshardMarker { from, to })))
            }
            DirState::Resharding(ReshardMarker { from, .. }) => {
                let store = self.open_to_write(to, lock)?;
                Ok(Some((store, ReshardMarker { from, to })))
            }
            place => Err(self.refusal(&place)),
        }
    }
}

impl Store {
    /// Durably says in `SHARDING` that a re-sharding is under way: from here on nobody else opens the
    /// store.
    pub(crate) fn begin_resharding(&self, resharding: ReshardMarker) -> Result<()> {
        self.write_sharding(&resharding.encode())
    }

    /// Says in `SHARDING` that every block stands where the new function says, once that is durable.
    pub(crate) fn finish_resharding(&self, resharding: ReshardMarker) -> Result<()> {
        self.blocks.flusher().flush_all()?;
        let ReshardMarker { from, to } = resharding;
        let default = Shard::default();
        if to == default {
            let temp = self.blocks.temp_files().next();
            publish_readme(self.blocks.disk(), &temp, self.blocks.layout().root())?;
        } else if from == default {
            // It explains the old function.
            let readme = self.blocks.layout().at_root(README);
            if_there(self.blocks.disk().remove_file(&readme))
                .map_err(|error| Error::io("remove", readme, error))?;
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
