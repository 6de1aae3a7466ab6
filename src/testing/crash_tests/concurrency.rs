//! Concurrent calls: writes of a batch, group commits, commits and closes.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use futures::future::try_join_all;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::runtime::Builder;

use super::inspect::{TEMP_PREFIX, below_temp, count_operations, yield_to_pool};
use super::setup::{DURABLE, all_setups};
use crate::blocking;
use crate::error::Error;
use crate::format::BlockKey;
use crate::key::Key;
use crate::query::Query;
use crate::testing::fault_disk::DiskOp;

fn key(number: usize) -> Key {
    Key::new(format!("AA{number:02}"))
}

fn begins_staged_write(op: DiskOp, path: &Path) -> bool {
    op == DiskOp::CreateFile && path.to_string_lossy().contains("batch-")
}

#[tokio::test]
async fn concurrent_durable_puts_share_a_flush() {
    const PUTS: usize = 16;
    let (disk, store) = DURABLE.store_with(&[]).await;
    let (_guard, flushes) = count_operations(&disk, |op, _| {
        matches!(op, DiskOp::SyncFile | DiskOp::SyncAll)
    });
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::SyncFile);
    let put = |number| {
        let store = store.clone();
        tokio::spawn(async move { store.put(&key(number), "block".into()).await })
    };
    let mut puts = vec![put(0)];
    breakpoint.reached().await;
    puts.extend((1..PUTS).map(put));
    while store.store.group_commit.waiting() < PUTS - 1 {
        yield_to_pool().await;
    }
    drop(breakpoint);
    for put in try_join_all(puts).await.unwrap() {
        put.unwrap();
    }
    assert_eq!(flushes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_read_does_not_wait_for_queued_durable_puts() {
    let (disk, store) = DURABLE.store_with(&[("AA00", "block")]).await;
    let breakpoint = disk.set_breakpoint(|op, _| matches!(op, DiskOp::SyncFile | DiskOp::SyncAll));
    let puts = (1..=1000).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.put(&key(number), "block".into()).await })
    });
    let puts: Vec<_> = puts.collect();
    breakpoint.reached().await;
    while store.store.group_commit.waiting() < store.store.open_files.available() {
        yield_to_pool().await;
    }
    let block = key(0);
    let mut read = Box::pin(store.get(&block));
    let mut result = None;
    for _ in 0..100 {
        result = result.or_else(|| read.as_mut().now_or_never());
        if result.is_some() {
            break;
        }
        yield_to_pool().await;
    }
    assert_eq!(
        result.expect("the read must complete").unwrap().unwrap(),
        "block"
    );
    drop(breakpoint);
    for put in try_join_all(puts).await.unwrap() {
        put.unwrap();
    }
}

#[tokio::test]
async fn a_batch_runs_at_most_sixteen_writes_and_the_next_put_waits() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    let breakpoint = disk.set_breakpoint(begins_staged_write);
    for number in 0..16 {
        batch.put(&key(number), "block".into()).await.unwrap();
    }
    let next = key(16);
    let mut put = Box::pin(batch.put(&next, "block".into()));
    assert!(put.as_mut().now_or_never().is_none());
    yield_to_pool().await;
    assert!(put.as_mut().now_or_never().is_none());
    drop(breakpoint);
    put.await.unwrap();
    batch.commit().await.unwrap();
    assert!(store.has(&next).await.unwrap());
}

#[tokio::test]
async fn a_batch_reads_blocks_that_are_still_being_written_from_memory() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    let breakpoint = disk.set_breakpoint(begins_staged_write);
    batch.put(&key(1), "block".into()).await.unwrap();
    batch.put(&key(2), "other".into()).await.unwrap();
    batch.delete(&key(2)).await.unwrap();
    breakpoint.reached_by(2).await;
    let (written, deleted) = (key(1), key(2));
    let now = |read: Option<_>| read.expect("the read must not wait");
    let found: Result<_, Error> = now(batch.get(&written).now_or_never());
    assert_eq!(found.unwrap().unwrap(), "block");
    assert!(batch.has(&written).now_or_never().unwrap().unwrap());
    let size = batch.get_size(&written).now_or_never().unwrap();
    assert_eq!(size.unwrap(), Some(5));
    assert!(!batch.has(&deleted).now_or_never().unwrap().unwrap());
    let mut entries = batch.query(Query::new()).await.unwrap();
    let entry = entries.next().await.unwrap().unwrap();
    assert_eq!(entry.value.unwrap(), "block");
    drop(breakpoint);
    batch.discard().await.unwrap();
}

/// A batch may have millions of keys.
#[test]
fn a_query_and_a_commit_examine_the_keys_of_a_batch_on_the_blocking_pool() {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (_disk, store) = DURABLE.store_with(&[]).await;
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
        assert!(!store.store.key_locks.is_needed(&block));

        drop(go);
        commit.await.unwrap();
    });
}

#[tokio::test]
async fn every_later_call_of_a_batch_reports_its_first_failed_write() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    let refusal = disk
        .refuse(|op, path| begins_staged_write(op, path).then_some(ErrorKind::PermissionDenied));
    batch.put(&key(1), "block".into()).await.unwrap();
    while batch.has(&key(2)).await.is_ok() {
        yield_to_pool().await;
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
    for setup in all_setups() {
        let (disk, store) = setup.store_with(&[]).await;
        let batch = store.batch().await.unwrap();
        let breakpoint = disk.set_breakpoint(begins_staged_write);
        batch.put(&key(1), "block".into()).await.unwrap();
        let mut commit = Box::pin(batch.commit());
        assert!(commit.as_mut().now_or_never().is_none());
        let mut close = Box::pin(store.close());
        assert!(close.as_mut().now_or_never().is_none());
        drop(breakpoint);
        let (committed, closed) = futures::join!(commit, close);
        committed.unwrap();
        closed.unwrap();
        assert!(setup.open(&disk).await.has(&key(1)).await.unwrap());
    }
}

#[tokio::test]
async fn a_close_waits_for_a_commit_that_waits_for_another_write_of_its_key() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    batch.delete(&key(1)).await.unwrap();
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::CreateFile && path.starts_with(TEMP_PREFIX));
    let block = key(1);
    let mut put = Box::pin(store.put(&block, "block".into()));
    assert!(put.as_mut().now_or_never().is_none());
    let mut commit = Box::pin(batch.commit());
    assert!(commit.as_mut().now_or_never().is_none());
    let mut close = Box::pin(store.close());
    assert!(close.as_mut().now_or_never().is_none());
    drop(breakpoint);
    let (put, committed, closed) = futures::join!(put, commit, close);
    put.unwrap();
    committed.unwrap();
    closed.unwrap();
    assert!(!DURABLE.open(&disk).await.has(&block).await.unwrap());
}

/// A future is left unpolled by `select!`, for example.
#[tokio::test]
async fn a_close_does_not_wait_for_a_put_that_is_not_polled() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::Rename);
    let block = key(1);
    let mut first = Box::pin(store.put(&block, "one".into()));
    let mut left_behind = Box::pin(store.put(&block, "two".into()));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(left_behind.as_mut().now_or_never().is_none());
    drop(breakpoint);
    first.await.unwrap();
    let mut close = Box::pin(store.close());
    for _ in 0..100 {
        if let Some(closed) = close.as_mut().now_or_never() {
            closed.unwrap();
            assert!(left_behind.await.unwrap_err().is_closed());
            return;
        }
        yield_to_pool().await;
    }
    panic!("the close waits");
}

#[tokio::test]
async fn a_close_does_not_wait_for_a_batch_that_is_not_committed() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    batch.put(&key(1), "block".into()).await.unwrap();
    store.close().await.unwrap();
    assert!(batch.commit().await.unwrap_err().is_closed());
    let store = DURABLE.open(&disk).await;
    assert!(!store.has(&key(1)).await.unwrap());
    assert_eq!(below_temp(&disk), [""; 0]);
}

#[tokio::test]
async fn a_close_waits_until_failed_and_dropped_batches_are_removed() {
    for _ in 0..50 {
        let (disk, store) = DURABLE.store_with(&[]).await;
        let batch = store.batch().await.unwrap();
        let refusal = disk.refuse(|op, _| (op == DiskOp::Write).then_some(ErrorKind::Other));
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
async fn a_close_waits_until_the_directory_of_a_committed_batch_is_removed() {
    for _ in 0..50 {
        let (disk, store) = DURABLE.store_with(&[]).await;
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
async fn a_query_of_a_batch_continues_while_the_batch_is_committed() {
    let (disk, store) = DURABLE.store_with(&[]).await;
    let batch = store.batch().await.unwrap();
    for number in 0..4 {
        batch.put(&key(number), "block".into()).await.unwrap();
    }
    let entries = batch.query(Query::new()).await.unwrap();
    batch.commit().await.unwrap();
    while !below_temp(&disk).is_empty() {
        yield_to_pool().await;
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
    let (disk, store) = DURABLE.store_with(&[]).await;
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::RemoveFile && path.ends_with(".unclean"));
    let mut first = Box::pin(store.close());
    while breakpoint.arrived() == 0 {
        assert!(first.as_mut().now_or_never().is_none());
        yield_to_pool().await;
    }
    let mut second = Box::pin(store.close());
    for _ in 0..20 {
        assert!(second.as_mut().now_or_never().is_none());
        yield_to_pool().await;
    }
    drop((first, breakpoint));
    second.await.unwrap();
    DURABLE.open(&disk).await;
}
