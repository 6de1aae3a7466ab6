//! Properties that hold for every crash after any sequence of operations.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::files;
use crate::disk::Disk;
use crate::testing::fault_disk::{DataLoss, FaultDisk};
use crate::testing::proptest_config;

/// Few names, so that operations affect each other.
const DIRS: [&str; 3] = ["/d", "/e", "/d/f"];
const FILES: [&str; 6] = ["/d/x", "/d/y", "/e/x", "/e/y", "/d/f/x", "/d/f/y"];

#[derive(Clone, Debug)]
enum DiskAction {
    CreateDir(&'static str),
    RemoveDir(&'static str),
    Write(&'static str),
    Rename(&'static str, &'static str),
    RemoveFile(&'static str),
    SyncDir(&'static str),
}

fn action() -> impl Strategy<Value = DiskAction> {
    let dir = || prop::sample::select(&DIRS);
    let file = || prop::sample::select(&FILES);
    prop_oneof![
        dir().prop_map(DiskAction::CreateDir),
        dir().prop_map(DiskAction::RemoveDir),
        file().prop_map(DiskAction::Write),
        (file(), file()).prop_map(|(from, to)| DiskAction::Rename(from, to)),
        (file(), file()).prop_map(|(from, to)| DiskAction::Rename(from, to)),
        file().prop_map(DiskAction::RemoveFile),
        dir().prop_map(DiskAction::SyncDir),
    ]
}

/// Runs an action, which may fail. A new file contains the number of the action.
fn run(disk: &FaultDisk, number: usize, action: &DiskAction) {
    let contents = format!("action {number}");
    _ = match *action {
        DiskAction::CreateDir(dir) => disk.create_dir(Path::new(dir)),
        DiskAction::RemoveDir(dir) => disk.remove_dir(Path::new(dir)),
        DiskAction::Write(file) => {
            disk.write_new(Path::new(file), contents.as_bytes(), 0o600, true)
        }
        DiskAction::Rename(from, to) => disk.rename(Path::new(from), Path::new(to)),
        DiskAction::RemoveFile(file) => disk.remove_file(Path::new(file)),
        DiskAction::SyncDir(dir) => disk.sync_dir(Path::new(dir)),
    };
}

/// Counts the files with the same contents.
fn counts(disk: &FaultDisk) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, contents) in files(disk) {
        *counts.entry(contents).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn a_durable_file_that_is_not_removed_is_found_exactly_once(
        before in prop::collection::vec(action(), 0..20),
        after in prop::collection::vec(action(), 0..20),
        seed: u64,
    ) {
        let disk = FaultDisk::new();
        for dir in DIRS {
            disk.create_dir(Path::new(dir)).unwrap();
        }
        for (number, action) in before.iter().enumerate() {
            run(&disk, number, action);
        }
        disk.sync_all(Path::new("/")).unwrap();
        let durable = counts(&disk);
        prop_assert_eq!(files(&disk.reboot(DataLoss::AllUnflushed)), files(&disk));
        for (number, action) in after.iter().enumerate() {
            run(&disk, before.len() + number, action);
        }
        let live = counts(&disk);
        for loss in [DataLoss::AllUnflushed, DataLoss::SomeUnflushed(seed)] {
            let found = counts(&disk.reboot(loss));
            prop_assert!(found.values().all(|count| *count == 1), "found twice: {found:?}");
            for contents in durable.keys().filter(|contents| live.contains_key(*contents)) {
                prop_assert!(found.contains_key(contents), "lost: {contents}");
            }
        }
    }

    #[test]
    fn a_power_cut_after_a_flush_of_everything_loses_nothing(
        actions in prop::collection::vec(action(), 0..30),
        seed: u64,
    ) {
        let disk = FaultDisk::new();
        for (number, action) in actions.iter().enumerate() {
            run(&disk, number, action);
        }
        disk.sync_all(Path::new("/")).unwrap();
        let found = disk.reboot(DataLoss::SomeUnflushed(seed));
        prop_assert_eq!(found.tree(), disk.tree());
        prop_assert_eq!(files(&found), files(&disk));
    }
}
