//! Datastores that wrap other datastores.
//!
//! | wrapper | what it adds |
//! | --- | --- |
//! | [`Mount`] | several datastores as one, each under a prefix |
//! | [`Namespace`] | the part of a datastore below a prefix, as a datastore of its own |
//! | `Verifying` (feature `verify`) | checks every value against the hash in its key |
//! | [`AutoBatch`] | collects writes and commits many of them at a time |
//!
//! Each takes any [`Datastore`](crate::Datastore), for example an `Arc<dyn Datastore>` or another wrapper. A clone
//! of a wrapper is another handle to the same datastore. Closing a wrapper closes the datastores that it wraps.
//!
//! A node like kubo keeps its blocks in files and the other values elsewhere, commits many blocks at a time, and
//! names a block by its hash alone:
//!
//! ```
//! use ds_flatfs::wrappers::{AutoBatch, Mount, Namespace};
//! use ds_flatfs::{Datastore, FlatFs, Key, MemoryDatastore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("blocks");
//! let files = FlatFs::options().open_or_create(path).await?;
//! let repo = Mount::builder()
//!     .mount("/blocks", AutoBatch::new(files))
//!     .mount("/", MemoryDatastore::new())
//!     .build()?;
//! let blocks = Namespace::new(repo.clone(), "/blocks");
//!
//! blocks.put(&Key::new("/CIQONE"), "block".into()).await?;
//! assert!(repo.has(&Key::new("/blocks/CIQONE")).await?);
//! repo.close().await?;
//! # Ok(()) }
//! ```

mod auto_batch;
mod bulk;
mod mount;
mod namespace;
#[cfg(feature = "verify")]
mod verifying;

use std::sync::Arc;

use futures::stream::{StreamExt, TryStreamExt};

pub use self::auto_batch::AutoBatch;
pub use self::mount::{Mount, MountBuilder};
pub use self::namespace::Namespace;
#[cfg(feature = "verify")]
pub use self::verifying::Verifying;
use crate::error::Error;
use crate::key::Key;
use crate::query::{EntryStream, KeyMap, rekey};

/// Returns the error of an inner datastore with the key that the caller uses. That may be another key than the one
/// of the call, because an error can concern an earlier write.
fn map_error_key(error: Error, map: impl Fn(&Key) -> Key) -> Error {
    let mapped = |key: String| map(&Key::new(key)).into();
    match error {
        Error::InvalidKey { key, reason } => Error::InvalidKey {
            key: mapped(key),
            reason,
        },
        Error::Corrupt { key, reason } => Error::Corrupt {
            key: mapped(key),
            reason,
        },
        error => error,
    }
}

/// Returns the entries and errors of an inner datastore with the keys that the caller uses.
fn map_keys(entries: EntryStream, map: KeyMap) -> EntryStream {
    let map_key = Arc::clone(&map);
    let entries = entries.map_err(move |error| map_error_key(error, &*map_key));
    rekey(entries.boxed(), map)
}
