//! Commits that fail, before and after their commit point.

use std::io::ErrorKind;

use super::fixture::{Change, SAFE, Setting, Write, below_temp, blocks, losses, settings, usage};
use super::model::Model;
use crate::error::Error;
use crate::store::{FlatFs, Purpose};
use crate::testing::fault_disk::{FaultDisk, Loss, Op, Refusal};

pub(super) const BEFORE: &[(&str, &str)] =
    &[("AA1", "one, as it was"), ("BB1", "three, as it was")];

pub(super) fn commit() -> Write {
    Write::Commit(vec![
        Change::Put("AA1", "one, in a batch"),
        Change::Put("CC1", "four, in a batch"),
        Change::Delete("BB1"),
    ])
}

/// Refuses the rename to any file of this name.
fn refusing_renames_to(disk: &FaultDisk, name: &'static str) -> Refusal {
    disk.refuse(move |op, path| {
        (op == Op::Rename && path.ends_with(name)).then_some(ErrorKind::Other)
    })
}

/// A store with a commit that stopped after its commit point, and what stops it still.
async fn incomplete(setting: Setting) -> (FaultDisk, FlatFs, Refusal) {
    let (disk, store) = setting.store_with(BEFORE).await;
    let refusal = refusing_renames_to(&disk, "CC1.data");
    let error = commit().run(&store).await.unwrap_err();
    assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
    let record = error.path().unwrap().to_owned();
    assert!(disk.read_live(record).is_some());
    (disk, store, refusal)
}

fn model(writes: &[Write]) -> Model {
    let mut model = Model::new(SAFE.durability, BEFORE);
    for write in writes {
        model.acknowledged(write);
    }
    model
}

#[tokio::test]
async fn a_commit_that_fails_before_its_commit_point_changes_nothing_and_is_gone() {
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let refusal = refusing_renames_to(&disk, "COMMIT");
        let error = commit().run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(blocks(&store).await, model(&[]).live());
        drop(refusal);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
    }
}

#[tokio::test]
async fn a_write_of_a_key_first_completes_the_commit_of_that_key() {
    for setting in settings() {
        let (disk, store, refusal) = incomplete(setting).await;
        let put = Write::Put("BB1", "three, back again");
        let error = put.run(&store).await.unwrap_err();
        // It must not be taken for its own being done.
        assert!(matches!(error, Error::EarlierCommit { .. }), "{error}");
        Write::Put("DD1", "of another key")
            .run(&store)
            .await
            .unwrap();
        drop(refusal);
        put.run(&store).await.unwrap();
        let written = [commit(), Write::Put("DD1", "of another key"), put];
        assert_eq!(blocks(&store).await, model(&written).live());
        assert_eq!(store.disk_usage().await.unwrap().bytes, usage(&disk));
        let found = disk.reboot(Loss::None);
        setting.check(&found, &model(&written), Loss::None).await;
    }
}

#[tokio::test]
async fn a_commit_first_completes_the_one_before_if_it_has_one_of_its_keys() {
    let (disk, store, refusal) = incomplete(SAFE).await;
    let apart = Write::Commit(vec![Change::Put("DD1", "of another key")]);
    apart.run(&store).await.unwrap();
    let other = Write::Commit(vec![Change::Delete("CC1"), Change::Put("EE1", "with it")]);
    let error = other.run(&store).await.unwrap_err();
    // It must not be taken for its own being committed.
    assert!(matches!(error, Error::EarlierCommit { .. }), "{error}");
    drop(refusal);
    other.run(&store).await.unwrap();
    let model = model(&[commit(), apart, other]);
    SAFE.check(&disk.reboot(Loss::All), &model, Loss::All).await;
}

#[tokio::test]
async fn a_sync_completes_a_commit() {
    for setting in settings() {
        let (disk, store, refusal) = incomplete(setting).await;
        let error = store.sync().await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        drop(refusal);
        store.sync().await.unwrap();
        assert_eq!(blocks(&store).await, model(&[commit()]).live());
        let found = disk.reboot(Loss::All);
        setting.check(&found, &model(&[commit()]), Loss::All).await;
    }
}

#[tokio::test]
async fn a_sync_makes_the_rest_durable_when_it_can_not_complete_a_commit() {
    for setting in settings() {
        let (disk, store, _refusal) = incomplete(setting).await;
        let put = Write::Put("DD1", "of another key");
        put.run(&store).await.unwrap();
        let error = store.sync().await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        let found = setting.recover(&disk.reboot(Loss::All)).await;
        assert!(found.contains_key("DD1"), "{setting:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_close_completes_a_commit() {
    for setting in settings() {
        let (disk, store, refusal) = incomplete(setting).await;
        drop(refusal);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
        setting.check(&disk, &model(&[commit()]), Loss::None).await;
    }
}

#[tokio::test]
async fn an_open_completes_a_commit_that_the_close_could_not() {
    for setting in settings() {
        let (disk, store, refusal) = incomplete(setting).await;
        let error = store.close().await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        let error = setting.begin(&disk, Purpose::Open).await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        drop(refusal);
        setting.check(&disk, &model(&[commit()]), Loss::None).await;
    }
}

#[tokio::test]
async fn a_record_whose_directory_stays_is_not_carried_out_again() {
    for setting in settings().filter(|setting| setting.durability == SAFE.durability) {
        let (disk, store) = setting.store_with(BEFORE).await;
        let _refusal = disk.refuse(|op, _| (op == Op::RemoveDir).then_some(ErrorKind::Other));
        let back = Write::Put("BB1", "three, back again");
        commit().run(&store).await.unwrap();
        back.run(&store).await.unwrap();
        let model = model(&[commit(), back]);
        for loss in losses(0, 20) {
            setting.check(&disk.reboot(loss), &model, loss).await;
        }
    }
}
