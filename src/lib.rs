//! An async datastore for content-addressed blocks.

pub mod query;

#[cfg(feature = "cid")]
mod cid_key;
mod datastore;
mod disk;
mod error;
mod key;

#[cfg(feature = "cid")]
pub use cid;

pub use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage};
pub use crate::error::{Error, Result};
pub use crate::key::Key;
