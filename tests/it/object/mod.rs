//! [`ObjectDatastore`] over the stores of object_store that need no server.

mod batches;
mod layout;
mod queries;
#[cfg(feature = "metrics")]
mod reports;
mod rigged;
#[cfg(feature = "conformance")]
mod suites;

use std::sync::Arc;

use ds_flatfs::object::{ObjectDatastore, ObjectOptions};
use ds_flatfs::object_store::ObjectStoreExt;
use ds_flatfs::object_store::memory::InMemory;
use ds_flatfs::object_store::path::Path;

/// Returns options for the prefix `blocks`.
fn options() -> ObjectOptions {
    ObjectDatastore::options().prefix("blocks")
}

async fn put_object(bucket: &Arc<InMemory>, name: &str, value: &str) {
    let path = Path::parse(name).unwrap();
    bucket.put(&path, value.to_owned().into()).await.unwrap();
}
