//! A full disk: which calls still work, and which report that it is full.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{below_temp, blocks, exact_usage, true_usage};
use super::model::StoreModel;
use super::setup::all_setups;
use crate::disk::Disk;
use crate::error::Error;
use crate::key::Key;
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk, Refusal};

const INITIAL: &[(&str, &str)] = &[("AA1", "one, as it was"), ("BB1", "three, as it was")];

/// Makes every operation fail that needs space.
fn full(disk: &FaultDisk) -> Refusal {
    disk.refuse(|op, _| {
        let takes_space = matches!(op, DiskOp::CreateDir | DiskOp::CreateFile | DiskOp::Write);
        takes_space.then_some(ErrorKind::StorageFull)
    })
}

/// Makes the write of the second half of each file fail.
fn full_halfway(disk: &FaultDisk) -> Refusal {
    let mut begun = HashSet::new();
    disk.refuse(move |op, path| {
        let is_second = op == DiskOp::Write && !begun.insert(path.to_owned());
        is_second.then_some(ErrorKind::StorageFull)
    })
}

#[tokio::test]
async fn a_put_reports_that_the_disk_is_full_and_leaves_nothing() {
    for setup in all_setups() {
        for full in [full, full_halfway] {
            let (disk, store) = setup.store_with(INITIAL).await;
            let full = full(&disk);
            for key in ["AA1", "AA2", "CC1"] {
                let error = StoreCall::Put(key, "too much")
                    .run(&store)
                    .await
                    .unwrap_err();
                assert!(error.is_full(), "{error}");
            }
            drop(full);
            let unchanged = StoreModel::new(setup.durability, INITIAL).live();
            assert_eq!(blocks(&store).await, unchanged);
            StoreCall::Put("CC1", "fits now").run(&store).await.unwrap();
            // Before the close there may be a temporary file of a checkpoint.
            store.close().await.unwrap();
            assert_eq!(below_temp(&disk), [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_batch_reports_that_the_disk_is_full_and_leaves_nothing() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let batch = store.batch().await.unwrap();
        let full = full_halfway(&disk);
        batch
            .put(&Key::new("CC1"), "too much".into())
            .await
            .unwrap();
        let error = batch.commit().await.unwrap_err();
        assert!(matches!(error, Error::BatchFailed { .. }), "{error}");
        assert!(error.is_full(), "{error}");
        drop(full);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
        let unchanged = StoreModel::new(setup.durability, INITIAL).live();
        assert_eq!(blocks(&setup.open(&disk).await).await, unchanged);
    }
}

#[tokio::test]
async fn a_commit_without_space_for_its_record_changes_nothing() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let batch = store.batch().await.unwrap();
        batch.put(&Key::new("CC1"), "fits".into()).await.unwrap();
        batch.delete(&Key::new("AA1")).await.unwrap();
        let full = disk.refuse(|op, path| {
            let is_record = op == DiskOp::CreateFile && !path.ends_with("CC1.data");
            is_record.then_some(ErrorKind::StorageFull)
        });
        let error = batch.commit().await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        drop(full);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
        let unchanged = StoreModel::new(setup.durability, INITIAL).live();
        assert_eq!(blocks(&setup.open(&disk).await).await, unchanged);
    }
}

#[tokio::test]
async fn a_commit_without_space_for_a_shard_changes_nothing() {
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("CC1", "four"),
        BatchWrite::Delete("AA1"),
    ]);
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let full = disk.refuse(|op, path| {
            let is_shard = op == DiskOp::CreateDir && path.ends_with("CC");
            is_shard.then_some(ErrorKind::StorageFull)
        });
        let error = commit.run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        drop(full);
        let unchanged = StoreModel::new(setup.durability, INITIAL).live();
        assert_eq!(blocks(&store).await, unchanged);
        assert_eq!(below_temp(&disk), [""; 0]);
        assert_eq!(store.disk_usage().await.unwrap().bytes, true_usage(&disk));
    }
}

#[tokio::test]
async fn a_commit_without_space_for_a_name_is_completed_when_there_is_space() {
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("CC1", "four"),
        BatchWrite::Delete("AA1"),
    ]);
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let full = disk.refuse(|op, path| {
            let is_block = op == DiskOp::Rename && path.ends_with("CC1.data");
            is_block.then_some(ErrorKind::StorageFull)
        });
        let error = commit.run(&store).await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        assert!(error.is_full(), "{error}");
        StoreCall::Delete("BB1").run(&store).await.unwrap();
        drop(full);
        store.sync().await.unwrap();
        let mut model = StoreModel::new(setup.durability, INITIAL);
        model.acknowledged(&commit);
        model.acknowledged(&StoreCall::Delete("BB1"));
        assert_eq!(blocks(&store).await, model.live());
        assert_eq!(store.disk_usage().await.unwrap().bytes, true_usage(&disk));
    }
}

#[tokio::test]
async fn deletes_work_on_a_full_disk() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let _full = full(&disk);
        StoreCall::Delete("AA1").run(&store).await.unwrap();
        store.sync().await.unwrap();
        assert!(!store.has(&Key::new("AA1")).await.unwrap());
    }
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_and_counts_its_usage_later() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        store.close().await.unwrap();
        let full = full(&disk);
        let store = setup.open(&disk).await;
        StoreCall::Delete("AA1").run(&store).await.unwrap();
        store.close().await.unwrap();
        drop(full);
        let store = setup.open(&disk).await;
        assert_eq!(exact_usage(&store).await.bytes, true_usage(&disk));
    }
}

#[tokio::test]
async fn a_crash_on_a_full_disk_leaves_no_stale_disk_usage() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        store.close().await.unwrap();
        let full = full(&disk);
        let store = setup.open(&disk).await;
        StoreCall::Delete("AA1").run(&store).await.unwrap();
        let disk_after = disk.reboot(DataLoss::None);
        drop(full);
        let store = setup.open(&disk_after).await;
        assert_eq!(exact_usage(&store).await.bytes, true_usage(&disk_after));
    }
}

#[tokio::test]
async fn a_disk_usage_that_is_saved_once_there_is_space_again_is_not_trusted_after_a_crash() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        store.close().await.unwrap();
        let full = full(&disk);
        let store = setup.open(&disk).await;
        // The count runs in the background.
        while store.store.saved_usage.is_stale() {
            tokio::task::yield_now().await;
        }
        assert!(disk.stat(unclean()).is_err());
        let saved = store.store.saved_usage.checkpoint();
        assert!(saved.unwrap_err().is_full());
        drop(full);
        store.store.saved_usage.checkpoint().unwrap();
        StoreCall::Put("CC1", "after it").run(&store).await.unwrap();
        let losses = (0..20).map(DataLoss::SomeUnflushed);
        for loss in losses.chain([DataLoss::None, DataLoss::AllUnflushed]) {
            let found = disk.reboot(loss);
            let has_figure = found.stat(Path::new("/disk/store/diskUsage.cache")).is_ok();
            assert!(!has_figure || found.stat(unclean()).is_ok(), "{loss:?}");
            let store = setup.open(&found).await;
            assert_eq!(exact_usage(&store).await.bytes, true_usage(&found));
        }
    }
}

fn unclean() -> &'static Path {
    Path::new("/disk/store/.unclean")
}
