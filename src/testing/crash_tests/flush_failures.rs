//! A failed flush is final.

use std::io::ErrorKind;
use std::path::Path;

use super::fixture::{
    Change, SAFE, Setting, Write, below_temp, blocks, safe_with_and_without_syncfs, settings,
};
use super::model::Model;
use crate::error::Error;
use crate::store::{Durability, FlatFs};
use crate::testing::fault_disk::{FaultDisk, Loss, Op, Refusal};

const BEFORE: &[(&str, &str)] = &[("AA1", "one, as it was")];

fn failing_flush(disk: &FaultDisk, of: &'static str) -> Refusal {
    disk.refuse(move |op, path| {
        let is_flush = matches!(op, Op::SyncFile | Op::SyncDir | Op::SyncAll);
        (is_flush && path.ends_with(of)).then_some(ErrorKind::Other)
    })
}

async fn assert_distrusted(store: &FlatFs) {
    for write in [
        Write::Put("AA1", "again"),
        Write::Delete("AA1"),
        Write::Commit(vec![Change::Put("AA1", "again")]),
        Write::Sync,
    ] {
        let error = write.run(store).await.unwrap_err();
        assert!(matches!(error, Error::FlushFailed { .. }), "{error}");
    }
    let error = store.close().await.unwrap_err();
    assert!(matches!(error, Error::FlushFailed { .. }), "{error}");
}

#[tokio::test]
async fn after_a_failed_flush_of_a_shard_nothing_is_said_to_be_durable_any_more() {
    for setting in safe_with_and_without_syncfs() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let failing = failing_flush(&disk, "AA");
        let error = Write::Put("AA2", "two").run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
        drop(failing);
        assert_distrusted(&store).await;
    }
}

#[tokio::test]
async fn after_a_failed_flush_of_a_new_shard_s_name_nothing_is_said_to_be_durable_any_more() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let failing = failing_flush(&disk, "store");
    Write::Put("CC1", "four").run(&store).await.unwrap_err();
    drop(failing);
    assert_distrusted(&store).await;
}

#[tokio::test]
async fn a_sync_that_failed_is_not_retried_into_a_success() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let failing = failing_flush(&disk, "store");
        let error = store.sync().await.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        drop(failing);
        assert_distrusted(&store).await;
    }
}

/// That would say that blocks can still be deleted.
#[tokio::test]
async fn a_sync_that_failed_for_want_of_space_is_not_full() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let _refusal = disk.refuse(|op, _| (op == Op::SyncAll).then_some(ErrorKind::StorageFull));
    let error = store.sync().await.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_distrusted(&store).await;
}

#[tokio::test]
async fn a_failed_flush_of_one_block_is_its_put_s_own_failure() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let failing = disk.refuse(|op, path| {
        let is_temp = path.starts_with("/disk/store/.temp");
        (op == Op::SyncFile && is_temp).then_some(ErrorKind::Other)
    });
    Write::Put("AA1", "one, but new")
        .run(&store)
        .await
        .unwrap_err();
    drop(failing);
    Write::Put("AA2", "two").run(&store).await.unwrap();
    store.close().await.unwrap();
    let mut model = Model::new(Durability::EveryWrite, BEFORE);
    model.acknowledged(&Write::Put("AA2", "two"));
    SAFE.check(&disk.reboot(Loss::All), &model, Loss::All).await;
}

/// The record may be durable although its flush failed, and then what it speaks of must be.
#[tokio::test]
async fn a_batch_whose_record_may_be_durable_stays_whole_or_absent() {
    let commit = Write::Commit(vec![
        Change::Put("AA1", "one, in a batch"),
        Change::Put("CC1", "four, in a batch"),
    ]);
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let mut batch_dir_flushes = 0;
    let failing = disk.refuse(move |op, path: &Path| {
        let is_batch = path.to_string_lossy().contains("batch-");
        if op == Op::SyncDir && is_batch {
            batch_dir_flushes += 1;
        }
        (op == Op::SyncDir && is_batch && batch_dir_flushes == 2).then_some(ErrorKind::Other)
    });
    commit.run(&store).await.unwrap_err();
    drop(failing);
    drop(store);
    let mut model = Model::new(Durability::EveryWrite, BEFORE);
    model.unacknowledged(&commit);
    for seed in 0..100 {
        let loss = Loss::Some(seed);
        SAFE.check(&disk.reboot(loss), &model, loss).await;
    }
}

#[tokio::test]
async fn a_lazy_put_of_what_is_there_already_needs_no_flush() {
    let setting = Setting {
        durability: Durability::OnSync,
        ..SAFE
    };
    let (disk, store) = setting.store_with(&[("AA1", "one")]).await;
    let _refusal = disk.refuse(|op, _| {
        let flushes = matches!(op, Op::SyncFile | Op::SyncDir | Op::SyncAll);
        flushes.then_some(ErrorKind::Other)
    });
    Write::Put("AA1", "one").run(&store).await.unwrap();
    assert_eq!(below_temp(&disk), [""; 0]);
    Write::Put("AA1", "two").run(&store).await.unwrap_err();
    assert_eq!(blocks(&store).await["AA1"], "one");
}

#[tokio::test]
async fn nobody_takes_a_flush_that_panicked_for_a_success() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let is_shard = |op: Op, path: &Path| op == Op::SyncDir && path.ends_with("AA");
    let held = disk.hold(is_shard);
    let first = Write::Delete("AA1");
    let writes = [first, Write::Delete("AA2"), Write::Delete("AA3")];
    let writes = writes.map(|write| {
        let store = store.clone();
        tokio::spawn(async move { write.run(&store).await })
    });
    held.reached().await;
    let _refusal = disk.refuse(move |op, path| {
        assert!(!is_shard(op, path), "the disk panics");
        None
    });
    drop(held);
    for outcome in futures::future::join_all(writes).await {
        assert!(matches!(outcome.unwrap(), Err(Error::Runtime)));
    }
}
