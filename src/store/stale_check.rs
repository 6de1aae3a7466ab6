//! [`StaleCheck`]: what a store that is open read-only must look at, since it has no lock: it may be
//! re-sharded or moved away while it is open. Its blocks are then somewhere else, and "absent" would be
//! wrong.
//!
//! Both rewrite or remove `SHARDING` before the last block that this store knew of is somewhere else; a
//! re-sharding does so before the first one.

use std::str;
use std::sync::Arc;

use super::opener::{DirState, Opener};
use crate::disk::{CachedReads, Disk};
use crate::error::Result;
use crate::format::{Layout, SHARDING, Shard};

/// Tells whether a store is still where and what it was when it was opened.
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

    /// Whether memory knows that the store is what it was.
    pub(super) fn is_current(&self, cached: &dyn CachedReads) -> bool {
        let Some(Ok(contents)) = cached.read(SHARDING) else {
            return false;
        };
        let shard = str::from_utf8(&contents).ok().map(Shard::from_identifier);
        matches!(shard, Some(Ok(shard)) if shard == self.shard)
    }

    /// Checks on disk that the store is what it was.
    ///
    /// # Errors
    ///
    /// Those of opening the store now.
    pub(super) fn check(&self) -> Result<()> {
        let opener = &self.opener;
        match opener.read_sharding()? {
            Some(DirState::Store(shard)) => opener.check_shard(shard, Some(self.shard)),
            Some(state) => Err(opener.refusal(&state)),
            None => Err(opener.not_a_store("its SHARDING was removed since it was opened")),
        }
    }
}
