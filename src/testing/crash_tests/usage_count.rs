//! The count of the disk usage after a crash, while the store is in use.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::try_join_all;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{exact_usage, true_usage, yield_to_pool};
use super::setup::DURABLE;
use crate::datastore::{Accuracy, DiskUsage};
use crate::key::Key;
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[
    ("AA1", "one"),
    ("AA2", "two, which is longer"),
    ("AA3", "three"),
    ("BB1", "four"),
    ("BB2", "five, which is longer"),
    ("CC1", "six"),
];

/// New blocks, other sizes, deletes and commits, in old shards and new ones.
fn writes() -> Vec<StoreCall> {
    vec![
        StoreCall::Put("AA1", "one, which has grown"),
        StoreCall::Put("AA4", "new"),
        StoreCall::Delete("AA2"),
        StoreCall::Put("BB2", ""),
        StoreCall::Delete("BB1"),
        StoreCall::Put("DD1", "in a new shard"),
        StoreCall::Commit(vec![
            BatchWrite::Put("AA3", "three, in a batch"),
            BatchWrite::Put("EE1", "in another new shard"),
            BatchWrite::Delete("CC1"),
        ]),
        StoreCall::Put("BB1", "four, back again"),
    ]
}

/// Returns the disk of a process that was killed while the store had these blocks.
async fn killed() -> FaultDisk {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    StoreCall::Put("CC2", "unknown to the checkpoint")
        .run(&store)
        .await
        .unwrap();
    disk.reboot(DataLoss::None)
}

#[tokio::test]
async fn writes_between_two_counted_directories_are_counted_once() {
    for shard in ["AA", "BB", "CC"] {
        let disk = killed().await;
        let breakpoint =
            disk.set_breakpoint(move |op, path| op == DiskOp::List && path.ends_with(shard));
        let store = DURABLE.open(&disk).await;
        breakpoint.reached().await;
        for write in writes() {
            write.run(&store).await.unwrap();
        }
        let accuracy = store.disk_usage().await.unwrap().accuracy;
        assert_ne!(accuracy, Accuracy::Exact);
        drop(breakpoint);
        assert_eq!(
            exact_usage(&store).await.bytes,
            true_usage(&disk),
            "{shard}"
        );
    }
}

/// The count has to drop the outdated sizes that it has read of other blocks.
#[tokio::test]
async fn writes_while_a_block_is_examined_are_counted_once() {
    for block in ["AA1", "AA2", "AA3", "BB1", "BB2", "CC1", "CC2"] {
        let disk = killed().await;
        let is_paused = AtomicBool::new(false);
        let breakpoint = disk.set_breakpoint(move |op, path| {
            op == DiskOp::Stat
                && path.file_stem().is_some_and(|stem| stem == block)
                && !is_paused.swap(true, Ordering::SeqCst)
        });
        let store = DURABLE.open(&disk).await;
        breakpoint.reached().await;
        for write in writes() {
            write.run(&store).await.unwrap();
        }
        drop(breakpoint);
        assert_eq!(
            exact_usage(&store).await.bytes,
            true_usage(&disk),
            "{block}"
        );
    }
}

/// Some of the writes are still running when the count continues.
#[tokio::test]
async fn writes_that_run_concurrently_with_a_count_are_counted_once() {
    for block in ["AA1", "AA3", "BB2", "CC2"] {
        let disk = killed().await;
        let breakpoint = disk.set_breakpoint(move |op, path| {
            op == DiskOp::Stat && path.file_stem().is_some_and(|stem| stem == block)
        });
        let store = DURABLE.open(&disk).await;
        breakpoint.reached().await;
        let writes = writes().into_iter().map(|write| {
            let store = store.clone();
            tokio::spawn(async move { write.run(&store).await })
        });
        let writes: Vec<_> = writes.collect();
        drop(breakpoint);
        for written in try_join_all(writes).await.unwrap() {
            written.unwrap();
        }
        assert_eq!(
            exact_usage(&store).await.bytes,
            true_usage(&disk),
            "{block}"
        );
    }
}

#[tokio::test]
async fn a_counted_disk_usage_is_trusted_after_a_close() {
    let disk = killed().await;
    let store = DURABLE.open(&disk).await;
    exact_usage(&store).await;
    store.close().await.unwrap();
    let store = DURABLE.open(&disk).await;
    let exact = DiskUsage::new(true_usage(&disk), Accuracy::Exact);
    assert_eq!(store.disk_usage().await.unwrap(), exact);
}

fn lists_a_shard(op: DiskOp, path: &Path) -> bool {
    op == DiskOp::List && path.ends_with("BB")
}

#[tokio::test]
async fn a_count_that_fails_is_repeated_by_the_next_session() {
    let disk = killed().await;
    let refused =
        disk.refuse(|op, path| lists_a_shard(op, path).then_some(ErrorKind::PermissionDenied));
    let store = DURABLE.open(&disk).await;
    store.put(&Key::new("AA4"), "new".into()).await.unwrap();
    store.close().await.unwrap();
    drop(refused);
    let store = DURABLE.open(&disk).await;
    assert_eq!(exact_usage(&store).await.bytes, true_usage(&disk));
}

/// Otherwise what it has counted would grow with each write.
#[tokio::test]
async fn a_count_that_fails_frees_its_memory() {
    let disk = killed().await;
    let _refused =
        disk.refuse(|op, path| lists_a_shard(op, path).then_some(ErrorKind::PermissionDenied));
    let breakpoint = disk.set_breakpoint(lists_a_shard);
    let store = DURABLE.open(&disk).await;
    breakpoint.reached().await;
    assert!(store.store.blocks.usage().is_counting());
    drop(breakpoint);
    for _ in 0..100 {
        if !store.store.blocks.usage().is_counting() {
            return;
        }
        yield_to_pool().await;
    }
    panic!("the failed count is still in memory");
}

#[tokio::test]
async fn a_close_completes_a_count_that_is_still_running() {
    let disk = killed().await;
    DURABLE.open(&disk).await.close().await.unwrap();
    let store = DURABLE.open(&disk).await;
    let figure = store.disk_usage().await.unwrap();
    assert_eq!(figure, DiskUsage::new(true_usage(&disk), Accuracy::Exact));
}
