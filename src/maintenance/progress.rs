//! How a tool tells how far it is, and is told to stop.

use std::fmt;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// How far a tool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The blocks that are done.
    pub blocks: u64,
    /// The bytes of the blocks that are done, as far as the tool had to know them.
    pub bytes: u64,
    /// The shard directories that are done. With the blocks spread evenly, as hashes are, they tell how
    /// much is left without a count of the blocks.
    pub shards: u64,
    /// The shard directories that there are.
    pub total_shards: u64,
}

/// What a tool calls with its progress now and then; [`Break`](ControlFlow::Break) stops it.
///
/// It is called on a thread where it may block, but the tool waits for it.
pub(crate) struct Watcher(Option<Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>>);

impl Watcher {
    /// Nobody watches.
    pub(crate) fn none() -> Self {
        Watcher(None)
    }

    pub(crate) fn new(watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static) -> Self {
        Watcher(Some(Box::new(watch)))
    }

    /// Tells how far the tool is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if the watcher wants no more of it.
    pub(crate) fn tell(&mut self, progress: Progress) -> Result<()> {
        let go_on = self.0.as_mut().map(|watch| watch(progress));
        match go_on {
            Some(ControlFlow::Break(())) => Err(Error::Stopped),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watcher")
            .field(&self.0.as_ref().map(|_| ".."))
            .finish()
    }
}
