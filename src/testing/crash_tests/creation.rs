//! A crash or a failure at each step of a creation.

use std::io::ErrorKind;
use std::path::Path;

use super::crashes::{CrashCounts, data_losses};
use super::inspect::{STORE_PATH, exact_usage, true_usage};
use super::setup::{DURABLE, setups_with_all_capabilities};
use crate::disk::{Disk, Kind};
use crate::error::Error;
use crate::key::Key;
use crate::store::Purpose;
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

/// Whether the store's directory exists before the creation.
const DIR_EXISTS: [bool; 2] = [false, true];

fn prepare(disk: FaultDisk, dir_exists: bool) -> FaultDisk {
    if dir_exists {
        disk.plant(STORE_PATH, Kind::Dir);
    }
    disk
}

#[tokio::test]
async fn a_new_store_survives_a_crash_at_any_step() {
    let mut counts = CrashCounts::default();
    for setup in setups_with_all_capabilities() {
        for dir_exists in DIR_EXISTS {
            for steps in 0.. {
                let disk = prepare(setup.disk(), dir_exists);
                disk.crash_after(steps);
                let created = setup.open_as(&disk, Purpose::Create).await;
                counts.crash_points += 1;
                for loss in data_losses(steps, 4) {
                    let found = disk.reboot(loss);
                    let purpose = match created {
                        Ok(_) => Purpose::Open,
                        Err(_) => Purpose::Either,
                    };
                    let store = setup.open_as(&found, purpose).await.unwrap();
                    store.put(&Key::new("AA1"), "one".into()).await.unwrap();
                    assert_eq!(exact_usage(&store).await.bytes, true_usage(&found));
                    setup.open(&found.reboot(DataLoss::AllUnflushed)).await;
                    counts.survived(loss);
                }
                if !disk.has_crashed() {
                    break;
                }
            }
        }
    }
    counts.print("create");
}

/// An earlier attempt may have been killed before it made the directory durable, or another process may
/// have created it.
#[tokio::test]
async fn a_store_created_in_an_unflushed_directory_survives_a_power_cut() {
    let disk = DURABLE.disk();
    disk.create_dir(STORE_PATH.as_ref()).unwrap();
    DURABLE.open_as(&disk, Purpose::Create).await.unwrap();
    DURABLE.open(&disk.reboot(DataLoss::AllUnflushed)).await;
}

#[tokio::test]
async fn a_creation_that_fails_at_any_step_can_be_repeated() {
    for dir_exists in DIR_EXISTS {
        for steps in 0.. {
            let disk = prepare(DURABLE.disk(), dir_exists);
            disk.fail_after(steps, ErrorKind::Other);
            if DURABLE.open_as(&disk, Purpose::Create).await.is_ok() {
                break;
            }
            let store = DURABLE.open_as(&disk, Purpose::Either).await.unwrap();
            store.put(&Key::new("AA1"), "one".into()).await.unwrap();
            assert_eq!(exact_usage(&store).await.bytes, true_usage(&disk));
        }
    }
}

/// If a power cut restored the old figure, the new store would trust it forever.
#[tokio::test]
async fn the_disk_usage_of_an_old_store_is_not_found_after_a_crash_of_a_creation() {
    for steps in 0.. {
        let disk = DURABLE.closed_with(&[("AA1", "one")]).await;
        for path in ["SHARDING", "AA/AA1.data", "AA"] {
            let path = Path::new(STORE_PATH).join(path);
            disk.remove_file(&path)
                .or_else(|_| disk.remove_dir(&path))
                .unwrap();
        }
        let disk = disk.reboot(DataLoss::None);
        disk.sync_all(STORE_PATH.as_ref()).unwrap();
        disk.crash_after(steps);
        let created = DURABLE.open_as(&disk, Purpose::Create).await;
        for loss in data_losses(steps, 4) {
            let found = disk.reboot(loss);
            let store = DURABLE.open_as(&found, Purpose::Either).await.unwrap();
            assert_eq!(
                exact_usage(&store).await.bytes,
                true_usage(&found),
                "{steps}, {loss:?}"
            );
        }
        if created.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn a_directory_that_gets_other_files_during_a_creation_does_not_become_a_store() {
    for dir_exists in DIR_EXISTS {
        let disk = prepare(DURABLE.disk(), dir_exists);
        let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::Lock);
        let creating = {
            let disk = disk.clone();
            tokio::spawn(async move { DURABLE.open_as(&disk, Purpose::Either).await })
        };
        breakpoint.reached().await;
        disk.plant(format!("{STORE_PATH}/notes.txt"), Kind::File);
        drop(breakpoint);
        let error = creating.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
        assert!(disk.read_live(format!("{STORE_PATH}/SHARDING")).is_none());
    }
}
