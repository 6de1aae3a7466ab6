//! Disks that accept writes and fail to write them back.

use bytes::Bytes;
use ds_flatfs::{Durability, Error, FlatFs, Key, Shard};

use crate::mounts::{self, FailingDisk};
use crate::support::{self, Contents};

const BLOCKS: usize = 800;
/// The page size of the disk, which accepts a page as a whole or not at all. It accepts a part of a larger
/// write, and the kernel reports that everything was written.
const LEN: usize = 4096;

/// Returns more blocks than the disk accepts, and fewer than its file system accepts.
fn blocks() -> Contents {
    let block = |number: usize| {
        let text = format!("{number} ").repeat(LEN);
        let value = Bytes::from(text).slice(..LEN);
        (Key::new(format!("A{number}")), value)
    };
    (0..BLOCKS).map(block).collect()
}

async fn new_store(disk: &FailingDisk, durability: Durability) -> FlatFs {
    let shard = Shard::prefix(1).expect("a shard function");
    let options = FlatFs::options().shard(shard).durability(durability);
    let store = options.create(disk.path().join("store")).await;
    store.expect("a new store")
}

/// Returns the blocks of the store after the disk works again.
async fn found_after_repair(disk: FailingDisk) -> Contents {
    let (disk, _below) = disk.repaired();
    let store = FlatFs::options().open(disk.path().join("store")).await;
    let store = store.expect("the store must open");
    let found = support::contents(&store).await;
    store.close().await.expect("a close");
    found
}

#[tokio::test]
async fn a_put_that_cannot_be_written_back_is_not_acknowledged() {
    let Some(disk) = FailingDisk::new() else {
        return;
    };
    let store = new_store(&disk, Durability::EveryWrite).await;
    let mut acknowledged = Contents::new();
    for (key, value) in blocks() {
        if store.put(&key, value.clone()).await.is_ok() {
            acknowledged.insert(key, value);
        }
    }
    assert!(!acknowledged.is_empty());
    assert!(acknowledged.len() < BLOCKS, "the disk accepted all blocks");
    let _ = store.close().await;
    drop(store);
    let found = found_after_repair(disk).await;
    for (key, value) in acknowledged {
        assert!(found.get(&key) == Some(&value), "{key} is lost");
    }
}

#[tokio::test]
async fn a_batch_that_cannot_be_written_back_is_not_committed() {
    let Some(disk) = FailingDisk::new() else {
        return;
    };
    let store = new_store(&disk, Durability::EveryWrite).await;
    let batch = store.batch().await.expect("a batch");
    for (key, value) in blocks() {
        batch.put(&key, value).await.expect("room for the batch");
    }
    let error = batch.commit().await.expect_err("it doesn't fit");
    assert!(error.io_error().is_some(), "{error:?}");
    assert!(!store.has(&Key::new("A1")).await.expect("a lookup"));
    let _ = store.close().await;
    drop(store);
    assert_eq!(found_after_repair(disk).await, Contents::new());
}

#[tokio::test]
async fn a_sync_fails_even_if_another_flush_reported_the_failure_first() {
    let Some(disk) = FailingDisk::new() else {
        return;
    };
    let store = new_store(&disk, Durability::OnSync).await;
    for (key, value) in blocks() {
        store
            .put(&key, value)
            .await
            .expect("the system must accept it");
    }
    assert!(mounts::fails_to_flush(disk.path()));
    let error = store.sync().await.expect_err("not everything is written");
    assert!(error.io_error().is_some(), "{error:?}");
    for _ in 0..2 {
        let error = store.sync().await.expect_err("a failure is final");
        assert!(matches!(error, Error::FlushFailed { .. }), "{error:?}");
    }
    let put = store.put(&Key::new("B"), Bytes::new()).await;
    assert!(matches!(put, Err(Error::FlushFailed { .. })));
    assert!(store.close().await.is_err());
}
