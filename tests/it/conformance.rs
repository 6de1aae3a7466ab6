//! [`MemoryDatastore`] and [`FlatFs`] pass the conformance suites.

use std::sync::Arc;

use ds_flatfs::conformance::{self, Keys};
use ds_flatfs::{Datastore, Durability, FlatFs, MemoryDatastore, Shard};
use tempfile::TempDir;

/// Runs all suites in a spawned task, which requires their futures to be `Send`.
pub(crate) async fn passes(datastore: impl Datastore + 'static, keys: Keys) {
    let datastore: Arc<dyn Datastore> = Arc::new(datastore);
    let run = async move {
        conformance::all(&*datastore, keys).await;
        conformance::closing(&*datastore, keys).await;
    };
    tokio::spawn(run).await.expect("no suite panics");
}

#[tokio::test]
async fn the_memory_datastore_passes_with_any_keys() {
    passes(MemoryDatastore::new(), Keys::Any).await;
}

#[tokio::test]
async fn the_memory_datastore_passes_with_flat_keys() {
    passes(MemoryDatastore::new(), Keys::Flat).await;
}

#[tokio::test]
async fn pointers_to_a_datastore_pass() {
    let shared: Arc<dyn Datastore> = Arc::new(MemoryDatastore::new());
    passes(shared, Keys::Any).await;
    let owned: Box<dyn Datastore> = Box::new(MemoryDatastore::new());
    passes(owned, Keys::Flat).await;
}

/// Returns a new store in the fastest mode, because these tests do not crash.
pub(crate) async fn flatfs(dir: &TempDir, shard: &str) -> FlatFs {
    let shard: Shard = shard.parse().expect("a shard function");
    FlatFs::options()
        .shard(shard)
        .durability(Durability::OnSync)
        .create(dir.path().join("store"))
        .await
        .expect("a new store")
}

async fn flatfs_passes(shard: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    passes(flatfs(&dir, shard).await, Keys::Blocks).await;
}

#[tokio::test]
async fn flatfs_passes_with_prefix() {
    flatfs_passes("prefix/2").await;
}

#[tokio::test]
async fn flatfs_passes_with_suffix() {
    flatfs_passes("suffix/3").await;
}

#[tokio::test]
async fn flatfs_passes_with_next_to_last() {
    flatfs_passes("next-to-last/2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flatfs_passes_on_a_runtime_with_many_threads() {
    flatfs_passes("next-to-last/1").await;
}
