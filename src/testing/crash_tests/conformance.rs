//! The conformance suites on a disk without the features of Linux: without cached reads and unnamed files,
//! and in one test without `syncfs` and hard links.

use super::inspect::STORE_PATH;
use super::setup::{DURABLE, NO_CAPABILITIES, StoreSetup};
use crate::conformance::{self, Keys};
use crate::store::{Durability, Purpose};

async fn passes(setup: StoreSetup) {
    let disk = setup.disk();
    let store = setup.open_as(&disk, Purpose::Create).await.unwrap();
    assert_eq!(store.path(), std::path::Path::new(STORE_PATH));
    conformance::all(&store, Keys::Blocks).await;
    conformance::closing(&store, Keys::Blocks).await;
}

#[tokio::test]
async fn a_store_without_cached_reads_passes_the_suites() {
    passes(StoreSetup {
        durability: Durability::OnSync,
        ..DURABLE
    })
    .await;
}

#[tokio::test]
async fn a_durable_store_without_syncfs_and_hard_links_passes_the_suites() {
    passes(StoreSetup {
        capabilities: NO_CAPABILITIES,
        ..DURABLE
    })
    .await;
}
