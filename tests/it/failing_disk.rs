//! Disks that take writes and fail to write them back.

use bytes::Bytes;
use ds_flatfs::{Durability, Error, FlatFs, Key, Shard};

use crate::mounts::{self, FailingDisk};
use crate::support::{self, Contents};

const MANY: usize = 800;
/// As large as a page of the disk below, which takes a page whole or not at all. Of a larger write it
/// takes a part, and the kernel says that all was written.
const LEN: usize = 4096;

/// More blocks than the disk takes, and fewer than its file system does.
fn blocks() -> Contents {
    let block = |number: usize| {
        let text = format!("{number} ").repeat(LEN);
        let value = Bytes::from(text).slice(..LEN);
        (Key::new(format!("A{number}")), value)
    };
    (0..MANY).map(block).collect()
}

async fn new_store(disk: &FailingDisk, durability: Durability) -> FlatFs {
    let shard = Shard::prefix(1).expect("a shard function");
    let options = FlatFs::options().shard(shard).durability(durability);
    let store = options.create(disk.path().join("store")).await;
    store.expect("a new store")
}

/// What is in the store when the disk works again.
async fn found_after_repair(disk: FailingDisk) -> Contents {
    let (disk, _below) = disk.repaired();
    let store = FlatFs::options().open(disk.path().join("store")).await;
    let store = store.expect("it opens");
    let found = support::contents(&store).await;
    store.close().await.expect("a close");
    found
}

#[tokio::test]
async fn a_put_that_can_not_be_written_back_is_not_acknowledged() {
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
    assert!(acknowledged.len() < MANY, "the disk takes all blocks");
    let _ = store.close().await;
    drop(store);
    let found = found_after_repair(disk).await;
    for (key, value) in acknowledged {
        assert!(found.get(&key) == Some(&value), "{key} is lost");
    }
}

#[tokio::test]
async fn a_batch_that_can_not_be_written_back_is_not_committed() {
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
    assert!(!store.has(&Key::new("A1")).await.expect("a look"));
    let _ = store.close().await;
    drop(store);
    assert_eq!(found_after_repair(disk).await, Contents::new());
}

#[tokio::test]
async fn a_sync_fails_also_if_somebody_else_has_heard_of_the_failure_first() {
    let Some(disk) = FailingDisk::new() else {
        return;
    };
    let store = new_store(&disk, Durability::OnSync).await;
    for (key, value) in blocks() {
        store.put(&key, value).await.expect("the system takes it");
    }
    assert!(mounts::fails_to_flush(disk.path()));
    let error = store.sync().await.expect_err("not all is written");
    assert!(error.io_error().is_some(), "{error:?}");
    for _ in 0..2 {
        let error = store.sync().await.expect_err("a failure is final");
        assert!(matches!(error, Error::FlushFailed { .. }), "{error:?}");
    }
    let put = store.put(&Key::new("B"), Bytes::new()).await;
    assert!(matches!(put, Err(Error::FlushFailed { .. })));
    assert!(store.close().await.is_err());
}
