//! How a tool reports its progress, and is told to stop.

use std::fmt;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// How far a tool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of blocks that are done.
    pub blocks: u64,
    /// The bytes of the blocks that are done, as far as the tool had to know their sizes.
    pub bytes: u64,
    /// The number of shard directories that are done. If the blocks are spread evenly, as hashes are, it
    /// tells how much is left without a count of the blocks.
    pub shards: u64,
    /// The number of shard directories in the store.
    pub total_shards: u64,
}

/// The callback that gets a tool's progress now and then, if there is one. It stops the tool by
/// [`Break`](ControlFlow::Break).
///
/// It is called on a thread where it may block, but the tool waits for it.
pub(crate) struct ProgressCallback(Option<Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>>);

impl ProgressCallback {
    pub(crate) fn none() -> Self {
        ProgressCallback(None)
    }

    pub(crate) fn new(call: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static) -> Self {
        ProgressCallback(Some(Box::new(call)))
    }

    /// Reports how far the tool is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if the callback asks the tool to stop.
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
