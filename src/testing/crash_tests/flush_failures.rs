//! A failed flush is final: it is reported, and no later call reports the data as durable.

use std::io::ErrorKind;
use std::path::Path;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{below_temp, blocks};
use super::model::StoreModel;
use super::setup::{DURABLE, StoreSetup, all_setups, durable_with_and_without_syncfs};
use crate::disk::Disk;
use crate::error::Error;
use crate::store::{Durability, FlatFs};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk, Refusal};

const INITIAL: &[(&str, &str)] = &[("AA1", "one, as it was")];

fn failing_flush(disk: &FaultDisk, of: &'static str) -> Refusal {
    disk.refuse(move |op, path| {
        let is_flush = matches!(op, DiskOp::SyncFile | DiskOp::SyncDir | DiskOp::SyncAll);
        (is_flush && path.ends_with(of)).then_some(ErrorKind::Other)
    })
}

async fn assert_poisoned(store: &FlatFs) {
    for write in [
        StoreCall::Put("AA1", "again"),
        StoreCall::Delete("AA1"),
        StoreCall::Commit(vec![BatchWrite::Put("AA1", "again")]),
        StoreCall::Sync,
    ] {
        let error = write.run(store).await.unwrap_err();
        assert!(matches!(error, Error::FlushFailed { .. }), "{error}");
    }
    let error = store.close().await.unwrap_err();
    assert!(matches!(error, Error::FlushFailed { .. }), "{error}");
}

#[tokio::test]
async fn after_a_failed_flush_of_a_shard_no_later_call_reports_success() {
    for setup in durable_with_and_without_syncfs() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let failing = failing_flush(&disk, "AA");
        let error = StoreCall::Put("AA2", "two").run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
        drop(failing);
        assert_poisoned(&store).await;
    }
}

#[tokio::test]
async fn after_a_failed_flush_of_the_name_of_a_new_shard_no_later_call_reports_success() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let failing = failing_flush(&disk, "store");
    StoreCall::Put("CC1", "four").run(&store).await.unwrap_err();
    drop(failing);
    assert_poisoned(&store).await;
}

#[tokio::test]
async fn after_a_failed_sync_a_second_one_does_not_report_success() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let failing = failing_flush(&disk, "store");
        let error = store.sync().await.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        drop(failing);
        assert_poisoned(&store).await;
    }
}

/// [`Error::Full`] would tell the caller that deletes still work.
#[tokio::test]
async fn a_sync_that_fails_for_lack_of_space_is_not_reported_as_full() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let _refusal = disk.refuse(|op, _| (op == DiskOp::SyncAll).then_some(ErrorKind::StorageFull));
    let error = store.sync().await.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_poisoned(&store).await;
}

#[tokio::test]
async fn a_failed_flush_of_one_block_fails_only_its_put() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let failing = disk.refuse(|op, path| {
        let is_temp = path.starts_with("/disk/store/.temp");
        (op == DiskOp::SyncFile && is_temp).then_some(ErrorKind::Other)
    });
    StoreCall::Put("AA1", "one, but new")
        .run(&store)
        .await
        .unwrap_err();
    drop(failing);
    StoreCall::Put("AA2", "two").run(&store).await.unwrap();
    store.close().await.unwrap();
    let mut model = StoreModel::new(Durability::EveryWrite, INITIAL);
    model.acknowledged(&StoreCall::Put("AA2", "two"));
    DURABLE
        .check(
            &disk.reboot(DataLoss::AllUnflushed),
            &model,
            DataLoss::AllUnflushed,
        )
        .await;
}

/// The record may be durable although its flush failed. Then the blocks that it names must be durable too.
#[tokio::test]
async fn a_batch_whose_record_may_be_durable_stays_whole_or_absent() {
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
    ]);
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let mut batch_dir_flushes = 0;
    let failing = disk.refuse(move |op, path: &Path| {
        let is_batch = path.to_string_lossy().contains("batch-");
        if op == DiskOp::SyncDir && is_batch {
            batch_dir_flushes += 1;
        }
        (op == DiskOp::SyncDir && is_batch && batch_dir_flushes == 2).then_some(ErrorKind::Other)
    });
    commit.run(&store).await.unwrap_err();
    drop(failing);
    drop(store);
    let mut model = StoreModel::new(Durability::EveryWrite, INITIAL);
    model.unacknowledged(&commit);
    for seed in 0..100 {
        let loss = DataLoss::SomeUnflushed(seed);
        DURABLE.check(&disk.reboot(loss), &model, loss).await;
    }
}

#[tokio::test]
async fn a_lazy_put_of_an_existing_block_needs_no_flush() {
    let setup = StoreSetup {
        durability: Durability::OnSync,
        ..DURABLE
    };
    let (disk, store) = setup.store_with(&[("AA1", "one")]).await;
    let _refusal = disk.refuse(|op, _| {
        let flushes = matches!(op, DiskOp::SyncFile | DiskOp::SyncDir | DiskOp::SyncAll);
        flushes.then_some(ErrorKind::Other)
    });
    StoreCall::Put("AA1", "one").run(&store).await.unwrap();
    assert_eq!(below_temp(&disk), [""; 0]);
    StoreCall::Put("AA1", "two").run(&store).await.unwrap_err();
    assert_eq!(blocks(&store).await["AA1"], "one");
}

#[tokio::test]
async fn a_flush_that_panics_is_not_reported_as_a_success() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let is_shard = |op: DiskOp, path: &Path| op == DiskOp::SyncDir && path.ends_with("AA");
    let breakpoint = disk.set_breakpoint(is_shard);
    let first = StoreCall::Delete("AA1");
    let writes = [first, StoreCall::Delete("AA2"), StoreCall::Delete("AA3")];
    let writes = writes.map(|write| {
        let store = store.clone();
        tokio::spawn(async move { write.run(&store).await })
    });
    breakpoint.reached().await;
    let _refusal = disk.refuse(move |op, path| {
        assert!(!is_shard(op, path), "the disk panics");
        None
    });
    drop(breakpoint);
    for outcome in futures::future::join_all(writes).await {
        assert!(matches!(outcome.unwrap(), Err(Error::Runtime)));
    }
}

/// The failure to open a directory says nothing about the data.
#[tokio::test]
async fn a_directory_that_cannot_be_opened_to_flush_it_fails_only_the_writes_in_it() {
    for setup in durable_with_and_without_syncfs() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let missing = disk.refuse(|op, path| {
            (op == DiskOp::SyncDir && path.ends_with("AA")).then_some(ErrorKind::NotFound)
        });
        let error = StoreCall::Put("AA2", "two").run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
        StoreCall::Put("BB1", "three").run(&store).await.unwrap();
        drop(missing);
        StoreCall::Put("AA3", "four").run(&store).await.unwrap();
        store.sync().await.unwrap();
        store.close().await.unwrap();
    }
}

/// A record whose removal may not be durable could be applied over later writes.
#[tokio::test]
async fn a_batch_directory_that_cannot_be_opened_to_flush_it_poisons_the_store() {
    let commit = StoreCall::Commit(vec![BatchWrite::Put("AA1", "one, in a batch")]);
    // The first flush is that of the staged blocks, when nothing is committed; the second is that of the
    // record, the third that of its removal.
    for (flush, poisons) in [(1, false), (2, true), (3, true)] {
        let (disk, store) = DURABLE.store_with(INITIAL).await;
        let mut flushes = 0;
        let missing = disk.refuse(move |op, path: &Path| {
            let is_batch = path.to_string_lossy().contains("batch-");
            flushes += u32::from(op == DiskOp::SyncDir && is_batch);
            (op == DiskOp::SyncDir && is_batch && flushes == flush).then_some(ErrorKind::NotFound)
        });
        commit.run(&store).await.unwrap_err();
        drop(missing);
        let put = StoreCall::Put("CC1", "after it").run(&store).await;
        match put {
            Ok(()) => assert!(!poisons, "{flush}"),
            Err(error) => assert!(
                poisons && matches!(error, Error::FlushFailed { .. }),
                "{flush}: {error}"
            ),
        }
    }
}

#[tokio::test]
async fn a_lazy_put_creates_the_directory_of_temp_files_again() {
    let setup = StoreSetup {
        durability: Durability::OnSync,
        ..DURABLE
    };
    let (disk, store) = setup.store_with(&[]).await;
    disk.remove_dir(Path::new("/disk/store/.temp")).unwrap();
    StoreCall::Put("AA1", "one").run(&store).await.unwrap();
    assert_eq!(blocks(&store).await.len(), 1);
}
