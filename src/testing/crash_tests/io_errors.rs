//! An I/O error at every single step of every kind of write.

use std::io::ErrorKind;

use super::fixture::{Change, Setting, Tally, Write, below_temp, blocks, losses, settings, usage};
use super::model::Model;
use crate::error::Error;
use crate::testing::fault_disk::Loss;

const BEFORE: &[(&str, &str)] = &[
    ("AA1", "one, as it was"),
    ("AA2", "two, as it was"),
    ("BB1", "three, as it was"),
];

/// Lets each step of a write fail, and looks at what is there then, what a crash leaves of it, and
/// whether the store does its work afterwards.
async fn fail_everywhere(setting: Setting, write: &Write, tally: &mut Tally) {
    let base = setting.closed_with(BEFORE).await;
    for steps in 0.. {
        let disk = base.reboot(Loss::None);
        let store = setting.open(&disk).await;
        let before = disk.steps();
        disk.fail_after(steps, ErrorKind::Other);
        let written = write.run(&store).await;
        if disk.steps() - before <= steps {
            return;
        }
        tally.points += 1;
        let context = format!("{setting:?}, step {steps} of {write:?}, {written:?}");

        let failed = written.is_err();
        let mut model = Model::new(setting.durability, BEFORE);
        match written {
            Ok(()) => model.acknowledged(write),
            Err(_) => model.unacknowledged(write),
        }
        for loss in losses(steps, 2) {
            setting.check(&disk.reboot(loss), &model, loss).await;
            tally.survived(loss);
        }

        let whole = {
            let mut model = Model::new(setting.durability, BEFORE);
            model.acknowledged(write);
            model.live()
        };
        let again = write.run(&store).await;
        match again {
            Ok(()) => {
                assert_eq!(blocks(&store).await, whole, "{context}");
                store.sync().await.unwrap();
                let cut = Loss::All;
                let mut model = Model::new(setting.durability, BEFORE);
                model.acknowledged(write);
                model.acknowledged(&Write::Sync);
                setting.check(&disk.reboot(cut), &model, cut).await;
                tally.survived(cut);
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
        assert_eq!(figure, usage(&disk), "{context}");
        let closed = store.close().await;
        if failed && closed.is_ok() {
            assert_eq!(below_temp(&disk), [""; 0], "{context}");
        }
    }
}

async fn fail_everywhere_in_all_settings(what: &str, write: &Write) {
    let mut tally = Tally::default();
    for setting in settings() {
        fail_everywhere(setting, write, &mut tally).await;
    }
    tally.print(what);
}

#[tokio::test]
async fn a_put_that_fails_at_any_step_changes_nothing_or_says_that_a_flush_failed() {
    fail_everywhere_in_all_settings("put, failing", &Write::Put("CC1", "four")).await;
}

#[tokio::test]
async fn an_overwrite_that_fails_at_any_step_leaves_one_of_the_blocks() {
    let overwrite = Write::Put("AA1", "one, but new");
    fail_everywhere_in_all_settings("overwrite, failing", &overwrite).await;
}

#[tokio::test]
async fn a_delete_that_fails_at_any_step_is_done_or_not() {
    fail_everywhere_in_all_settings("delete, failing", &Write::Delete("AA1")).await;
}

#[tokio::test]
async fn a_commit_that_fails_at_any_step_is_whole_or_absent() {
    let small = Write::Commit(vec![
        Change::Put("AA1", "one, in a batch"),
        Change::Put("CC1", "four, in a batch"),
        Change::Delete("BB1"),
    ]);
    fail_everywhere_in_all_settings("small commit, failing", &small).await;
}

#[tokio::test]
async fn a_large_commit_that_fails_at_any_step_is_whole_or_absent() {
    let large = Write::Commit(vec![
        Change::Put("AA1", "one, in a batch"),
        Change::Put("AA3", "five, in a batch"),
        Change::Put("BB2", "six, in a batch"),
        Change::Put("CC1", "four, in a batch"),
        Change::Put("DD1", "eight, in a batch"),
        Change::Delete("BB1"),
    ]);
    fail_everywhere_in_all_settings("large commit, failing", &large).await;
}
