//! Commits that fail before or after their commit point.

use std::io::ErrorKind;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::data_losses;
use super::inspect::{below_temp, blocks, true_usage};
use super::model::StoreModel;
use super::setup::{DURABLE, StoreSetup, all_setups};
use crate::error::Error;
use crate::store::{FlatFs, Purpose};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk, Refusal};

pub(super) const INITIAL: &[(&str, &str)] =
    &[("AA1", "one, as it was"), ("BB1", "three, as it was")];

pub(super) fn commit() -> StoreCall {
    StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
        BatchWrite::Delete("BB1"),
    ])
}

/// Makes renames to files of this name fail.
fn refusing_renames_to(disk: &FaultDisk, name: &'static str) -> Refusal {
    disk.refuse(move |op, path| {
        (op == DiskOp::Rename && path.ends_with(name)).then_some(ErrorKind::Other)
    })
}

/// Returns a store with a commit that failed after its commit point, and the refusal that makes it fail.
async fn incomplete(setup: StoreSetup) -> (FaultDisk, FlatFs, Refusal) {
    let (disk, store) = setup.store_with(INITIAL).await;
    let refusal = refusing_renames_to(&disk, "CC1.data");
    let error = commit().run(&store).await.unwrap_err();
    assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
    let record = error.path().unwrap().to_owned();
    assert!(disk.read_live(record).is_some());
    (disk, store, refusal)
}

fn model(writes: &[StoreCall]) -> StoreModel {
    let mut model = StoreModel::new(DURABLE.durability, INITIAL);
    for write in writes {
        model.acknowledged(write);
    }
    model
}

#[tokio::test]
async fn a_commit_that_fails_before_its_commit_point_changes_nothing_and_leaves_nothing() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
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
async fn a_write_of_a_key_first_completes_a_pending_commit_of_that_key() {
    for setup in all_setups() {
        let (disk, store, refusal) = incomplete(setup).await;
        let put = StoreCall::Put("BB1", "three, back again");
        let error = put.run(&store).await.unwrap_err();
        // The caller must not mistake this for the success of its own write.
        assert!(matches!(error, Error::EarlierCommit { .. }), "{error}");
        StoreCall::Put("DD1", "of another key")
            .run(&store)
            .await
            .unwrap();
        drop(refusal);
        put.run(&store).await.unwrap();
        let written = [commit(), StoreCall::Put("DD1", "of another key"), put];
        assert_eq!(blocks(&store).await, model(&written).live());
        assert_eq!(store.disk_usage().await.unwrap().bytes, true_usage(&disk));
        let found = disk.reboot(DataLoss::None);
        setup.check(&found, &model(&written), DataLoss::None).await;
    }
}

#[tokio::test]
async fn a_commit_first_completes_the_one_before_if_it_has_one_of_its_keys() {
    let (disk, store, refusal) = incomplete(DURABLE).await;
    let apart = StoreCall::Commit(vec![BatchWrite::Put("DD1", "of another key")]);
    apart.run(&store).await.unwrap();
    let other = StoreCall::Commit(vec![
        BatchWrite::Delete("CC1"),
        BatchWrite::Put("EE1", "with it"),
    ]);
    let error = other.run(&store).await.unwrap_err();
    // The caller must not mistake this for `CommitIncomplete`, which says that its own batch is committed.
    assert!(matches!(error, Error::EarlierCommit { .. }), "{error}");
    drop(refusal);
    other.run(&store).await.unwrap();
    let model = model(&[commit(), apart, other]);
    DURABLE
        .check(
            &disk.reboot(DataLoss::AllUnflushed),
            &model,
            DataLoss::AllUnflushed,
        )
        .await;
}

#[tokio::test]
async fn a_sync_completes_a_commit() {
    for setup in all_setups() {
        let (disk, store, refusal) = incomplete(setup).await;
        let error = store.sync().await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        drop(refusal);
        store.sync().await.unwrap();
        assert_eq!(blocks(&store).await, model(&[commit()]).live());
        let found = disk.reboot(DataLoss::AllUnflushed);
        setup
            .check(&found, &model(&[commit()]), DataLoss::AllUnflushed)
            .await;
    }
}

#[tokio::test]
async fn a_sync_that_cannot_complete_a_commit_makes_everything_else_durable() {
    for setup in all_setups() {
        let (disk, store, _refusal) = incomplete(setup).await;
        let put = StoreCall::Put("DD1", "of another key");
        put.run(&store).await.unwrap();
        let error = store.sync().await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        let found = setup.recover(&disk.reboot(DataLoss::AllUnflushed)).await;
        assert!(found.contains_key("DD1"), "{setup:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_close_completes_a_commit() {
    for setup in all_setups() {
        let (disk, store, refusal) = incomplete(setup).await;
        drop(refusal);
        store.close().await.unwrap();
        assert_eq!(below_temp(&disk), [""; 0]);
        setup
            .check(&disk, &model(&[commit()]), DataLoss::None)
            .await;
    }
}

#[tokio::test]
async fn an_open_completes_a_commit_that_the_close_could_not() {
    for setup in all_setups() {
        let (disk, store, refusal) = incomplete(setup).await;
        let error = store.close().await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        let error = setup.open_as(&disk, Purpose::Open).await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        drop(refusal);
        setup
            .check(&disk, &model(&[commit()]), DataLoss::None)
            .await;
    }
}

#[tokio::test]
async fn a_commit_whose_directory_remains_is_not_applied_again() {
    for setup in all_setups().filter(|setup| setup.durability == DURABLE.durability) {
        let (disk, store) = setup.store_with(INITIAL).await;
        let _refusal = disk.refuse(|op, _| (op == DiskOp::RemoveDir).then_some(ErrorKind::Other));
        let back = StoreCall::Put("BB1", "three, back again");
        commit().run(&store).await.unwrap();
        back.run(&store).await.unwrap();
        let model = model(&[commit(), back]);
        for loss in data_losses(0, 20) {
            setup.check(&disk.reboot(loss), &model, loss).await;
        }
    }
}
