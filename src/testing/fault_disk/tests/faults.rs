//! Scheduled crashes, failures and refusals.

use std::io::{ErrorKind, Result};
use std::path::Path;

use super::{files, rename, sync_dir, two_dirs, two_dirs_with, write};
use crate::disk::{Disk, Kind};
use crate::testing::fault_disk::{Capabilities, DataLoss, DiskOp, FaultDisk};

fn write_durably(disk: &FaultDisk) -> Result<()> {
    disk.write_new(Path::new("/a/x"), b"contents", 0o600, true)
}

#[test]
fn steps_are_counted() {
    let disk = FaultDisk::new();
    let [a, b, x, y] = ["/a", "/b", "/a/x", "/b/y"].map(Path::new);
    let [one, none] = ["/b/one", "/b/none"].map(Path::new);
    let steps = |operation: &dyn Fn() -> Result<()>| {
        let before = disk.steps();
        operation().unwrap();
        disk.steps() - before
    };
    assert_eq!(steps(&|| disk.create_dir(a)), 1);
    assert_eq!(steps(&|| disk.create_dir(b)), 1);
    assert_eq!(steps(&|| disk.write_new(x, b"contents", 0o600, true)), 4);
    assert_eq!(steps(&|| disk.rename(x, y)), 1);
    assert_eq!(steps(&|| disk.rename_new(y, x)), 1);
    assert_eq!(steps(&|| disk.sync_file(x)), 1);
    assert_eq!(steps(&|| disk.sync_dir(a)), 1);
    assert_eq!(steps(&|| disk.sync_all(a)), 1);
    assert_eq!(steps(&|| disk.remove_file(x)), 1);
    assert_eq!(steps(&|| disk.remove_dir(a)), 1);
    assert_eq!(steps(&|| disk.lock(y).map(drop)), 1);
    assert_eq!(steps(&|| disk.write_new(one, b"1", 0o600, false)), 2);
    assert_eq!(steps(&|| disk.write_new(none, b"", 0o600, false)), 1);
}

#[test]
fn an_operation_that_changes_nothing_is_not_a_step() {
    let disk = two_dirs_with(&["/a/x"]);
    let before = disk.steps();
    let [file, absent] = ["/a/x", "/a/absent"].map(Path::new);
    disk.read(file).unwrap();
    disk.stat(file).unwrap();
    _ = disk.list(Path::new("/a")).unwrap();
    _ = disk.lock(file).unwrap();
    disk.remove_file(absent).unwrap_err();
    disk.plant("/a/link", Kind::Symlink);
    assert_eq!(disk.steps(), before);
}

#[test]
fn a_crash_during_a_write_leaves_half_a_file() {
    let left = |steps| {
        let disk = two_dirs();
        disk.crash_after(steps);
        let result = write_durably(&disk);
        assert_eq!(result.is_ok(), steps == 4);
        assert!(disk.has_crashed());
        disk.read_live("/a/x").map(|contents| contents.to_vec())
    };
    assert_eq!(left(0), None);
    assert_eq!(left(1).unwrap(), b"");
    assert_eq!(left(2).unwrap(), b"cont");
    assert_eq!(left(3).unwrap(), b"contents");
    assert_eq!(left(4).unwrap(), b"contents");
}

#[test]
fn every_operation_fails_after_a_crash() {
    let disk = two_dirs_with(&["/a/x"]);
    assert!(!disk.has_crashed());
    disk.crash_after(0);
    let (file, dir) = (Path::new("/a/x"), Path::new("/a"));
    let errors = [
        disk.create_dir(Path::new("/a/y")),
        write_durably(&disk),
        disk.rename(file, Path::new("/b/x")),
        disk.rename_new(file, Path::new("/b/x")),
        disk.remove_file(file),
        disk.remove_dir(Path::new("/b")),
        disk.read(file).map(drop),
        disk.stat(file).map(drop),
        disk.list(dir).map(drop),
        disk.sync_file(file),
        disk.sync_dir(dir),
        disk.sync_all(dir),
        disk.lock(file).map(drop),
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().to_string(), "the machine has crashed");
    }
    assert_eq!(disk.tree(), two_dirs_with(&["/a/x"]).tree());
}

#[test]
fn a_scheduled_failure_happens_once() {
    let disk = two_dirs();
    disk.fail_after(1, ErrorKind::PermissionDenied);
    let [x, y] = ["/a/x", "/a/y"].map(Path::new);
    disk.create_dir(x).unwrap();
    let error = disk.create_dir(y).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(disk.tree(), ["/a/", "/a/x/", "/b/", "/disk/"]);
    disk.create_dir(y).unwrap();
}

#[test]
fn a_write_that_fails_may_leave_its_file_behind() {
    let left = |steps| {
        let disk = two_dirs();
        disk.fail_after(steps, ErrorKind::StorageFull);
        let error = write_durably(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        disk.read_live("/a/x").map(|contents| contents.to_vec())
    };
    assert_eq!(left(0), None);
    assert_eq!(left(1).unwrap(), b"");
    assert_eq!(left(2).unwrap(), b"cont");
    assert_eq!(left(3).unwrap(), b"contents");
}

#[test]
fn a_later_flush_does_not_repair_a_failed_flush_of_contents() {
    let disk = two_dirs();
    disk.fail_after(3, ErrorKind::Other);
    write_durably(&disk).unwrap_err();
    disk.sync_file(Path::new("/a/x")).unwrap();
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(disk.read(Path::new("/a/x")).unwrap(), "contents");
    let found = disk.reboot(DataLoss::AllUnflushed);
    assert_eq!(files(&found), [("/a/x".into(), String::new())]);
}

#[test]
fn a_later_flush_does_not_repair_a_failed_flush_of_a_directory() {
    let disk = two_dirs_with(&["/b/x"]);
    rename(&disk, "/b/x", "/a/x");
    disk.fail_after(0, ErrorKind::Other);
    disk.sync_dir(Path::new("/a")).unwrap_err();
    sync_dir(&disk, "/a");
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(
        files(&disk.reboot(DataLoss::AllUnflushed)),
        [("/b/x".into(), "/b/x".into())]
    );
}

#[test]
fn a_later_flush_does_not_repair_a_failed_flush_of_everything() {
    let disk = two_dirs();
    write(&disk, "/a/x");
    sync_dir(&disk, "/a");
    write(&disk, "/a/y");
    disk.fail_after(0, ErrorKind::Other);
    disk.sync_all(Path::new("/")).unwrap_err();
    disk.sync_all(Path::new("/")).unwrap();
    let found = disk.reboot(DataLoss::AllUnflushed);
    assert_eq!(files(&found), [("/a/x".into(), String::new())]);
}

#[test]
fn a_failed_flush_affects_neither_durable_data_nor_later_writes() {
    let disk = two_dirs_with(&["/a/x"]);
    disk.fail_after(0, ErrorKind::Other);
    disk.sync_all(Path::new("/")).unwrap_err();
    write(&disk, "/a/y");
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(files(&disk.reboot(DataLoss::AllUnflushed)), files(&disk));
}

#[test]
fn a_refusal_lasts_until_it_is_dropped() {
    let disk = two_dirs();
    let full = disk.refuse(|op, _| (op == DiskOp::Write).then_some(ErrorKind::StorageFull));
    for _ in 0..2 {
        let error = write_durably(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        disk.remove_file(Path::new("/a/x")).unwrap();
    }
    drop(full);
    write_durably(&disk).unwrap();
}

#[test]
fn reads_can_be_refused_by_path() {
    let disk = two_dirs_with(&["/a/x", "/a/y"]);
    let _refusal = disk.refuse(|op, path| {
        let is_x = op == DiskOp::Read && path.ends_with("x");
        is_x.then_some(ErrorKind::InvalidData)
    });
    let error = disk.read(Path::new("/a/x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    disk.stat(Path::new("/a/x")).unwrap();
    disk.read(Path::new("/a/y")).unwrap();
}

#[test]
fn a_rename_is_refused_by_its_new_name() {
    let disk = two_dirs_with(&["/a/x"]);
    let _refusal = disk.refuse(|op, path| {
        let is_y = op == DiskOp::Rename && path.ends_with("y");
        is_y.then_some(ErrorKind::PermissionDenied)
    });
    let [x, y] = ["/a/x", "/b/y"].map(Path::new);
    assert!(disk.rename(x, y).is_err());
    assert!(disk.rename_new(x, y).is_err());
    rename(&disk, "/a/x", "/b/x");
}

#[test]
fn a_reboot_releases_locks_and_clears_scheduled_faults() {
    let disk = FaultDisk::with(Capabilities {
        syncfs: false,
        ..Capabilities::ALL
    });
    let lock = Path::new("/disk/lock");
    let _guard = disk.lock(lock).unwrap();
    let _refusal = disk.refuse(|_, _| Some(ErrorKind::Other));
    disk.fail_after(0, ErrorKind::Other);
    disk.crash_after(0);
    let disk = disk.reboot(DataLoss::None);
    assert!(disk.lock(lock).unwrap().is_some());
    disk.create_dir(Path::new("/disk/store")).unwrap();
    assert!(!disk.syncs_all_at_once());
    assert!(
        FaultDisk::new()
            .reboot(DataLoss::AllUnflushed)
            .syncs_all_at_once()
    );
}
