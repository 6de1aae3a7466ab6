//! The count of the disk usage after a crash, while the store is in use.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::try_join_all;

use super::fixture::{Change, SAFE, Write, counted, pool_turn, usage};
use crate::datastore::{Accuracy, DiskUsage};
use crate::key::Key;
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

const BEFORE: &[(&str, &str)] = &[
    ("AA1", "one"),
    ("AA2", "two, which is longer"),
    ("AA3", "three"),
    ("BB1", "four"),
    ("BB2", "five, which is longer"),
    ("CC1", "six"),
];

/// New blocks, other sizes, deletes and commits, in old shards and new ones.
fn writes() -> Vec<Write> {
    vec![
        Write::Put("AA1", "one, which has grown"),
        Write::Put("AA4", "new"),
        Write::Delete("AA2"),
        Write::Put("BB2", ""),
        Write::Delete("BB1"),
        Write::Put("DD1", "in a new shard"),
        Write::Commit(vec![
            Change::Put("AA3", "three, in a batch"),
            Change::Put("EE1", "in another new shard"),
            Change::Delete("CC1"),
        ]),
        Write::Put("BB1", "four, back again"),
    ]
}

/// What the kill of a process with these blocks leaves.
async fn killed() -> FaultDisk {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    Write::Put("CC2", "unknown to the checkpoint")
        .run(&store)
        .await
        .unwrap();
    disk.reboot(Loss::None)
}

#[tokio::test]
async fn writes_between_the_directories_are_counted_once() {
    for shard in ["AA", "BB", "CC"] {
        let disk = killed().await;
        let held = disk.hold(move |op, path| op == Op::List && path.ends_with(shard));
        let store = SAFE.open(&disk).await;
        held.reached().await;
        for write in writes() {
            write.run(&store).await.unwrap();
        }
        let accuracy = store.disk_usage().await.unwrap().accuracy;
        assert_ne!(accuracy, Accuracy::Exact);
        drop(held);
        assert_eq!(counted(&store).await.bytes, usage(&disk), "{shard}");
    }
}

/// What the count has seen of the blocks before is old then.
#[tokio::test]
async fn writes_while_a_block_is_looked_at_are_counted_once() {
    for block in ["AA1", "AA2", "AA3", "BB1", "BB2", "CC1", "CC2"] {
        let disk = killed().await;
        let is_held = AtomicBool::new(false);
        let held = disk.hold(move |op, path| {
            op == Op::Stat
                && path.file_stem().is_some_and(|stem| stem == block)
                && !is_held.swap(true, Ordering::SeqCst)
        });
        let store = SAFE.open(&disk).await;
        held.reached().await;
        for write in writes() {
            write.run(&store).await.unwrap();
        }
        drop(held);
        assert_eq!(counted(&store).await.bytes, usage(&disk), "{block}");
    }
}

/// Also those that are still under way when the count goes on.
#[tokio::test]
async fn writes_beside_a_count_are_counted_once() {
    for block in ["AA1", "AA3", "BB2", "CC2"] {
        let disk = killed().await;
        let held = disk.hold(move |op, path| {
            op == Op::Stat && path.file_stem().is_some_and(|stem| stem == block)
        });
        let store = SAFE.open(&disk).await;
        held.reached().await;
        let writes = writes().into_iter().map(|write| {
            let store = store.clone();
            tokio::spawn(async move { write.run(&store).await })
        });
        let writes: Vec<_> = writes.collect();
        drop(held);
        for written in try_join_all(writes).await.unwrap() {
            written.unwrap();
        }
        assert_eq!(counted(&store).await.bytes, usage(&disk), "{block}");
    }
}

#[tokio::test]
async fn a_figure_that_was_counted_is_trusted_after_a_close() {
    let disk = killed().await;
    let store = SAFE.open(&disk).await;
    counted(&store).await;
    store.close().await.unwrap();
    let store = SAFE.open(&disk).await;
    let exact = DiskUsage::new(usage(&disk), Accuracy::Exact);
    assert_eq!(store.disk_usage().await.unwrap(), exact);
}

fn lists_a_shard(op: Op, path: &Path) -> bool {
    op == Op::List && path.ends_with("BB")
}

#[tokio::test]
async fn a_count_that_fails_is_made_by_the_next_session() {
    let disk = killed().await;
    let refused =
        disk.refuse(|op, path| lists_a_shard(op, path).then_some(ErrorKind::PermissionDenied));
    let store = SAFE.open(&disk).await;
    store.put(&Key::new("AA4"), "new".into()).await.unwrap();
    store.close().await.unwrap();
    drop(refused);
    let store = SAFE.open(&disk).await;
    assert_eq!(counted(&store).await.bytes, usage(&disk));
}

/// It would grow with every write.
#[tokio::test]
async fn a_count_that_fails_keeps_nothing() {
    let disk = killed().await;
    let _refused =
        disk.refuse(|op, path| lists_a_shard(op, path).then_some(ErrorKind::PermissionDenied));
    let held = disk.hold(lists_a_shard);
    let store = SAFE.open(&disk).await;
    held.reached().await;
    assert!(store.store.meter.is_counting());
    drop(held);
    for _ in 0..100 {
        if !store.store.meter.is_counting() {
            return;
        }
        pool_turn().await;
    }
    panic!("it keeps its count");
}

#[tokio::test]
async fn a_session_that_is_too_short_for_the_count_counts_when_it_closes() {
    let disk = killed().await;
    SAFE.open(&disk).await.close().await.unwrap();
    let store = SAFE.open(&disk).await;
    let figure = store.disk_usage().await.unwrap();
    assert_eq!(figure, DiskUsage::new(usage(&disk), Accuracy::Exact));
}
