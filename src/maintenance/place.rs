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
    store.ensure_shard(shard)?;
    let moved = match store.disk.rename_new(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Somebody may have removed the directory, though nobody should.
            store.make_shard(shard)?;
            store.disk.rename_new(from, to)
        }
        moved => moved,
    };
    match moved {
        Ok(()) => Ok(Placed::Moved),
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(Placed::Taken),
            io::ErrorKind::CrossesDevices => Ok(Placed::Elsewhere),
            io::ErrorKind::NotFound => Ok(Placed::Gone),
            _ => Err(Error::io("move a block to", to, error)),
        },
    }
}
