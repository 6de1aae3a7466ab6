//! [`Garbage`]: decides which blocks of a store can be removed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::oldest::Rank;
use crate::dag::Reachable;
use crate::disk::if_there;
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::store::{FlatFs, Store};

/// What a garbage collection does with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is reachable.
    Reachable,
    /// Its key is not that of a block.
    Foreign,
    /// It is garbage that is too new to be removed.
    TooNew,
    /// It is garbage, of this age if that was asked for.
    Garbage { rank: Option<Rank> },
    /// It is not where readers look for it.
    Misplaced,
    /// It no longer exists.
    Gone,
}

/// Distinguishes garbage from other blocks.
#[derive(Clone, Debug)]
pub(super) struct Garbage {
    pub(super) flatfs: FlatFs,
    pub(super) reachable: Arc<Reachable>,
    /// Whether keys that are not those of blocks are garbage.
    pub(super) foreign: bool,
    /// Blocks that were written at this second or later are too new.
    pub(super) too_new: Option<u64>,
    /// Whether to find out when garbage was written.
    pub(super) needs_age: bool,
}

impl Garbage {
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.flatfs.store
    }

    /// Notes which blocks a shard directory has.
    pub(super) fn see(&self, shard: &str, blocks: &[BlockKey]) {
        let layout = self.store().blocks.layout();
        // Readers do not find a block in another directory.
        let blocks = blocks
            .iter()
            .filter(|block| *layout.shard_of(block) == *shard);
        self.reachable.see(blocks.map(BlockKey::key));
    }

    pub(super) fn judge(&self, shard: &str, block: &BlockKey) -> Result<Verdict> {
        let blocks = &self.store().blocks;
        if *blocks.layout().shard_of(block) != *shard {
            return Ok(Verdict::Misplaced);
        }
        match self.reachable.has(block.key()) {
            Some(true) => return Ok(Verdict::Reachable),
            None if !self.foreign => return Ok(Verdict::Foreign),
            Some(false) | None => {}
        }
        if self.too_new.is_none() && !self.needs_age {
            return Ok(Verdict::Garbage { rank: None });
        }
        let path = blocks.layout().block(block);
        let found = if_there(blocks.disk().modified(&path));
        let found = found.map_err(|error| Error::io("read the time of", path, error))?;
        Ok(match found.map(seconds_since_1970) {
            None => Verdict::Gone,
            Some(modified) if self.too_new.is_some_and(|limit| modified >= limit) => {
                Verdict::TooNew
            }
            Some(modified) => Verdict::Garbage {
                rank: Some(Rank::new(modified, block.key())),
            },
        })
    }
}

/// Returns the first second at which a file is too new if it has to be of this age. It is rounded so that no younger
/// file counts as old enough.
pub(super) fn written_before(age: Duration) -> u64 {
    SystemTime::now()
        .checked_sub(age)
        .map_or(0, seconds_since_1970)
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
