//! Futures that are dropped at each point where they wait.

use std::future::Future;
use std::path::Path;

use futures::{FutureExt, StreamExt};

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{below_temp, blocks, exact_usage, true_usage, yield_to_pool};
use super::model::StoreModel;
use super::setup::DURABLE;
use crate::key::Key;
use crate::query::Query;
use crate::store::FlatFs;
use crate::testing::fault_disk::{BreakpointGuard, DataLoss, DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[("AA1", "one, as it was"), ("BB1", "three, as it was")];

/// The maximum number of polls of a future. No future here waits more often.
const POLLS: usize = 8;

/// Polls a future this number of times, lets the pool run after each poll, and drops the future.
async fn drop_after(polls: usize, future: impl Future) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if future.as_mut().now_or_never().is_some() {
            return;
        }
        yield_to_pool().await;
    }
}

/// Something that a future may have to wait for.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    None,
    /// The write of its file.
    Write,
    /// The publication or removal of its block, or the listing of a directory.
    Entry,
    /// Another write of its key.
    KeyLock,
    /// A permit to open another file.
    Permit,
}

const OBSTACLES: [Obstacle; 5] = [
    Obstacle::None,
    Obstacle::Write,
    Obstacle::Entry,
    Obstacle::KeyLock,
    Obstacle::Permit,
];

impl Obstacle {
    /// Makes futures wait for the obstacle until the guard is dropped.
    async fn begin(self, disk: &FaultDisk, store: &FlatFs) -> Option<BreakpointGuard> {
        let matches: fn(DiskOp, &Path) -> bool = match self {
            Obstacle::None => return None,
            Obstacle::Write => |op, _| op == DiskOp::Write,
            Obstacle::Entry => {
                |op, _| matches!(op, DiskOp::Rename | DiskOp::RemoveFile | DiskOp::List)
            }
            Obstacle::KeyLock => |op, path| op == DiskOp::RemoveFile && path.ends_with("AA1.data"),
            Obstacle::Permit => |op, _| op == DiskOp::Read,
        };
        let breakpoint = disk.set_breakpoint(matches);
        match self {
            Obstacle::None | Obstacle::Write | Obstacle::Entry => {}
            Obstacle::KeyLock => {
                let store = store.clone();
                tokio::spawn(async move { StoreCall::Delete("AA1").run(&store).await });
                breakpoint.reached().await;
            }
            Obstacle::Permit => {
                let permits = store.store.open_files.available();
                for _ in 0..permits {
                    let store = store.clone();
                    tokio::spawn(async move { store.get(&Key::new("BB1")).await });
                }
                breakpoint.reached_by(permits).await;
            }
        }
        Some(breakpoint)
    }
}

/// Checks that the store has all its permits and key locks: without one of them a call here would not
/// complete.
async fn assert_sound(disk: &FaultDisk, store: &FlatFs) {
    StoreCall::Put("AA1", "afterwards")
        .run(store)
        .await
        .unwrap();
    let batch = store.batch().await.unwrap();
    let breakpoint = disk.set_breakpoint(|op, path| {
        op == DiskOp::CreateFile && path.to_string_lossy().contains("batch-")
    });
    for number in 0..16 {
        let key = Key::new(format!("CC{number:02}"));
        batch.put(&key, "block".into()).await.unwrap();
    }
    breakpoint.reached().await;
    drop(breakpoint);
    batch.commit().await.unwrap();
    assert_eq!(
        store.get(&Key::new("AA1")).await.unwrap().unwrap(),
        "afterwards"
    );
    assert_eq!(store.disk_usage().await.unwrap().bytes, true_usage(disk));
    store.close().await.unwrap();
    let store = DURABLE.open(disk).await;
    assert_eq!(below_temp(disk), [""; 0]);
    assert_eq!(exact_usage(&store).await.bytes, true_usage(disk));
    assert_eq!(blocks(&store).await.len(), 16 + 2);
}

/// Drops the futures that `operation` returns, after each number of polls, with each obstacle.
async fn drop_everywhere<F, O>(operation: O)
where
    O: Fn(FlatFs) -> F,
    F: Future,
{
    for obstacle in OBSTACLES {
        for polls in 0..POLLS {
            let (disk, store) = DURABLE.store_with(INITIAL).await;
            let breakpoint = obstacle.begin(&disk, &store).await;
            drop_after(polls, operation(store.clone())).await;
            drop(breakpoint);
            assert_sound(&disk, &store).await;
        }
    }
}

#[tokio::test]
async fn a_put_can_be_dropped_at_any_await_point() {
    drop_everywhere(|store| async move { StoreCall::Put("AA1", "dropped").run(&store).await })
        .await;
}

#[tokio::test]
async fn a_delete_can_be_dropped_at_any_await_point() {
    drop_everywhere(|store| async move { StoreCall::Delete("AA1").run(&store).await }).await;
}

#[tokio::test]
async fn a_batch_and_its_commit_can_be_dropped_at_any_await_point() {
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "dropped"),
        BatchWrite::Put("BB1", "dropped"),
    ]);
    drop_everywhere(|store| {
        let commit = commit.clone();
        async move { commit.run(&store).await }
    })
    .await;
}

#[tokio::test]
async fn a_query_can_be_dropped_at_any_await_point() {
    drop_everywhere(|store| async move {
        let mut entries = store.query(Query::new()).await.unwrap();
        while entries.next().await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn a_sync_and_a_close_can_be_dropped_at_any_await_point() {
    drop_everywhere(|store| async move { store.sync().await }).await;
    for polls in 0..POLLS {
        let (disk, store) = DURABLE.store_with(INITIAL).await;
        drop_after(polls, store.close()).await;
        store.close().await.unwrap();
        let model = StoreModel::new(DURABLE.durability, INITIAL);
        DURABLE.check(&disk, &model, DataLoss::None).await;
    }
}

#[tokio::test]
async fn a_dropped_commit_takes_effect_as_a_whole_or_not_at_all() {
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "in a batch"),
        BatchWrite::Put("CC1", "in a batch"),
        BatchWrite::Delete("BB1"),
    ]);
    let mut model = StoreModel::new(DURABLE.durability, INITIAL);
    model.unacknowledged(&commit);
    for polls in 0..POLLS {
        let (disk, store) = DURABLE.store_with(INITIAL).await;
        drop_after(polls, commit.run(&store)).await;
        let killed = disk.reboot(DataLoss::None);
        store.close().await.unwrap();
        DURABLE.check(&disk, &model, DataLoss::None).await;
        DURABLE.check(&killed, &model, DataLoss::None).await;
    }
}
