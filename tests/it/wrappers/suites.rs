//! The wrappers pass the conformance suites.

use std::sync::Arc;

use ds_flatfs::conformance::Keys;
#[cfg(feature = "verify")]
use ds_flatfs::wrappers::Verifying;
use ds_flatfs::wrappers::{AutoBatch, Mount, MountBuilder, Namespace};
use ds_flatfs::{Datastore, MemoryDatastore};

use crate::conformance::{flatfs, passes};

fn memory() -> Arc<dyn Datastore> {
    Arc::new(MemoryDatastore::new())
}

async fn files(dir: &tempfile::TempDir) -> Arc<dyn Datastore> {
    Arc::new(flatfs(dir, "next-to-last/2").await)
}

fn mounted(prefixes: &[&str]) -> Mount {
    let mount = |builder, prefix: &&str| MountBuilder::mount(builder, prefix, memory());
    prefixes
        .iter()
        .fold(Mount::builder(), mount)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_mount_of_one_datastore_passes() {
    passes(mounted(&["/"]), Keys::Flat).await;
}

/// The suites write `/prefix/…`, `/prefix/sub/…`, `/outer` with a key below it, and others.
#[tokio::test]
async fn a_mount_over_the_namespaces_of_the_suites_passes() {
    let mount = mounted(&["/", "/prefix/sub", "/prefix", "/Some", "/outer/inner"]);
    passes(mount, Keys::Any).await;
}

#[tokio::test]
async fn a_mount_of_files_passes_with_the_keys_of_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::builder()
        .mount("/0KEY0", memory())
        .mount("/", files(&dir).await);
    passes(mount.build().unwrap(), Keys::Blocks).await;
}

#[tokio::test]
async fn a_namespace_passes() {
    passes(Namespace::new(memory(), "/"), Keys::Flat).await;
    passes(Namespace::new(memory(), "/a/b:c"), Keys::Any).await;
}

#[tokio::test]
async fn a_namespace_over_files_passes() {
    let dir = tempfile::tempdir().unwrap();
    passes(Namespace::new(files(&dir).await, "/"), Keys::Blocks).await;
}

#[tokio::test]
async fn a_namespace_over_files_in_a_mount_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::builder()
        .mount("/", memory())
        .mount("/blocks", files(&dir).await);
    let blocks = Namespace::new(Arc::new(mount.build().unwrap()), "/blocks");
    passes(blocks, Keys::Blocks).await;
}

#[cfg(feature = "verify")]
#[tokio::test]
async fn a_verifying_datastore_passes_with_keys_that_are_not_hashes() {
    let verifying = Verifying::new(memory()).allow_unchecked(true);
    passes(verifying, Keys::Flat).await;
}

#[tokio::test]
async fn an_auto_batch_passes() {
    passes(AutoBatch::new(memory()).max_writes(70), Keys::Any).await;
}

#[tokio::test]
async fn an_auto_batch_of_one_write_or_few_bytes_passes() {
    passes(AutoBatch::new(memory()).max_writes(1), Keys::Flat).await;
    passes(AutoBatch::new(memory()).max_bytes(500), Keys::Flat).await;
}

#[tokio::test]
async fn an_auto_batch_over_files_passes() {
    let dir = tempfile::tempdir().unwrap();
    let batches = AutoBatch::new(files(&dir).await).max_writes(30);
    passes(batches, Keys::Blocks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auto_batch_passes_on_a_runtime_with_many_threads() {
    passes(AutoBatch::new(memory()).max_writes(5), Keys::Flat).await;
}
