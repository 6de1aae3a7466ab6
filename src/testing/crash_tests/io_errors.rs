//! An I/O error at each step of every kind of write.

use std::io::ErrorKind;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::{CrashCounts, data_losses};
use super::inspect::{below_temp, blocks, true_usage};
use super::model::StoreModel;
use super::setup::{StoreSetup, all_setups};
use crate::error::Error;
use crate::testing::fault_disk::DataLoss;

const INITIAL: &[(&str, &str)] = &[
    ("AA1", "one, as it was"),
    ("AA2", "two, as it was"),
    ("BB1", "three, as it was"),
];

/// Makes each step of a call fail. Checks the blocks after the failure, the blocks after a crash, and that
/// the store works afterwards.
async fn fail_everywhere(setup: StoreSetup, write: &StoreCall, counts: &mut CrashCounts) {
    let base = setup.closed_with(INITIAL).await;
    for steps in 0.. {
        let disk = base.reboot(DataLoss::None);
        let store = setup.open(&disk).await;
        let before = disk.steps();
        disk.fail_after(steps, ErrorKind::Other);
        let written = write.run(&store).await;
        if disk.steps() - before <= steps {
            return;
        }
        counts.crash_points += 1;
        let context = format!("{setup:?}, step {steps} of {write:?}, {written:?}");

        let failed = written.is_err();
        let mut model = StoreModel::new(setup.durability, INITIAL);
        match written {
            Ok(()) => model.acknowledged(write),
            Err(_) => model.unacknowledged(write),
        }
        for loss in data_losses(steps, 2) {
            setup.check(&disk.reboot(loss), &model, loss).await;
            counts.survived(loss);
        }

        let whole = {
            let mut model = StoreModel::new(setup.durability, INITIAL);
            model.acknowledged(write);
            model.live()
        };
        let again = write.run(&store).await;
        match again {
            Ok(()) => {
                assert_eq!(blocks(&store).await, whole, "{context}");
                store.sync().await.unwrap();
                let cut = DataLoss::AllUnflushed;
                let mut model = StoreModel::new(setup.durability, INITIAL);
                model.acknowledged(write);
                model.acknowledged(&StoreCall::Sync);
                setup.check(&disk.reboot(cut), &model, cut).await;
                counts.survived(cut);
            }
            Err(error) => {
                assert!(
                    matches!(error, Error::FlushFailed { .. }),
                    "{context}: {error}"
                );
                let synced = store.sync().await;
                assert!(
                    matches!(synced, Err(Error::FlushFailed { .. })),
                    "{context}"
                );
            }
        }
        let figure = store.disk_usage().await.unwrap().bytes;
        assert_eq!(figure, true_usage(&disk), "{context}");
        let closed = store.close().await;
        if failed && closed.is_ok() {
            assert_eq!(below_temp(&disk), [""; 0], "{context}");
        }
    }
}

async fn fail_everywhere_in_all_setups(what: &str, write: &StoreCall) {
    let mut counts = CrashCounts::default();
    for setup in all_setups() {
        fail_everywhere(setup, write, &mut counts).await;
    }
    counts.print(what);
}

#[tokio::test]
async fn a_put_that_fails_at_any_step_changes_nothing_or_reports_a_failed_flush() {
    fail_everywhere_in_all_setups("put, failing", &StoreCall::Put("CC1", "four")).await;
}

#[tokio::test]
async fn an_overwrite_that_fails_at_any_step_leaves_one_of_the_blocks() {
    let overwrite = StoreCall::Put("AA1", "one, but new");
    fail_everywhere_in_all_setups("overwrite, failing", &overwrite).await;
}

#[tokio::test]
async fn a_delete_that_fails_at_any_step_is_complete_or_has_no_effect() {
    fail_everywhere_in_all_setups("delete, failing", &StoreCall::Delete("AA1")).await;
}

#[tokio::test]
async fn a_commit_that_fails_at_any_step_is_whole_or_absent() {
    let small = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
        BatchWrite::Delete("BB1"),
    ]);
    fail_everywhere_in_all_setups("small commit, failing", &small).await;
}

#[tokio::test]
async fn a_large_commit_that_fails_at_any_step_is_whole_or_absent() {
    let large = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("AA3", "five, in a batch"),
        BatchWrite::Put("BB2", "six, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
        BatchWrite::Put("DD1", "eight, in a batch"),
        BatchWrite::Delete("BB1"),
    ]);
    fail_everywhere_in_all_setups("large commit, failing", &large).await;
}
