//! What goes on a full disk, and what says that it is full.

use std::collections::HashSet;
use std::io::ErrorKind;

use super::fixture::{Change, Write, below_temp, blocks, counted, settings, usage};
use super::model::Model;
use crate::error::Error;
use crate::key::Key;
use crate::testing::fault_disk::{FaultDisk, Loss, Op, Refusal};

const BEFORE: &[(&str, &str)] = &[("AA1", "one, as it was"), ("BB1", "three, as it was")];

/// Refuses whatever takes space.
fn full(disk: &FaultDisk) -> Refusal {
    disk.refuse(|op, _| {
        let takes_space = matches!(op, Op::CreateDir | Op::CreateFile | Op::Write);
        takes_space.then_some(ErrorKind::StorageFull)
    })
}

/// Refuses the second half of a file's contents.
fn full_halfway(disk: &FaultDisk) -> Refusal {
    let mut begun = HashSet::new();
    disk.refuse(move |op, path| {
        let is_second = op == Op::Write && !begun.insert(path.to_owned());
        is_second.then_some(ErrorKind::StorageFull)
    })
}

#[tokio::test]
async fn a_put_says_that_the_disk_is_full_and_leaves_nothing_behind() {
    for setting in settings() {
        for full in [full, full_halfway] {
            let (disk, store) = setting.store_with(BEFORE).await;
            let full = full(&disk);
            for key in ["AA1", "AA2", "CC1"] {
                let error = Write::Put(key, "too much").run(&store).await.unwrap_err();
                assert!(error.is_full(), "{error}");
            }
            drop(full);
            let unchanged = Model::new(setting.durability, BEFORE).live();
            assert_eq!(blocks(&store).await, unchanged);
            Write::Put("CC1", "fits now").run(&store).await.unwrap();
            // Until then there may be one of a checkpoint.
            store.close().await.unwrap();
            assert_eq!(below_temp(&disk), [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_batch_says_that_the_disk_is_full_and_leaves_nothing_behind() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
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
        let unchanged = Model::new(setting.durability, BEFORE).live();
        assert_eq!(blocks(&setting.open(&disk).await).await, unchanged);
    }
}

#[tokio::test]
async fn a_commit_says_that_the_disk_is_too_full_for_its_record_and_changes_nothing() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let batch = store.batch().await.unwrap();
        batch.put(&Key::new("CC1"), "fits".into()).await.unwrap();
        batch.delete(&Key::new("AA1")).await.unwrap();
        let full = disk.refuse(|op, path| {
            let is_record = op == Op::CreateFile && !path.ends_with("CC1.data");
            is_record.then_some(ErrorKind::StorageFull)
        });
        let error = batch.commit().await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        drop(full);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
        let unchanged = Model::new(setting.durability, BEFORE).live();
        assert_eq!(blocks(&setting.open(&disk).await).await, unchanged);
    }
}

#[tokio::test]
async fn a_commit_that_finds_no_room_for_a_shard_changes_nothing() {
    let commit = Write::Commit(vec![Change::Put("CC1", "four"), Change::Delete("AA1")]);
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let full = disk.refuse(|op, path| {
            let is_shard = op == Op::CreateDir && path.ends_with("CC");
            is_shard.then_some(ErrorKind::StorageFull)
        });
        let error = commit.run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        drop(full);
        let unchanged = Model::new(setting.durability, BEFORE).live();
        assert_eq!(blocks(&store).await, unchanged);
        assert_eq!(below_temp(&disk), [""; 0]);
        assert_eq!(store.disk_usage().await.unwrap().bytes, usage(&disk));
    }
}

#[tokio::test]
async fn a_commit_that_finds_no_room_for_a_name_is_completed_when_there_is() {
    let commit = Write::Commit(vec![Change::Put("CC1", "four"), Change::Delete("AA1")]);
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let full = disk.refuse(|op, path| {
            let is_block = op == Op::Rename && path.ends_with("CC1.data");
            is_block.then_some(ErrorKind::StorageFull)
        });
        let error = commit.run(&store).await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        assert!(error.is_full(), "{error}");
        Write::Delete("BB1").run(&store).await.unwrap();
        drop(full);
        store.sync().await.unwrap();
        let mut model = Model::new(setting.durability, BEFORE);
        model.acknowledged(&commit);
        model.acknowledged(&Write::Delete("BB1"));
        assert_eq!(blocks(&store).await, model.live());
        assert_eq!(store.disk_usage().await.unwrap().bytes, usage(&disk));
    }
}

#[tokio::test]
async fn deletes_work_on_a_full_disk() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let _full = full(&disk);
        Write::Delete("AA1").run(&store).await.unwrap();
        store.sync().await.unwrap();
        assert!(!store.has(&Key::new("AA1")).await.unwrap());
    }
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_and_its_usage_is_counted_after_that() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        store.close().await.unwrap();
        let full = full(&disk);
        let store = setting.open(&disk).await;
        Write::Delete("AA1").run(&store).await.unwrap();
        store.close().await.unwrap();
        drop(full);
        let store = setting.open(&disk).await;
        assert_eq!(counted(&store).await.bytes, usage(&disk));
    }
}

#[tokio::test]
async fn a_crash_on_a_full_disk_leaves_no_stale_usage_behind() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        store.close().await.unwrap();
        let full = full(&disk);
        let store = setting.open(&disk).await;
        Write::Delete("AA1").run(&store).await.unwrap();
        let disk_after = disk.reboot(Loss::None);
        drop(full);
        let store = setting.open(&disk_after).await;
        assert_eq!(counted(&store).await.bytes, usage(&disk_after));
    }
}
