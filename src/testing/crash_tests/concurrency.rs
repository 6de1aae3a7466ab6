//! What happens at the same time: writes of a batch, flushes, a close.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use futures::future::try_join_all;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::runtime::Builder;

use super::fixture::{SAFE, TEMP, below_temp, counting, pool_turn, settings};
use crate::blocking;
use crate::error::Error;
use crate::format::BlockKey;
use crate::key::Key;
use crate::query::Query;
use crate::testing::fault_disk::Op;

fn key(number: usize) -> Key {
    Key::new(format!("AA{number:02}"))
}

fn begins_staged_write(op: Op, path: &Path) -> bool {
    op == Op::CreateFile && path.to_string_lossy().contains("batch-")
}

#[tokio::test]
async fn durable_puts_at_the_same_time_share_a_flush() {
    const PUTS: usize = 16;
    let (disk, store) = SAFE.store_with(&[]).await;
    let (_guard, flushes) = counting(&disk, |op, _| matches!(op, Op::SyncFile | Op::SyncAll));
    let held = disk.hold(|op, _| op == Op::SyncFile);
    let put = |number| {
        let store = store.clone();
        tokio::spawn(async move { store.put(&key(number), "block".into()).await })
    };
    let mut puts = vec![put(0)];
    held.reached().await;
    puts.extend((1..PUTS).map(put));
    while store.store.durable_crew.waiting() < PUTS - 1 {
        pool_turn().await;
    }
    drop(held);
    for put in try_join_all(puts).await.unwrap() {
        put.unwrap();
    }
    assert_eq!(flushes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_read_does_not_wait_for_durable_puts_that_queue() {
    let (disk, store) = SAFE.store_with(&[("AA00", "block")]).await;
    let held = disk.hold(|op, _| matches!(op, Op::SyncFile | Op::SyncAll));
    let puts = (1..=1000).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.put(&key(number), "block".into()).await })
    });
    let puts: Vec<_> = puts.collect();
    held.reached().await;
    while store.store.durable_crew.waiting() < store.store.file_permits() {
        pool_turn().await;
    }
    let block = key(0);
    let mut read = Box::pin(store.get(&block));
    let mut answer = None;
    for _ in 0..100 {
        answer = answer.or_else(|| read.as_mut().now_or_never());
        if answer.is_some() {
            break;
        }
        pool_turn().await;
    }
    assert_eq!(answer.expect("it is answered").unwrap().unwrap(), "block");
    drop(held);
    for put in try_join_all(puts).await.unwrap() {
        put.unwrap();
    }
}

#[tokio::test]
async fn a_batch_has_sixteen_writes_under_way_and_its_next_put_waits() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    let held = disk.hold(begins_staged_write);
    for number in 0..16 {
        batch.put(&key(number), "block".into()).await.unwrap();
    }
    let next = key(16);
    let mut put = Box::pin(batch.put(&next, "block".into()));
    assert!(put.as_mut().now_or_never().is_none());
    pool_turn().await;
    assert!(put.as_mut().now_or_never().is_none());
    drop(held);
    put.await.unwrap();
    batch.commit().await.unwrap();
    assert!(store.has(&next).await.unwrap());
}

#[tokio::test]
async fn a_batch_reads_what_is_still_being_written_from_memory() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    let held = disk.hold(begins_staged_write);
    batch.put(&key(1), "block".into()).await.unwrap();
    batch.put(&key(2), "other".into()).await.unwrap();
    batch.delete(&key(2)).await.unwrap();
    held.reached_by(2).await;
    let (written, deleted) = (key(1), key(2));
    let now = |read: Option<_>| read.expect("it waits for nothing");
    let found: Result<_, Error> = now(batch.get(&written).now_or_never());
    assert_eq!(found.unwrap().unwrap(), "block");
    assert!(batch.has(&written).now_or_never().unwrap().unwrap());
    let size = batch.get_size(&written).now_or_never().unwrap();
    assert_eq!(size.unwrap(), Some(5));
    assert!(!batch.has(&deleted).now_or_never().unwrap().unwrap());
    let mut entries = batch.query(Query::new()).await.unwrap();
    let entry = entries.next().await.unwrap().unwrap();
    assert_eq!(entry.value.unwrap(), "block");
    drop(held);
    batch.discard().await.unwrap();
}

/// It may have millions of them.
#[test]
fn a_query_and_a_commit_look_at_the_keys_of_a_batch_on_the_pool() {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (_disk, store) = SAFE.store_with(&[]).await;
        let batch = store.batch().await.unwrap();
        batch.delete(&key(1)).await.unwrap();
        let (go, gone) = mpsc::channel::<()>();
        let mut busy = Box::pin(blocking::run(move || Ok(gone.recv())));
        assert!(busy.as_mut().now_or_never().is_none());

        let query = batch.query(Query::new()).now_or_never();
        assert!(query.is_none());
        let mut commit = Box::pin(batch.commit());
        assert!(commit.as_mut().now_or_never().is_none());
        let block = BlockKey::new(&key(1)).unwrap();
        assert!(!store.store.turns.is_taken(&block));

        drop(go);
        commit.await.unwrap();
    });
}

#[tokio::test]
async fn the_first_failed_write_of_a_batch_is_what_every_later_call_says() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    let refusal = disk
        .refuse(|op, path| begins_staged_write(op, path).then_some(ErrorKind::PermissionDenied));
    batch.put(&key(1), "block".into()).await.unwrap();
    while batch.has(&key(2)).await.is_ok() {
        pool_turn().await;
    }
    drop(refusal);
    let errors = [
        batch.put(&key(3), "block".into()).await.unwrap_err(),
        batch.delete(&key(3)).await.unwrap_err(),
        batch.get(&key(1)).await.unwrap_err(),
        batch.get_size(&key(1)).await.unwrap_err(),
        batch.query(Query::new()).await.map(drop).unwrap_err(),
        batch.commit().await.unwrap_err(),
    ];
    for error in errors {
        let Error::BatchFailed { source } = &error else {
            panic!("{error}");
        };
        let kind = source.io_error().unwrap().kind();
        assert_eq!(kind, ErrorKind::PermissionDenied);
    }
    store.close().await.unwrap();
    assert_eq!(below_temp(&disk), [""; 0]);
}

#[tokio::test]
async fn a_close_waits_for_a_commit_that_waits_for_its_writes() {
    for setting in settings() {
        let (disk, store) = setting.store_with(&[]).await;
        let batch = store.batch().await.unwrap();
        let held = disk.hold(begins_staged_write);
        batch.put(&key(1), "block".into()).await.unwrap();
        let mut commit = Box::pin(batch.commit());
        assert!(commit.as_mut().now_or_never().is_none());
        let mut close = Box::pin(store.close());
        assert!(close.as_mut().now_or_never().is_none());
        drop(held);
        let (committed, closed) = futures::join!(commit, close);
        committed.unwrap();
        closed.unwrap();
        assert!(setting.open(&disk).await.has(&key(1)).await.unwrap());
    }
}

#[tokio::test]
async fn a_close_waits_for_a_commit_that_waits_for_another_write_of_its_key() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    batch.delete(&key(1)).await.unwrap();
    let held = disk.hold(|op, path| op == Op::CreateFile && path.starts_with(TEMP));
    let block = key(1);
    let mut put = Box::pin(store.put(&block, "block".into()));
    assert!(put.as_mut().now_or_never().is_none());
    let mut commit = Box::pin(batch.commit());
    assert!(commit.as_mut().now_or_never().is_none());
    let mut close = Box::pin(store.close());
    assert!(close.as_mut().now_or_never().is_none());
    drop(held);
    let (put, committed, closed) = futures::join!(put, commit, close);
    put.unwrap();
    committed.unwrap();
    closed.unwrap();
    assert!(!SAFE.open(&disk).await.has(&block).await.unwrap());
}

/// As one that `select!` has left behind.
#[tokio::test]
async fn a_close_does_not_wait_for_a_put_that_nobody_polls() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let held = disk.hold(|op, _| op == Op::Rename);
    let block = key(1);
    let mut first = Box::pin(store.put(&block, "one".into()));
    let mut left_behind = Box::pin(store.put(&block, "two".into()));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(left_behind.as_mut().now_or_never().is_none());
    drop(held);
    first.await.unwrap();
    let mut close = Box::pin(store.close());
    for _ in 0..100 {
        if let Some(closed) = close.as_mut().now_or_never() {
            closed.unwrap();
            assert!(left_behind.await.unwrap_err().is_closed());
            return;
        }
        pool_turn().await;
    }
    panic!("it waits");
}

#[tokio::test]
async fn a_close_does_not_wait_for_a_batch_that_is_not_committed() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    batch.put(&key(1), "block".into()).await.unwrap();
    store.close().await.unwrap();
    assert!(batch.commit().await.unwrap_err().is_closed());
    let store = SAFE.open(&disk).await;
    assert!(!store.has(&key(1)).await.unwrap());
    assert_eq!(below_temp(&disk), [""; 0]);
}

#[tokio::test]
async fn a_close_waits_until_batches_that_came_to_nothing_are_gone() {
    for _ in 0..50 {
        let (disk, store) = SAFE.store_with(&[]).await;
        let batch = store.batch().await.unwrap();
        let refusal = disk.refuse(|op, _| (op == Op::Write).then_some(ErrorKind::Other));
        for number in 0..4 {
            batch.put(&key(number), "block".into()).await.unwrap_or(());
        }
        batch.commit().await.unwrap_err();
        drop(refusal);
        let dropped = store.batch().await.unwrap();
        dropped.put(&key(1), "block".into()).await.unwrap();
        drop(dropped);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
    }
}

#[tokio::test]
async fn a_close_waits_until_the_rest_of_a_committed_batch_is_gone() {
    for _ in 0..50 {
        let (disk, store) = SAFE.store_with(&[]).await;
        let batch = store.batch().await.unwrap();
        for number in 0..4 {
            batch.put(&key(number), "block".into()).await.unwrap();
        }
        let mut entries = batch.query(Query::new()).await.unwrap();
        assert!(entries.next().await.unwrap().is_ok());
        batch.commit().await.unwrap();
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
        drop(entries);
    }
}

#[tokio::test]
async fn a_query_through_a_batch_goes_on_while_the_batch_is_committed() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    for number in 0..4 {
        batch.put(&key(number), "block".into()).await.unwrap();
    }
    let entries = batch.query(Query::new()).await.unwrap();
    batch.commit().await.unwrap();
    while !below_temp(&disk).is_empty() {
        pool_turn().await;
    }
    let found: Vec<_> = entries.try_collect().await.unwrap();
    assert_eq!(found.len(), 4);
    assert!(
        found
            .iter()
            .all(|entry| entry.value.as_deref() == Some(b"block"))
    );
}

#[tokio::test]
async fn a_second_close_waits_for_the_first() {
    let (disk, store) = SAFE.store_with(&[]).await;
    let held = disk.hold(|op, path| op == Op::RemoveFile && path.ends_with(".unclean"));
    let mut first = Box::pin(store.close());
    while held.arrived() == 0 {
        assert!(first.as_mut().now_or_never().is_none());
        pool_turn().await;
    }
    let mut second = Box::pin(store.close());
    for _ in 0..20 {
        assert!(second.as_mut().now_or_never().is_none());
        pool_turn().await;
    }
    drop((first, held));
    second.await.unwrap();
    SAFE.open(&disk).await;
}
