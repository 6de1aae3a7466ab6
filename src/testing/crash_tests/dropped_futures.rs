//! Futures that are dropped wherever they wait.

use std::future::Future;
use std::path::Path;

use futures::{FutureExt, StreamExt};

use super::fixture::{Change, SAFE, Write, below_temp, blocks, counted, pool_turn, usage};
use super::model::Model;
use crate::key::Key;
use crate::query::Query;
use crate::store::FlatFs;
use crate::testing::fault_disk::{FaultDisk, Held, Loss, Op};

const BEFORE: &[(&str, &str)] = &[("AA1", "one, as it was"), ("BB1", "three, as it was")];

/// How often a future is polled at most. None here waits more often.
const POLLS: usize = 8;

/// Polls a future so many times, with the pool at work in between, and drops it.
async fn drop_after(polls: usize, future: impl Future) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if future.as_mut().now_or_never().is_some() {
            return;
        }
        pool_turn().await;
    }
}

/// What a future may have to wait for.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    None,
    /// Its file to be written.
    Write,
    /// Its block to be moved or removed, or its directory to be listed.
    Entry,
    /// Another write of its key.
    KeyLock,
    /// The permit to have one more file open.
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
    /// Puts the obstacle in the way until the guard is dropped.
    async fn begin(self, disk: &FaultDisk, store: &FlatFs) -> Option<Held> {
        let matches: fn(Op, &Path) -> bool = match self {
            Obstacle::None => return None,
            Obstacle::Write => |op, _| op == Op::Write,
            Obstacle::Entry => |op, _| matches!(op, Op::Rename | Op::RemoveFile | Op::List),
            Obstacle::KeyLock => |op, path| op == Op::RemoveFile && path.ends_with("AA1.data"),
            Obstacle::Permit => |op, _| op == Op::Read,
        };
        let held = disk.hold(matches);
        match self {
            Obstacle::None | Obstacle::Write | Obstacle::Entry => {}
            Obstacle::KeyLock => {
                let store = store.clone();
                tokio::spawn(async move { Write::Delete("AA1").run(&store).await });
                held.reached().await;
            }
            Obstacle::Permit => {
                let permits = store.store.file_permits();
                for _ in 0..permits {
                    let store = store.clone();
                    tokio::spawn(async move { store.get(&Key::new("BB1")).await });
                }
                held.reached_by(permits).await;
            }
        }
        Some(held)
    }
}

/// A store that has all its permits, turns and locks does all of this.
async fn assert_sound(disk: &FaultDisk, store: &FlatFs) {
    Write::Put("AA1", "afterwards").run(store).await.unwrap();
    let batch = store.batch().await.unwrap();
    let held =
        disk.hold(|op, path| op == Op::CreateFile && path.to_string_lossy().contains("batch-"));
    for number in 0..16 {
        let key = Key::new(format!("CC{number:02}"));
        batch.put(&key, "block".into()).await.unwrap();
    }
    held.reached().await;
    drop(held);
    batch.commit().await.unwrap();
    assert_eq!(
        store.get(&Key::new("AA1")).await.unwrap().unwrap(),
        "afterwards"
    );
    assert_eq!(store.disk_usage().await.unwrap().bytes, usage(disk));
    store.close().await.unwrap();
    let store = SAFE.open(disk).await;
    assert_eq!(below_temp(disk), [""; 0]);
    assert_eq!(counted(&store).await.bytes, usage(disk));
    assert_eq!(blocks(&store).await.len(), 16 + 2);
}

/// Drops the futures that `operation` makes, after each number of polls, whatever is in their way.
async fn drop_everywhere<F, O>(operation: O)
where
    O: Fn(FlatFs) -> F,
    F: Future,
{
    for obstacle in OBSTACLES {
        for polls in 0..POLLS {
            let (disk, store) = SAFE.store_with(BEFORE).await;
            let held = obstacle.begin(&disk, &store).await;
            drop_after(polls, operation(store.clone())).await;
            drop(held);
            assert_sound(&disk, &store).await;
        }
    }
}

#[tokio::test]
async fn a_put_can_be_dropped_wherever_it_waits() {
    drop_everywhere(|store| async move { Write::Put("AA1", "dropped").run(&store).await }).await;
}

#[tokio::test]
async fn a_delete_can_be_dropped_wherever_it_waits() {
    drop_everywhere(|store| async move { Write::Delete("AA1").run(&store).await }).await;
}

#[tokio::test]
async fn a_batch_and_its_commit_can_be_dropped_wherever_they_wait() {
    let commit = Write::Commit(vec![
        Change::Put("AA1", "dropped"),
        Change::Put("BB1", "dropped"),
    ]);
    drop_everywhere(|store| {
        let commit = commit.clone();
        async move { commit.run(&store).await }
    })
    .await;
}

#[tokio::test]
async fn a_query_can_be_dropped_wherever_it_waits() {
    drop_everywhere(|store| async move {
        let mut entries = store.query(Query::new()).await.unwrap();
        while entries.next().await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn a_sync_and_a_close_can_be_dropped_wherever_they_wait() {
    drop_everywhere(|store| async move { store.sync().await }).await;
    for polls in 0..POLLS {
        let (disk, store) = SAFE.store_with(BEFORE).await;
        drop_after(polls, store.close()).await;
        store.close().await.unwrap();
        let model = Model::new(SAFE.durability, BEFORE);
        SAFE.check(&disk, &model, Loss::None).await;
    }
}

#[tokio::test]
async fn a_commit_that_is_dropped_takes_effect_as_a_whole_or_not_at_all() {
    let commit = Write::Commit(vec![
        Change::Put("AA1", "in a batch"),
        Change::Put("CC1", "in a batch"),
        Change::Delete("BB1"),
    ]);
    let mut model = Model::new(SAFE.durability, BEFORE);
    model.unacknowledged(&commit);
    for polls in 0..POLLS {
        let (disk, store) = SAFE.store_with(BEFORE).await;
        drop_after(polls, commit.run(&store)).await;
        let killed = disk.reboot(Loss::None);
        store.close().await.unwrap();
        SAFE.check(&disk, &model, Loss::None).await;
        SAFE.check(&killed, &model, Loss::None).await;
    }
}
