//! An async datastore for content-addressed blocks.

pub mod query;

mod datastore;
mod disk;
mod error;
mod key;

pub use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage};
pub use crate::error::{Error, Result};
pub use crate::key::Key;
