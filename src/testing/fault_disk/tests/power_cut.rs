//! What the disk contains after a power cut.

use std::collections::HashSet;
use std::path::Path;

use super::{files, power_cuts, rename, sync_dir, two_dirs, two_dirs_with, write};
use crate::disk::{Disk, Kind};
use crate::testing::fault_disk::{DataLoss, FaultDisk};

/// Returns the files after a power cut that destroys everything that wasn't durable.
fn files_after_loss(disk: &FaultDisk) -> Vec<(String, String)> {
    files(&disk.reboot(DataLoss::AllUnflushed))
}

#[test]
fn a_name_that_was_not_flushed_is_lost() {
    let disk = two_dirs();
    write(&disk, "/a/x");
    disk.sync_file(Path::new("/a/x")).unwrap();
    disk.create_dir(Path::new("/a/y")).unwrap();
    assert_eq!(
        disk.reboot(DataLoss::AllUnflushed).tree(),
        two_dirs().tree()
    );
}

#[test]
fn a_file_with_a_durable_name_and_unflushed_contents_is_empty() {
    let disk = two_dirs();
    write(&disk, "/a/x");
    sync_dir(&disk, "/a");
    assert_eq!(files_after_loss(&disk), [("/a/x".into(), String::new())]);
}

#[test]
fn a_file_survives_once_its_contents_and_name_are_flushed() {
    let disk = two_dirs();
    let contents = b"whole";
    disk.write_new(Path::new("/a/x"), contents, 0o600, true)
        .unwrap();
    write(&disk, "/a/y");
    disk.sync_file(Path::new("/a/y")).unwrap();
    sync_dir(&disk, "/a");
    let whole = [
        ("/a/x".into(), "whole".into()),
        ("/a/y".into(), "/a/y".into()),
    ];
    assert_eq!(files_after_loss(&disk), whole);
}

#[test]
fn a_flushed_name_survives_whatever_else_was_not_flushed() {
    let disk = two_dirs();
    write(&disk, "/b/x");
    write(&disk, "/a/x");
    sync_dir(&disk, "/a");
    for found in power_cuts(&disk) {
        assert!(found.read_live("/a/x").is_some());
    }
    assert_eq!(files_after_loss(&disk), [("/a/x".into(), String::new())]);
}

#[test]
fn flushing_a_directory_does_not_flush_its_own_name() {
    let disk = two_dirs();
    disk.create_dir(Path::new("/a/new")).unwrap();
    write(&disk, "/a/new/x");
    sync_dir(&disk, "/a/new");
    assert_eq!(
        disk.reboot(DataLoss::AllUnflushed).tree(),
        two_dirs().tree()
    );
    sync_dir(&disk, "/a");
    assert_eq!(disk.reboot(DataLoss::AllUnflushed).tree(), disk.tree());
}

#[test]
fn flushing_everything_below_a_directory_flushes_neither_its_name_nor_its_siblings() {
    let disk = two_dirs();
    disk.create_dir(Path::new("/a/new")).unwrap();
    disk.create_dir(Path::new("/a/new/deep")).unwrap();
    write(&disk, "/a/new/deep/x");
    write(&disk, "/b/x");
    disk.sync_all(Path::new("/a/new")).unwrap();
    assert_eq!(
        disk.reboot(DataLoss::AllUnflushed).tree(),
        two_dirs().tree()
    );
    sync_dir(&disk, "/a");
    assert_eq!(
        files_after_loss(&disk),
        [("/a/new/deep/x".into(), "/a/new/deep/x".into())]
    );
}

#[test]
fn a_removal_that_was_not_flushed_is_undone() {
    let disk = two_dirs_with(&["/a/x"]);
    disk.remove_file(Path::new("/a/x")).unwrap();
    disk.remove_dir(Path::new("/b")).unwrap();
    assert_eq!(
        disk.reboot(DataLoss::AllUnflushed).tree(),
        two_dirs_with(&["/a/x"]).tree()
    );
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(
        disk.reboot(DataLoss::AllUnflushed).tree(),
        ["/a/", "/disk/"]
    );
}

#[test]
fn killing_the_process_loses_nothing_and_flushes_nothing() {
    let disk = two_dirs();
    write(&disk, "/a/x");
    let disk = disk.reboot(DataLoss::None);
    assert_eq!(files(&disk), [("/a/x".into(), "/a/x".into())]);
    assert_eq!(files_after_loss(&disk), []);
}

#[test]
fn what_survives_one_power_cut_is_durable() {
    let disk = two_dirs_with(&["/a/x", "/a/y"]);
    write(&disk, "/b/x");
    rename(&disk, "/a/x", "/b/y");
    for found in power_cuts(&disk) {
        let again = found.reboot(DataLoss::AllUnflushed);
        assert_eq!(files(&again), files(&found));
    }
}

#[test]
fn a_rename_is_undone_until_one_of_its_directories_is_flushed() {
    for dir in ["/a", "/b"] {
        let disk = two_dirs_with(&["/a/x", "/b/y"]);
        rename(&disk, "/a/x", "/b/y");
        let before = files(&two_dirs_with(&["/a/x", "/b/y"]));
        assert_eq!(files_after_loss(&disk), before);
        sync_dir(&disk, dir);
        assert_eq!(files_after_loss(&disk), [("/b/y".into(), "/a/x".into())]);
    }
}

#[test]
fn a_rename_survives_as_a_whole_or_not_at_all() {
    let disk = two_dirs_with(&["/a/x", "/b/y"]);
    rename(&disk, "/a/x", "/b/y");
    let (before, after) = (files(&two_dirs_with(&["/a/x", "/b/y"])), files(&disk));
    let found: HashSet<_> = power_cuts(&disk).map(|disk| files(&disk)).collect();
    assert_eq!(found, HashSet::from([before, after]));
}

#[test]
fn a_rename_of_a_file_that_was_never_durable_can_survive() {
    let disk = two_dirs();
    write(&disk, "/a/x");
    disk.sync_file(Path::new("/a/x")).unwrap();
    rename(&disk, "/a/x", "/b/y");
    let found: HashSet<_> = power_cuts(&disk).map(|disk| files(&disk)).collect();
    let at = |path: &str| vec![(path.to_owned(), "/a/x".to_owned())];
    assert_eq!(found, HashSet::from([vec![], at("/a/x"), at("/b/y")]));
}

#[test]
fn a_file_that_was_moved_into_a_lost_directory_keeps_its_old_name() {
    let disk = two_dirs_with(&["/a/x"]);
    disk.create_dir(Path::new("/b/new")).unwrap();
    rename(&disk, "/a/x", "/b/new/x");
    sync_dir(&disk, "/a");
    sync_dir(&disk, "/b/new");
    assert_eq!(files_after_loss(&disk), [("/a/x".into(), "/a/x".into())]);
    sync_dir(&disk, "/b");
    assert_eq!(
        files_after_loss(&disk),
        [("/b/new/x".into(), "/a/x".into())]
    );
}

#[test]
fn a_moved_file_survives_when_another_takes_its_old_name() {
    let disk = two_dirs_with(&["/a/x", "/a/y"]);
    rename(&disk, "/a/x", "/b/x");
    rename(&disk, "/a/y", "/a/x");
    for found in power_cuts(&disk) {
        let mut contents: Vec<_> = files(&found)
            .into_iter()
            .map(|(_, contents)| contents)
            .collect();
        contents.sort();
        assert_eq!(contents, ["/a/x", "/a/y"]);
    }
}

#[test]
fn a_link_that_was_not_flushed_is_lost_and_the_first_name_survives() {
    let disk = two_dirs_with(&["/a/x"]);
    disk.link_new(Path::new("/a/x"), Path::new("/b/x")).unwrap();
    let name = |file: &str| (file.to_owned(), "/a/x".to_owned());
    assert_eq!(files(&disk), [name("/a/x"), name("/b/x")]);
    assert_eq!(files_after_loss(&disk), [name("/a/x")]);
    sync_dir(&disk, "/b");
    assert_eq!(files_after_loss(&disk), files(&disk));
    disk.remove_file(Path::new("/a/x")).unwrap();
    sync_dir(&disk, "/a");
    assert_eq!(files_after_loss(&disk), [name("/b/x")]);
}

#[test]
fn a_file_is_lost_if_its_first_name_is_removed_before_its_second_is_durable() {
    let disk = two_dirs_with(&["/a/x"]);
    disk.link_new(Path::new("/a/x"), Path::new("/b/x")).unwrap();
    disk.remove_file(Path::new("/a/x")).unwrap();
    sync_dir(&disk, "/a");
    assert_eq!(files_after_loss(&disk), []);
}

#[test]
fn a_rename_to_another_name_of_the_file_does_nothing() {
    let disk = two_dirs_with(&["/a/x"]);
    disk.link_new(Path::new("/a/x"), Path::new("/b/x")).unwrap();
    rename(&disk, "/a/x", "/b/x");
    assert_eq!(files(&disk).len(), 2);
}

#[test]
fn a_directory_is_not_removed_before_moves_out_of_it_are_durable() {
    let disk = two_dirs_with(&["/a/x"]);
    rename(&disk, "/a/x", "/b/x");
    disk.remove_dir(Path::new("/a")).unwrap();
    for found in power_cuts(&disk) {
        assert_eq!(files(&found).len(), 1);
    }
    sync_dir(&disk, "/");
    assert_eq!(
        disk.reboot(DataLoss::AllUnflushed).tree(),
        ["/b/", "/b/x", "/disk/"]
    );
}

#[test]
fn changes_of_a_directory_become_durable_in_order() {
    let disk = two_dirs_with(&["/a/x", "/b/y"]);
    disk.remove_file(Path::new("/b/y")).unwrap();
    rename(&disk, "/a/x", "/b/x");
    write(&disk, "/b/later");
    sync_dir(&disk, "/a");
    assert_eq!(files_after_loss(&disk), [("/b/x".into(), "/a/x".into())]);
}

#[test]
fn a_power_cut_can_preserve_any_part_of_unflushed_data() {
    let disk = two_dirs();
    write(&disk, "/a/x");
    write(&disk, "/b/y");
    let found = power_cuts(&disk)
        .map(|disk| disk.tree())
        .collect::<HashSet<_>>();
    assert_eq!(
        found.len(),
        4,
        "each name survives or is lost independently"
    );
    sync_dir(&disk, "/a");
    let found: HashSet<_> = power_cuts(&disk)
        .map(|disk| disk.read_live("/a/x").unwrap().to_vec())
        .collect();
    for contents in ["", "/a", "/a/x", "\0\0\0\0", "/a\0\0"] {
        assert!(found.contains(contents.as_bytes()), "{contents:?}");
    }
}

#[test]
fn one_seed_gives_one_outcome() {
    let disk = two_dirs();
    for name in 0..32 {
        write(&disk, &format!("/a/{name}"));
    }
    let outcome = |seed| files(&disk.reboot(DataLoss::SomeUnflushed(seed)));
    assert_eq!(outcome(7), outcome(7));
    assert_ne!(outcome(7), outcome(8));
}

#[test]
fn a_planted_entry_is_durable() {
    let disk = two_dirs();
    disk.plant("/a/link", Kind::Symlink);
    assert_eq!(disk.reboot(DataLoss::AllUnflushed).tree(), disk.tree());
}
