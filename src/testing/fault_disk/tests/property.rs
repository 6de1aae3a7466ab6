//! What holds for all crashes, whatever was done before.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::files;
use crate::disk::Disk;
use crate::testing::fault_disk::{FaultDisk, Loss};

/// A few names, so that operations meet.
const DIRS: [&str; 3] = ["/d", "/e", "/d/f"];
const FILES: [&str; 6] = ["/d/x", "/d/y", "/e/x", "/e/y", "/d/f/x", "/d/f/y"];

#[derive(Clone, Debug)]
enum Action {
    CreateDir(&'static str),
    RemoveDir(&'static str),
    Write(&'static str),
    Rename(&'static str, &'static str),
    RemoveFile(&'static str),
    SyncDir(&'static str),
}

fn action() -> impl Strategy<Value = Action> {
    let dir = || prop::sample::select(&DIRS);
    let file = || prop::sample::select(&FILES);
    prop_oneof![
        dir().prop_map(Action::CreateDir),
        dir().prop_map(Action::RemoveDir),
        file().prop_map(Action::Write),
        (file(), file()).prop_map(|(from, to)| Action::Rename(from, to)),
        (file(), file()).prop_map(|(from, to)| Action::Rename(from, to)),
        file().prop_map(Action::RemoveFile),
        dir().prop_map(Action::SyncDir),
    ]
}

/// Does what can be done, and writes the number of the action into new files.
fn run(disk: &FaultDisk, number: usize, action: &Action) {
    let contents = format!("action {number}");
    _ = match *action {
        Action::CreateDir(dir) => disk.create_dir(Path::new(dir)),
        Action::RemoveDir(dir) => disk.remove_dir(Path::new(dir)),
        Action::Write(file) => disk.write_new(Path::new(file), contents.as_bytes(), 0o600, true),
        Action::Rename(from, to) => disk.rename(Path::new(from), Path::new(to)),
        Action::RemoveFile(file) => disk.remove_file(Path::new(file)),
        Action::SyncDir(dir) => disk.sync_dir(Path::new(dir)),
    };
}

/// How often each contents are there.
fn counts(disk: &FaultDisk) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, contents) in files(disk) {
        *counts.entry(contents).or_default() += 1;
    }
    counts
}

proptest! {
    #[test]
    fn a_durable_file_that_nobody_removes_is_found_once(
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
        prop_assert_eq!(files(&disk.reboot(Loss::All)), files(&disk));
        for (number, action) in after.iter().enumerate() {
            run(&disk, before.len() + number, action);
        }
        let live = counts(&disk);
        for loss in [Loss::All, Loss::Some(seed)] {
            let found = counts(&disk.reboot(loss));
            prop_assert!(found.values().all(|count| *count == 1), "twice there: {found:?}");
            for kept in durable.keys().filter(|contents| live.contains_key(*contents)) {
                prop_assert!(found.contains_key(kept), "gone: {kept}");
            }
        }
    }

    #[test]
    fn a_flush_of_everything_leaves_nothing_to_lose(
        actions in prop::collection::vec(action(), 0..30),
        seed: u64,
    ) {
        let disk = FaultDisk::new();
        for (number, action) in actions.iter().enumerate() {
            run(&disk, number, action);
        }
        disk.sync_all(Path::new("/")).unwrap();
        let found = disk.reboot(Loss::Some(seed));
        prop_assert_eq!(found.tree(), disk.tree());
        prop_assert_eq!(files(&found), files(&disk));
    }
}
