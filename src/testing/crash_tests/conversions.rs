//! A crash, and a failure, at every single step of a conversion and of a recount.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::fixture::{Blocks, Change, SAFE, STORE, Tally, Write, blocks, counted, losses, usage};
use crate::disk::Kind;
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::key::Key;
use crate::maintenance::convert::{to_version_0, to_version_1};
use crate::maintenance::progress::Watcher;
use crate::maintenance::recount;
use crate::store::{Opener, Options, Purpose};
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

fn opening(disk: &FaultDisk) -> Opener {
    Opener::on(Arc::new(disk.clone()), PathBuf::from(STORE))
}

fn prefix() -> Shard {
    Shard::prefix(2).unwrap()
}

fn upgrade(disk: &FaultDisk) -> Result<()> {
    to_version_1(&opening(disk), prefix())
}

fn downgrade(disk: &FaultDisk) -> Result<()> {
    to_version_0(&opening(disk))
}

/// A closed store of `prefix/2`, and what is in it.
async fn version_1() -> (FaultDisk, Blocks) {
    let disk = SAFE.disk();
    let options = Options::new().shard(prefix());
    let on = Arc::new(disk.clone());
    let store = options.begin_on(on, PathBuf::from(STORE), Purpose::Create);
    let store = store.await.unwrap();
    for (key, value) in [("AA1", "one"), ("AA2", "two"), ("BB1", "three")] {
        store.put(&Key::new(key), value.into()).await.unwrap();
    }
    let held = blocks(&store).await;
    store.close().await.unwrap();
    (disk.reboot(Loss::None), held)
}

/// The same without the `SHARDING`, with a figure that is out of date and what a crash has left in
/// flight.
async fn version_0() -> (FaultDisk, Blocks) {
    let (disk, held) = version_1().await;
    downgrade(&disk).unwrap();
    let found = disk.reboot(Loss::All);
    found.plant(format!("{STORE}/.temp"), Kind::Dir);
    found.plant(format!("{STORE}/.temp/write-0"), Kind::File);
    let cache = format!("{STORE}/diskUsage.cache");
    let figure = br#"{"diskUsage":1,"accuracy":"initial-exact"}"#;
    crate::disk::Disk::write_new(&found, cache.as_ref(), figure, 0o644, true).unwrap();
    crate::disk::Disk::sync_dir(&found, STORE.as_ref()).unwrap();
    (found, held)
}

fn is_store(disk: &FaultDisk) -> bool {
    disk.read_live(format!("{STORE}/SHARDING")).is_some()
}

/// Fails unless the disk has a whole store with these blocks, or becomes one by an upgrade.
async fn check_whole(disk: &FaultDisk, held: &Blocks) {
    if !is_store(disk) {
        upgrade(disk).unwrap();
    }
    let store = SAFE.open(disk).await;
    assert_eq!(blocks(&store).await, *held);
    assert_eq!(counted(&store).await.bytes, usage(disk));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_crash_at_any_step_of_an_upgrade_leaves_the_one_version_or_the_other() {
    let mut tally = Tally::default();
    for steps in 0.. {
        let (disk, held) = version_0().await;
        disk.crash_after(steps);
        let upgraded = upgrade(&disk);
        tally.points += 1;
        for loss in losses(steps, 6) {
            let found = disk.reboot(loss);
            assert!(upgraded.is_err() || is_store(&found), "{loss:?}");
            check_whole(&found, &held).await;
            tally.survived(loss);
        }
        if !disk.has_crashed() {
            break;
        }
    }
    tally.print("upgrade");
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_downgrade_leaves_the_one_version_or_the_other() {
    let mut tally = Tally::default();
    for steps in 0.. {
        let (disk, held) = version_1().await;
        disk.crash_after(steps);
        let downgraded = downgrade(&disk);
        tally.points += 1;
        for loss in losses(steps, 6) {
            let found = disk.reboot(loss);
            assert!(downgraded.is_err() || !is_store(&found), "{loss:?}");
            check_whole(&found, &held).await;
            tally.survived(loss);
        }
        if !disk.has_crashed() {
            break;
        }
    }
    tally.print("downgrade");
}

#[tokio::test]
async fn a_conversion_that_fails_at_any_step_says_so_and_can_be_tried_again() {
    for steps in 0.. {
        let (disk, held) = version_0().await;
        disk.fail_after(steps, ErrorKind::PermissionDenied);
        if upgrade(&disk).is_ok() {
            break;
        }
        check_whole(&disk, &held).await;
    }
    for steps in 0.. {
        let (disk, held) = version_1().await;
        disk.fail_after(steps, ErrorKind::PermissionDenied);
        if downgrade(&disk).is_ok() {
            break;
        }
        if is_store(&disk) {
            downgrade(&disk).unwrap();
        }
        check_whole(&disk, &held).await;
    }
}

#[tokio::test]
async fn a_store_that_a_crash_has_left_with_something_in_flight_is_not_downgraded() {
    let (disk, _) = version_1().await;
    disk.plant(format!("{STORE}/.temp/batch-1"), Kind::Dir);
    let before = disk.tree();
    let error = downgrade(&disk).unwrap_err();
    assert!(matches!(error, Error::NotConvertible { .. }), "{error}");
    assert!(error.to_string().contains("batch-1"), "{error}");
    assert_eq!(disk.tree(), before);
    SAFE.open(&disk).await.close().await.unwrap();
    downgrade(&disk).unwrap();
}

#[tokio::test]
async fn a_recount_completes_what_was_committed_first() {
    let (disk, store) = SAFE.store_with(&[("AA1", "one")]).await;
    let refused = disk.refuse(|op, path| {
        let is_block = op == Op::Rename && path.ends_with("BB/BB1.data");
        is_block.then_some(ErrorKind::Other)
    });
    let commit = Write::Commit(vec![Change::Put("AA1", "other"), Change::Put("BB1", "two")]);
    let error = commit.run(&store).await.unwrap_err();
    assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
    drop(refused);
    let found = disk.reboot(Loss::None);
    let figure = recount::run(opening(&found), Watcher::none()).unwrap();
    assert_eq!(figure.bytes, usage(&found));
    let blocks = blocks(&SAFE.open(&found).await).await;
    let names: Vec<&String> = blocks.keys().collect();
    assert_eq!(names, ["AA1", "BB1"]);
    assert_eq!(blocks["AA1"], "other");
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_recount_costs_no_block_and_no_wrong_figure() {
    for steps in 0.. {
        let (disk, held) = version_1().await;
        disk.crash_after(steps);
        let counted = recount::run(opening(&disk), Watcher::none());
        for loss in losses(steps, 2) {
            let found = disk.reboot(loss);
            if let Ok(figure) = &counted {
                assert_eq!(figure.bytes, usage(&found));
            }
            check_whole(&found, &held).await;
        }
        if !disk.has_crashed() {
            break;
        }
    }
}
