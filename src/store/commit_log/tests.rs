//! Commits on a disk that is full.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::open::Purpose;
use crate::store::{FlatFs, Options};
use crate::testing::fault_disk::{DiskOp, FaultDisk};

const STORE: &str = "/disk/store";

async fn open(disk: &FaultDisk) -> FlatFs {
    let disk = Arc::new(disk.clone());
    let store = Options::new().begin_on(disk, PathBuf::from(STORE), Purpose::Either);
    store.await.unwrap()
}

async fn put(store: &FlatFs, name: &str) -> Result<()> {
    let value = Bytes::from(name.to_owned());
    store.put(&Key::new(name), value).await
}

/// Commits a batch with these two blocks.
async fn commit(store: &FlatFs, names: [&str; 2]) -> Result<()> {
    let batch = store.batch().await?;
    for name in names {
        let value = Bytes::from(name.to_owned());
        batch.put(&Key::new(name), value).await?;
    }
    batch.commit().await
}

async fn has(store: &FlatFs, name: &str) -> bool {
    store.has(&Key::new(name)).await.unwrap()
}

fn is_full() -> Option<ErrorKind> {
    Some(ErrorKind::StorageFull)
}

fn is_in_shard(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "data")
}

#[tokio::test]
async fn a_commit_without_space_for_a_shard_directory_commits_nothing() {
    let disk = FaultDisk::new();
    let store = open(&disk).await;
    put(&store, "AAA").await.unwrap();
    let full = disk.refuse(|op, path| {
        let makes_shard = op == DiskOp::CreateDir && path.ends_with("BB");
        is_full().filter(|_| makes_shard)
    });
    let error = commit(&store, ["AAX", "BBX"]).await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert!(!has(&store, "AAX").await);
    drop(full);
    commit(&store, ["AAX", "BBX"]).await.unwrap();
    assert!(has(&store, "AAX").await && has(&store, "BBX").await);
}

#[tokio::test]
async fn a_store_opens_without_space_to_complete_a_commit_and_completes_it_later() {
    let disk = FaultDisk::new();
    let store = open(&disk).await;
    put(&store, "OLD").await.unwrap();
    let full = disk.refuse(|op, path| {
        let places_block = op == DiskOp::Rename && is_in_shard(path);
        is_full().filter(|_| places_block)
    });
    let error = commit(&store, ["ONE", "TWO"]).await.unwrap_err();
    assert!(matches!(error, Error::CommitIncomplete { .. }), "{error:?}");
    assert!(error.is_full());
    let error = store.close().await.unwrap_err();
    assert!(error.is_full());

    let store = open(&disk).await;
    store.delete(&Key::new("OLD")).await.unwrap();
    assert!(!has(&store, "OLD").await);
    let error = put(&store, "TWO").await.unwrap_err();
    assert!(matches!(error, Error::EarlierCommit { .. }), "{error:?}");
    drop(full);
    store.sync().await.unwrap();
    assert!(has(&store, "ONE").await && has(&store, "TWO").await);
    store.close().await.unwrap();
    let temp = format!("{STORE}/.temp/");
    let tree = disk.tree();
    let left: Vec<_> = tree.iter().filter(|path| path.starts_with(&temp)).collect();
    assert_eq!(left, [&temp]);
}
