//! [`ObjectDatastore`](ds_flatfs::object::ObjectDatastore) passes the conformance suites.

use std::sync::Arc;

use ds_flatfs::Shard;
use ds_flatfs::conformance::Keys;
use ds_flatfs::object::ObjectDatastore;
use ds_flatfs::object_store::memory::InMemory;

use super::{options, put_object};
use crate::conformance::passes;

/// Returns a bucket with objects that belong to other prefixes.
async fn shared_bucket() -> Arc<InMemory> {
    let bucket = Arc::new(InMemory::new());
    for name in ["blocks", "blocks2/0KEY0", "a", "zz/0KEY0"] {
        put_object(&bucket, name, "another's").await;
    }
    bucket
}

#[tokio::test]
async fn it_passes_with_any_keys_below_a_prefix_beside_others() {
    let bucket = shared_bucket().await;
    passes(options().open(bucket).await.unwrap(), Keys::Any).await;
}

#[tokio::test]
async fn it_passes_with_any_keys_at_the_root_of_a_bucket() {
    let bucket = Arc::new(InMemory::new());
    let options = ObjectDatastore::options();
    passes(options.open(bucket).await.unwrap(), Keys::Any).await;
}

#[tokio::test]
async fn it_passes_with_a_shard_function() {
    let bucket = shared_bucket().await;
    let options = options().shard(Shard::default());
    passes(options.create(bucket).await.unwrap(), Keys::Flat).await;
}

#[tokio::test]
async fn it_passes_in_a_local_directory() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/blocks", dir.path().display());
    let datastore = ObjectDatastore::options().open_url(&url).await.unwrap();
    passes(datastore, Keys::Flat).await;
}
