//! What a store that is open read-only must look at, since it has no lock: it may be re-sharded or moved
//! away under it. Its blocks are then somewhere else, and "not there" would be a lie.
//!
//! Both rewrite or remove `SHARDING` before the last block that this store knew of is somewhere else; a
//! re-sharding does so before the first one.

use std::str;
use std::sync::Arc;

use super::Store;
use super::opener::{DirState, Opener};
use crate::error::Result;
use crate::format::SHARDING;
use crate::format::Shard;

impl Store {
    /// Whether memory knows that a block which isn't found isn't there.
    pub(super) fn is_surely_absent(&self) -> bool {
        if !self.options.read_only {
            return true;
        }
        let cached = self.cached.as_deref();
        let Some(Ok(contents)) = cached.and_then(|cached| cached.read(SHARDING)) else {
            return false;
        };
        let shard = str::from_utf8(&contents).ok().map(Shard::from_identifier);
        matches!(shard, Some(Ok(shard)) if shard == self.layout.shard())
    }

    /// Checks that what wasn't found isn't there.
    ///
    /// # Errors
    ///
    /// As an open would say now.
    pub(super) fn check_absence(&self) -> Result<()> {
        if !self.options.read_only {
            return Ok(());
        }
        let root = self.layout.root().to_owned();
        let now = Opener::on(Arc::clone(&self.disk), root);
        match now.read_sharding()? {
            Some(DirState::Store(shard)) => now.check_shard(shard, Some(self.layout.shard())),
            Some(place) => Err(now.refusal(&place)),
            None => Err(now.not_a_store("its SHARDING has gone since it was opened")),
        }
    }
}
