//! [`DagReport`]: what was found below a root.

use cid::Cid;

use crate::error::Error;

/// What was found below a root.
#[derive(Debug)]
#[non_exhaustive]
pub struct DagReport {
    /// The root.
    pub root: Cid,
    /// The number of blocks of the DAG that the datastore has, without those that are contained in their CIDs. A
    /// block that is linked under two codecs is one block.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of links from the root to the block that is farthest from it.
    pub depth: u64,
    /// The number of blocks that no other root leads to.
    pub unique: u64,
    /// The number of blocks that another root leads to, too.
    pub shared: u64,
    /// The blocks that are missing or damaged, or can't be read or decoded. Only the first thousand are listed.
    pub bad: Vec<BadBlock>,
    /// The number of all such blocks.
    pub bad_count: u64,
    /// The number of those that are neither missing nor damaged: they can't be read, or their links can't be decoded. What
    /// is below them is not known.
    pub unreadable: u64,
    /// The number of blocks that were read and could not be checked, because the hash function in their CIDs is
    /// [unknown](crate::hash::HashError::Unknown), or [the digest](crate::hash::HashError::Length) too short. They are
    /// not bad.
    pub unchecked: u64,
}

/// A block of a DAG that is missing or damaged, or can't be read or decoded.
#[derive(Debug)]
#[non_exhaustive]
pub struct BadBlock {
    /// The block.
    pub cid: Cid,
    /// The blocks whose links lead to it, from the root to the block that links to it. Of a path of more than 64
    /// blocks, the root and the last 63.
    pub path: Vec<Cid>,
    /// What is wrong with it.
    pub error: Error,
}

impl DagReport {
    pub(super) fn new(root: &Cid) -> Self {
        DagReport {
            root: *root,
            blocks: 0,
            bytes: 0,
            depth: 0,
            unique: 0,
            shared: 0,
            bad: Vec::new(),
            bad_count: 0,
            unreadable: 0,
            unchecked: 0,
        }
    }

    /// Returns whether no block is missing, damaged or unreadable.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.bad_count == 0
    }
}
