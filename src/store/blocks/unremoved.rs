//! [`Unremoved`]: the blocks whose files may still be removed after a delete that has failed.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::format::BlockKey;
use crate::sync::lock;

/// The blocks that a delete of this session has not removed because another program had the file open.
///
/// The file may be marked for deletion, and is then gone when that program closes it. A put that found it, left it as it
/// is and was acknowledged would lose the block.
#[derive(Debug, Default)]
pub(super) struct Unremoved {
    blocks: Mutex<HashSet<BlockKey>>,
    /// Whether there ever was one. Almost always not, and a mutex that every write takes would slow down parallel ones.
    /// The key lock of a block orders this before the writes that have to see it.
    any: AtomicBool,
}

impl Unremoved {
    /// Notes a block after a delete that failed. Call this before its key lock is released.
    pub(super) fn note(&self, block: &BlockKey) {
        lock(&self.blocks).insert(block.clone());
        self.any.store(true, Ordering::Relaxed);
    }

    /// Forgets a block after its file was replaced or its name was found to be gone.
    pub(super) fn forget(&self, block: &BlockKey) {
        if self.any.load(Ordering::Relaxed) {
            lock(&self.blocks).remove(block);
        }
    }

    pub(super) fn has(&self, block: &BlockKey) -> bool {
        self.any.load(Ordering::Relaxed) && lock(&self.blocks).contains(block)
    }
}
