//! The contract on a disk that has none of Linux's ways: no reads from memory alone, no files without a
//! name, and where that is said no flush of everything at once.

use super::fixture::{NO_ABILITIES, SAFE, STORE, Setting};
use crate::conformance::{self, Keys};
use crate::store::{Durability, Purpose};

async fn passes(setting: Setting) {
    let disk = setting.disk();
    let store = setting.begin(&disk, Purpose::Create).await.unwrap();
    assert_eq!(store.path(), std::path::Path::new(STORE));
    conformance::all(&store, Keys::Flat).await;
    conformance::closing(&store, Keys::Flat).await;
}

#[tokio::test]
async fn a_store_without_reads_from_memory_passes_the_suites() {
    passes(Setting {
        durability: Durability::OnSync,
        ..SAFE
    })
    .await;
}

#[tokio::test]
async fn a_durable_store_without_syncfs_and_hard_links_passes_the_suites() {
    passes(Setting {
        abilities: NO_ABILITIES,
        ..SAFE
    })
    .await;
}
