//! [`GcOptions`]: the options of a garbage collection.

use std::time::Duration;

use crate::dag::UnknownCodec;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Default)]
pub(super) struct GcOptions {
    pub(super) unknown_codec: UnknownCodec,
    pub(super) allow_missing: bool,
    pub(super) dry_run: bool,
    pub(super) keep_newer: Option<Duration>,
    pub(super) room: Option<Room>,
    pub(super) limit: Option<u64>,
    pub(super) foreign: bool,
    pub(super) remove_everything: bool,
}

/// How much space a collection frees, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// The store takes at most this.
    Size(u64),
    /// The file system has this free.
    Free(u64),
}

impl GcOptions {
    /// # Errors
    ///
    /// Returns [`Error::InvalidOption`] if an option needs the times of files.
    pub(super) fn check_without_times(&self) -> Result<()> {
        let option = match (self.keep_newer, self.room) {
            (Some(_), _) => "keep_newer",
            (None, Some(Room::Size(_))) => "target_size",
            (None, Some(Room::Free(_))) => "target_free",
            (None, None) => return Ok(()),
        };
        Err(Error::InvalidOption {
            option,
            reason: "the datastore does not know when its blocks were written",
        })
    }
}
