//! [`Unremoved`]: the blocks whose files the system may still remove after a failed delete.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::format::BlockKey;
use crate::sync::lock;

/// The blocks that a delete of this session has not removed because another program had the file open.
///
/// The file may be marked for deletion, and is then gone when that program closes it. A put that found it, left it as it
/// is and was acknowledged would lose the block.
#[derive(Debug, Default)]
pub(super) struct Unremoved(Mutex<HashSet<BlockKey>>);

impl Unremoved {
    /// Notes a block after a delete that failed. Call this before its key lock is released.
    pub(super) fn note(&self, block: &BlockKey) {
        lock(&self.0).insert(block.clone());
    }

    /// Forgets a block after its file was replaced or its name was found to be gone.
    pub(super) fn forget(&self, block: &BlockKey) {
        lock(&self.0).remove(block);
    }

    pub(super) fn has(&self, block: &BlockKey) -> bool {
        lock(&self.0).contains(block)
    }
}
