//! A crash or a failure at each step of a conversion and of a recount.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::{CrashCounts, data_losses};
use super::inspect::{BlockMap, STORE_PATH, blocks, exact_usage, true_usage};
use super::setup::DURABLE;
use crate::disk::Kind;
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::key::Key;
use crate::maintenance::convert::{to_version_0, to_version_1};
use crate::maintenance::progress::ProgressCallback;
use crate::maintenance::recount;
use crate::store::{Opener, Options, Purpose};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

fn opener(disk: &FaultDisk) -> Opener {
    Opener::on(Arc::new(disk.clone()), PathBuf::from(STORE_PATH))
}

fn prefix() -> Shard {
    Shard::prefix(2).unwrap()
}

fn upgrade(disk: &FaultDisk) -> Result<()> {
    to_version_1(&opener(disk), prefix())
}

fn downgrade(disk: &FaultDisk) -> Result<()> {
    to_version_0(&opener(disk))
}

/// Returns a closed store with the function `prefix/2`, and its blocks.
async fn version_1() -> (FaultDisk, BlockMap) {
    let disk = DURABLE.disk();
    let options = Options::new().shard(prefix());
    let on = Arc::new(disk.clone());
    let store = options.begin_on(on, PathBuf::from(STORE_PATH), Purpose::Create);
    let store = store.await.unwrap();
    for (key, value) in [("AA1", "one"), ("AA2", "two"), ("BB1", "three")] {
        store.put(&Key::new(key), value.into()).await.unwrap();
    }
    let expected = blocks(&store).await;
    store.close().await.unwrap();
    (disk.reboot(DataLoss::None), expected)
}

/// Returns the same store without `SHARDING`, with an outdated disk usage and temporary files of a crash.
async fn version_0() -> (FaultDisk, BlockMap) {
    let (disk, expected) = version_1().await;
    downgrade(&disk).unwrap();
    let found = disk.reboot(DataLoss::AllUnflushed);
    found.plant(format!("{STORE_PATH}/.temp"), Kind::Dir);
    found.plant(format!("{STORE_PATH}/.temp/write-0"), Kind::File);
    let cache = format!("{STORE_PATH}/diskUsage.cache");
    let figure = br#"{"diskUsage":1,"accuracy":"initial-exact"}"#;
    crate::disk::Disk::write_new(&found, cache.as_ref(), figure, 0o644, true).unwrap();
    crate::disk::Disk::sync_dir(&found, STORE_PATH.as_ref()).unwrap();
    (found, expected)
}

fn is_store(disk: &FaultDisk) -> bool {
    disk.read_live(format!("{STORE_PATH}/SHARDING")).is_some()
}

/// Checks that the disk has a complete store with these blocks, or that an upgrade makes it one.
async fn check_whole(disk: &FaultDisk, expected: &BlockMap) {
    if !is_store(disk) {
        upgrade(disk).unwrap();
    }
    let store = DURABLE.open(disk).await;
    assert_eq!(blocks(&store).await, *expected);
    assert_eq!(exact_usage(&store).await.bytes, true_usage(disk));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_crash_at_any_step_of_an_upgrade_leaves_one_of_the_versions() {
    let mut counts = CrashCounts::default();
    for steps in 0.. {
        let (disk, expected) = version_0().await;
        disk.crash_after(steps);
        let upgraded = upgrade(&disk);
        counts.crash_points += 1;
        for loss in data_losses(steps, 6) {
            let found = disk.reboot(loss);
            assert!(upgraded.is_err() || is_store(&found), "{loss:?}");
            check_whole(&found, &expected).await;
            counts.survived(loss);
        }
        if !disk.has_crashed() {
            break;
        }
    }
    counts.print("upgrade");
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_downgrade_leaves_one_of_the_versions() {
    let mut counts = CrashCounts::default();
    for steps in 0.. {
        let (disk, expected) = version_1().await;
        disk.crash_after(steps);
        let downgraded = downgrade(&disk);
        counts.crash_points += 1;
        for loss in data_losses(steps, 6) {
            let found = disk.reboot(loss);
            assert!(downgraded.is_err() || !is_store(&found), "{loss:?}");
            check_whole(&found, &expected).await;
            counts.survived(loss);
        }
        if !disk.has_crashed() {
            break;
        }
    }
    counts.print("downgrade");
}

#[tokio::test]
async fn a_conversion_that_fails_at_any_step_can_be_repeated() {
    for steps in 0.. {
        let (disk, expected) = version_0().await;
        disk.fail_after(steps, ErrorKind::PermissionDenied);
        if upgrade(&disk).is_ok() {
            break;
        }
        check_whole(&disk, &expected).await;
    }
    for steps in 0.. {
        let (disk, expected) = version_1().await;
        disk.fail_after(steps, ErrorKind::PermissionDenied);
        if downgrade(&disk).is_ok() {
            break;
        }
        if is_store(&disk) {
            downgrade(&disk).unwrap();
        }
        check_whole(&disk, &expected).await;
    }
}

#[tokio::test]
async fn a_store_with_temporary_files_of_a_crash_is_not_downgraded() {
    let (disk, _) = version_1().await;
    disk.plant(format!("{STORE_PATH}/.temp/batch-1"), Kind::Dir);
    let before = disk.tree();
    let error = downgrade(&disk).unwrap_err();
    assert!(matches!(error, Error::NotConvertible { .. }), "{error}");
    assert!(error.to_string().contains("batch-1"), "{error}");
    assert_eq!(disk.tree(), before);
    DURABLE.open(&disk).await.close().await.unwrap();
    downgrade(&disk).unwrap();
}

#[tokio::test]
async fn a_recount_first_completes_pending_commits() {
    let (disk, store) = DURABLE.store_with(&[("AA1", "one")]).await;
    let refused = disk.refuse(|op, path| {
        let is_block = op == DiskOp::Rename && path.ends_with("BB/BB1.data");
        is_block.then_some(ErrorKind::Other)
    });
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "other"),
        BatchWrite::Put("BB1", "two"),
    ]);
    let error = commit.run(&store).await.unwrap_err();
    assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
    drop(refused);
    let found = disk.reboot(DataLoss::None);
    let figure = recount::run(opener(&found), ProgressCallback::none()).unwrap();
    assert_eq!(figure.bytes, true_usage(&found));
    let blocks = blocks(&DURABLE.open(&found).await).await;
    let names: Vec<&String> = blocks.keys().collect();
    assert_eq!(names, ["AA1", "BB1"]);
    assert_eq!(blocks["AA1"], "other");
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_recount_loses_no_block_and_leaves_no_wrong_usage() {
    for steps in 0.. {
        let (disk, expected) = version_1().await;
        disk.crash_after(steps);
        let counted = recount::run(opener(&disk), ProgressCallback::none());
        for loss in data_losses(steps, 2) {
            let found = disk.reboot(loss);
            if let Ok(figure) = &counted {
                assert_eq!(figure.bytes, true_usage(&found));
            }
            check_whole(&found, &expected).await;
        }
        if !disk.has_crashed() {
            break;
        }
    }
}
