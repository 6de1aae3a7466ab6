//! [`move_to_shard`]: the rename that makes a file a block of a store.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::Store;

/// What a move of a file to the path of a block did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MoveOutcome {
    Moved,
    /// There is a file at that path already.
    Taken,
    /// The file is on another file system.
    Elsewhere,
    /// The file no longer exists.
    Gone,
}

/// Renames a file to the path of a block in a shard directory of the store, never over another file. The
/// directory is created if it does not exist.
pub(super) fn move_to_shard(
    store: &Store,
    from: &Path,
    shard: &str,
    to: &Path,
) -> Result<MoveOutcome> {
    let move_it = || {
        let moved = store.blocks.disk().rename_new(from, to);
        moved.map_err(|error| Error::io("move a block to", to, error))
    };
    match store.blocks.shards().with_dir(shard, move_it) {
        Ok(()) => Ok(MoveOutcome::Moved),
        Err(error) => match error.io_error().map(io::Error::kind) {
            Some(io::ErrorKind::AlreadyExists) => Ok(MoveOutcome::Taken),
            Some(io::ErrorKind::CrossesDevices) => Ok(MoveOutcome::Elsewhere),
            Some(io::ErrorKind::NotFound) => Ok(MoveOutcome::Gone),
            _ => Err(error),
        },
    }
}
