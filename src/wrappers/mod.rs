//! Datastores that stand on other datastores.
//!
//! | wrapper | what it adds |
//! | --- | --- |
//! | [`Mount`] | several datastores as one, each under a prefix |
//! | [`Namespace`] | the part of a datastore below a prefix, as a datastore of its own |
//! | `Verifying` (feature `verify`) | checks of every value against the hash in its key |
//! | [`AutoBatch`] | writes that are collected and committed by themselves, many at a time |
//!
//! Each takes an `Arc<dyn Datastore>`, so they stand on any store and on each other. A clone is another
//! handle to the same. Closing one closes what it stands on.
//!
//! A node like kubo keeps its blocks in files and the rest elsewhere, writes blocks many at a time, and
//! calls them by their hash alone:
//!
//! ```
//! use std::sync::Arc;
//! use ds_flatfs::wrappers::{AutoBatch, Mount, Namespace};
//! use ds_flatfs::{Datastore, FlatFs, Key, MemoryDatastore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("blocks");
//! let files = FlatFs::options().open_or_create(path).await?;
//! let repo = Mount::builder()
//!     .mount("/blocks", Arc::new(AutoBatch::new(Arc::new(files))))
//!     .mount("/", Arc::new(MemoryDatastore::new()))
//!     .build()?;
//! let blocks = Namespace::new(Arc::new(repo.clone()), "/blocks");
//!
//! blocks.put(&Key::new("/CIQONE"), "block".into()).await?;
//! assert!(repo.has(&Key::new("/blocks/CIQONE")).await?);
//! repo.close().await?;
//! # Ok(()) }
//! ```

mod auto_batch;
mod bulk;
mod job;
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

/// The error of a datastore below, with its key as the caller knows it. That may be another one than the
/// call was about.
fn rename(error: Error, outwards: impl Fn(&Key) -> Key) -> Error {
    let renamed = |key: String| outwards(&Key::new(key)).into();
    match error {
        Error::InvalidKey { key, reason } => Error::InvalidKey {
            key: renamed(key),
            reason,
        },
        Error::Corrupt { key, reason } => Error::Corrupt {
            key: renamed(key),
            reason,
        },
        error => error,
    }
}

/// The entries of a datastore below, and its errors, with their keys as the caller knows them.
fn rename_all(entries: EntryStream, outwards: KeyMap) -> EntryStream {
    let map = Arc::clone(&outwards);
    let entries = entries.map_err(move |error| rename(error, &*map)).boxed();
    rekey(entries, outwards)
}
