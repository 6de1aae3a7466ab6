//! An async datastore for content-addressed blocks.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod query;

mod datastore;
mod disk;
mod error;
mod key;
mod memory;

pub use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage};
pub use crate::error::{Error, Result};
pub use crate::key::Key;
pub use crate::memory::MemoryDatastore;
