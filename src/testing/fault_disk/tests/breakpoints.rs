//! Operations wait at a breakpoint until the test removes it.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;

use super::{sync_dir, two_dirs, write};
use crate::disk::Disk;
use crate::testing::fault_disk::{DataLoss, DiskOp};

#[tokio::test]
async fn an_operation_waits_until_the_breakpoint_is_removed() {
    let disk = two_dirs();
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::CreateFile && path.starts_with("/a"));
    assert_eq!(breakpoint.arrived(), 0);
    let writer = disk.clone();
    let writer = thread::spawn(move || write(&writer, "/a/x"));
    breakpoint.reached().await;
    write(&disk, "/b/x");
    assert_eq!(disk.tree(), ["/a/", "/b/", "/b/x", "/disk/"]);
    drop(breakpoint);
    writer.join().unwrap();
    assert_eq!(disk.read_live("/a/x").unwrap(), "/a/x");
}

#[tokio::test]
async fn a_write_can_be_paused_between_its_halves() {
    let disk = two_dirs();
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::Write);
    let writer = disk.clone();
    let writer = thread::spawn(move || write(&writer, "/a/x"));
    breakpoint.reached().await;
    assert_eq!(disk.read(Path::new("/a/x")).unwrap(), "");
    drop(breakpoint);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_flush_that_fails_before_a_write_does_not_affect_the_write() {
    let disk = two_dirs();
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::Write);
    let writer = disk.clone();
    let writer = thread::spawn(move || write(&writer, "/a/x"));
    breakpoint.reached().await;
    sync_dir(&disk, "/a");
    disk.fail_after(0, ErrorKind::Other);
    disk.sync_all(Path::new("/")).unwrap_err();
    drop(breakpoint);
    writer.join().unwrap();
    disk.sync_file(Path::new("/a/x")).unwrap();
    let found = disk.reboot(DataLoss::AllUnflushed);
    assert_eq!(found.read_live("/a/x").unwrap(), "/a/x");
}

#[tokio::test]
async fn several_operations_wait_at_one_breakpoint() {
    let disk = two_dirs();
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::CreateFile);
    let writers = ["/a/x", "/a/y", "/b/z"].map(|file| {
        let disk = disk.clone();
        thread::spawn(move || write(&disk, file))
    });
    breakpoint.reached_by(3).await;
    assert_eq!(breakpoint.arrived(), 3);
    drop(breakpoint);
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(disk.tree().len(), 6);
}

#[tokio::test]
async fn a_paused_operation_sees_the_disk_as_it_is_when_it_continues() {
    let disk = two_dirs();
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::Stat);
    let reader = disk.clone();
    let reader = thread::spawn(move || reader.stat(Path::new("/a/x")));
    breakpoint.reached().await;
    write(&disk, "/a/x");
    drop(breakpoint);
    assert_eq!(reader.join().unwrap().unwrap().len, 4);
}

#[tokio::test]
async fn a_crash_makes_paused_operations_fail() {
    let disk = two_dirs();
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::RemoveDir);
    let remover = disk.clone();
    let remover = thread::spawn(move || remover.remove_dir(Path::new("/a")));
    breakpoint.reached().await;
    disk.crash_after(0);
    drop(breakpoint);
    remover.join().unwrap().unwrap_err();
    assert_eq!(disk.tree(), two_dirs().tree());
}
