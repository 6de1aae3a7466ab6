//! A crash, and a failure, at every single step of a creation.

use std::io::ErrorKind;
use std::path::Path;

use super::fixture::{SAFE, STORE, Tally, counted, losses, modes, usage};
use crate::disk::{Disk, Kind};
use crate::error::Error;
use crate::key::Key;
use crate::store::Purpose;
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

/// Whether there was a directory before the store.
const PLACES: [bool; 2] = [false, true];

fn place(disk: FaultDisk, is_there: bool) -> FaultDisk {
    if is_there {
        disk.plant(STORE, Kind::Dir);
    }
    disk
}

#[tokio::test]
async fn a_new_store_survives_a_crash_at_any_step() {
    let mut tally = Tally::default();
    for setting in modes() {
        for is_there in PLACES {
            for steps in 0.. {
                let disk = place(setting.disk(), is_there);
                disk.crash_after(steps);
                let created = setting.begin(&disk, Purpose::Create).await;
                tally.points += 1;
                for loss in losses(steps, 4) {
                    let found = disk.reboot(loss);
                    let purpose = match created {
                        Ok(_) => Purpose::Open,
                        Err(_) => Purpose::Either,
                    };
                    let store = setting.begin(&found, purpose).await.unwrap();
                    store.put(&Key::new("AA1"), "one".into()).await.unwrap();
                    assert_eq!(counted(&store).await.bytes, usage(&found));
                    setting.open(&found.reboot(Loss::All)).await;
                    tally.survived(loss);
                }
                if !disk.has_crashed() {
                    break;
                }
            }
        }
    }
    tally.print("create");
}

/// The first try may have been killed before it made the directory durable, or somebody else made it.
#[tokio::test]
async fn a_store_that_is_created_in_a_directory_of_a_moment_ago_survives_a_power_cut() {
    let disk = SAFE.disk();
    disk.create_dir(STORE.as_ref()).unwrap();
    SAFE.begin(&disk, Purpose::Create).await.unwrap();
    SAFE.open(&disk.reboot(Loss::All)).await;
}

#[tokio::test]
async fn a_creation_that_fails_at_any_step_can_be_tried_again() {
    for is_there in PLACES {
        for steps in 0.. {
            let disk = place(SAFE.disk(), is_there);
            disk.fail_after(steps, ErrorKind::Other);
            if SAFE.begin(&disk, Purpose::Create).await.is_ok() {
                break;
            }
            let store = SAFE.begin(&disk, Purpose::Either).await.unwrap();
            store.put(&Key::new("AA1"), "one".into()).await.unwrap();
            assert_eq!(counted(&store).await.bytes, usage(&disk));
        }
    }
}

/// Should it come back after a power cut, it would be trusted for ever.
#[tokio::test]
async fn the_disk_usage_that_an_old_store_has_left_is_gone_at_any_crash_of_a_creation() {
    for steps in 0.. {
        let disk = SAFE.closed_with(&[("AA1", "one")]).await;
        for path in ["SHARDING", "AA/AA1.data", "AA"] {
            let path = Path::new(STORE).join(path);
            disk.remove_file(&path)
                .or_else(|_| disk.remove_dir(&path))
                .unwrap();
        }
        let disk = disk.reboot(Loss::None);
        disk.sync_all(STORE.as_ref()).unwrap();
        disk.crash_after(steps);
        let created = SAFE.begin(&disk, Purpose::Create).await;
        for loss in losses(steps, 4) {
            let found = disk.reboot(loss);
            let store = SAFE.begin(&found, Purpose::Either).await.unwrap();
            assert_eq!(
                counted(&store).await.bytes,
                usage(&found),
                "{steps}, {loss:?}"
            );
        }
        if created.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn a_directory_that_somebody_fills_meanwhile_is_not_made_a_store() {
    for is_there in PLACES {
        let disk = place(SAFE.disk(), is_there);
        let held = disk.hold(|op, _| op == Op::Lock);
        let creating = {
            let disk = disk.clone();
            tokio::spawn(async move { SAFE.begin(&disk, Purpose::Either).await })
        };
        held.reached().await;
        disk.plant(format!("{STORE}/notes.txt"), Kind::File);
        drop(held);
        let error = creating.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
        assert!(disk.read_live(format!("{STORE}/SHARDING")).is_none());
    }
}
