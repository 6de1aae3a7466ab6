//! How a tool reports its progress, and how it is stopped.

use std::fmt;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// The progress of a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of blocks that are done.
    pub blocks: u64,
    /// The bytes of the blocks that are done. Blocks whose sizes the tool did not need are not included.
    pub bytes: u64,
    /// The number of shard directories that are done. If the blocks are spread evenly, as hashes are, this
    /// shows how much is left without a count of the blocks.
    pub shards: u64,
    /// The number of shard directories in the store.
    pub total_shards: u64,
    /// The number of blocks to do, if the tool counts them and has counted all of them by now.
    pub total_blocks: Option<u64>,
    /// What the tool is doing.
    pub phase: Phase,
}

/// What a tool is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It processes the blocks, one shard directory after another.
    #[default]
    Blocks,
    /// A garbage collection follows the links from the roots. The blocks are those that it has found.
    Marking,
    /// A garbage collection lists the store, to find out whether the blocks are there that it does not read.
    Listing,
    /// A garbage collection looks for the oldest garbage.
    Ages,
    /// A repair looks for misplaced blocks, in a second pass.
    Misplaced,
    /// A repair reads copies, and restores blocks from them.
    Copies,
    /// It flushes what it changed, removes empty directories, and closes the store. It can no longer be stopped.
    Closing,
}

/// The callback that gets a tool's progress from time to time, if there is one. It stops the tool by
/// returning [`Break`](ControlFlow::Break).
///
/// It is called on a thread where it may block, but the tool waits for it.
pub(crate) struct ProgressCallback(Option<Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>>);

impl ProgressCallback {
    pub(crate) fn none() -> Self {
        ProgressCallback(None)
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn new(call: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static) -> Self {
        ProgressCallback(Some(Box::new(call)))
    }

    /// Reports the progress of the tool.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stopped`] if the callback asks the tool to stop.
    pub(crate) fn report(&mut self, progress: Progress) -> Result<()> {
        match self.0.as_mut().map(|call| call(progress)) {
            Some(ControlFlow::Break(())) => Err(Error::Stopped),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ProgressCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressCallback")
            .field(&self.0.as_ref().map(|_| ".."))
            .finish()
    }
}
