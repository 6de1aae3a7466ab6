//! An async datastore for content-addressed blocks.

#[cfg(not(unix))]
compile_error!("ds-flatfs needs a Unix: it relies on its renames and advisory locks");

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod query;

mod batch;
#[cfg(test)]
mod crash_tests;
mod datastore;
mod disk;
mod disk_usage;
mod error;
mod intent;
mod key;
mod layout;
mod memory;
mod shard;
mod store;

pub use crate::batch::FlatBatch;
pub use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage};
pub use crate::error::{Error, Result};
pub use crate::key::Key;
pub use crate::memory::MemoryDatastore;
pub use crate::query::{Entry, EntryStream, Query};
pub use crate::shard::Shard;
pub use crate::store::{Durability, ExistingBlock, FlatFs, Options};
