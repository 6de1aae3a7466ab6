//! [`StaleCheck`]: detects that a store that is open read-only was re-sharded or moved away. No lock prevents that, and
//! afterwards the blocks are at other paths, so that "absent" would be wrong.
//!
//! Both operations rewrite or remove `SHARDING` before the last of these blocks is at another path; a
//! re-sharding does so before the first one.

use std::str;
use std::sync::Arc;

use super::opener::{DirState, Opener};
use crate::disk::{CachedReads, Disk};
use crate::error::Result;
use crate::format::{Layout, SHARDING, Shard};

/// Checks whether a store is still at its path, with the shard function that it had when it was opened.
#[derive(Debug)]
pub(crate) struct StaleCheck {
    opener: Opener,
    shard: Shard,
}

impl StaleCheck {
    pub(super) fn new(disk: Arc<dyn Disk>, layout: &Layout) -> Self {
        StaleCheck {
            opener: Opener::on(disk, layout.root().to_owned()),
            shard: layout.shard(),
        }
    }

    /// Returns whether a cached read shows that the store is still the same.
    pub(super) fn is_current(&self, cached: &dyn CachedReads) -> bool {
        let Some(Ok(contents)) = cached.read(SHARDING) else {
            return false;
        };
        let shard = str::from_utf8(&contents).ok().map(Shard::from_identifier);
        matches!(shard, Some(Ok(shard)) if shard == self.shard)
    }

    /// Checks on disk that the store is still the same.
    ///
    /// # Errors
    ///
    /// Returns the error that opening the store would return now.
    pub(super) fn check(&self) -> Result<()> {
        let opener = &self.opener;
        match opener.read_sharding()? {
            Some(DirState::Store(shard)) => opener.check_shard(shard, Some(self.shard)),
            Some(state) => Err(opener.refusal(&state)),
            None => Err(opener.not_a_store("its SHARDING was removed since it was opened")),
        }
    }
}
