//! Moving a file to the place of a block.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::Store;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Moved,
    /// There is something already.
    Taken,
    /// It is on another file system.
    Elsewhere,
    /// The file isn't there any more.
    Gone,
}

/// Moves a file to the place of a block in this shard of the store, never over another one. The
/// directory is made if need be.
pub(super) fn place(store: &Store, from: &Path, shard: &str, to: &Path) -> Result<Placed> {
    let move_it = || {
        let moved = store.blocks.disk().rename_new(from, to);
        moved.map_err(|error| Error::io("move a block to", to, error))
    };
    match store.blocks.shards().with_dir(shard, move_it) {
        Ok(()) => Ok(Placed::Moved),
        Err(error) => match error.io_error().map(io::Error::kind) {
            Some(io::ErrorKind::AlreadyExists) => Ok(Placed::Taken),
            Some(io::ErrorKind::CrossesDevices) => Ok(Placed::Elsewhere),
            Some(io::ErrorKind::NotFound) => Ok(Placed::Gone),
            _ => Err(error),
        },
    }
}
