//! [`Root`]: a block from which a mark begins.

use cid::Cid;

use super::links::{UnknownCodec, is_leaf};
use crate::error::Result;

/// A block from which a mark begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    pub(crate) cid: Cid,
    /// Whether only the block itself is reachable, and not what it links to.
    pub(crate) is_direct: bool,
}

impl Root {
    /// Returns whether the block need not be read.
    pub(super) fn is_leaf(&self, unknown: UnknownCodec) -> Result<bool> {
        Ok(self.is_direct || is_leaf(&self.cid, unknown)?)
    }
}
