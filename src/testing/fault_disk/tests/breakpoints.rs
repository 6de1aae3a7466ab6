//! Operations that wait until they are let go.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;

use super::{sync_dir, two_dirs, write};
use crate::disk::Disk;
use crate::testing::fault_disk::{Loss, Op};

#[tokio::test]
async fn a_held_operation_waits_until_it_is_let_go() {
    let disk = two_dirs();
    let held = disk.hold(|op, path| op == Op::CreateFile && path.starts_with("/a"));
    assert_eq!(held.arrived(), 0);
    let writer = disk.clone();
    let writer = thread::spawn(move || write(&writer, "/a/x"));
    held.reached().await;
    write(&disk, "/b/x");
    assert_eq!(disk.tree(), ["/a/", "/b/", "/b/x", "/disk/"]);
    drop(held);
    writer.join().unwrap();
    assert_eq!(disk.read_live("/a/x").unwrap(), "/a/x");
}

#[tokio::test]
async fn a_write_can_be_held_between_its_halves() {
    let disk = two_dirs();
    let held = disk.hold(|op, _| op == Op::Write);
    let writer = disk.clone();
    let writer = thread::spawn(move || write(&writer, "/a/x"));
    held.reached().await;
    assert_eq!(disk.read(Path::new("/a/x")).unwrap(), "");
    drop(held);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_flush_that_fails_before_a_write_does_not_harm_it() {
    let disk = two_dirs();
    let held = disk.hold(|op, _| op == Op::Write);
    let writer = disk.clone();
    let writer = thread::spawn(move || write(&writer, "/a/x"));
    held.reached().await;
    sync_dir(&disk, "/a");
    disk.fail_after(0, ErrorKind::Other);
    disk.sync_all(Path::new("/")).unwrap_err();
    drop(held);
    writer.join().unwrap();
    disk.sync_file(Path::new("/a/x")).unwrap();
    let found = disk.reboot(Loss::All);
    assert_eq!(found.read_live("/a/x").unwrap(), "/a/x");
}

#[tokio::test]
async fn many_operations_are_held_at_once() {
    let disk = two_dirs();
    let held = disk.hold(|op, _| op == Op::CreateFile);
    let writers = ["/a/x", "/a/y", "/b/z"].map(|file| {
        let disk = disk.clone();
        thread::spawn(move || write(&disk, file))
    });
    held.reached_by(3).await;
    assert_eq!(held.arrived(), 3);
    drop(held);
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(disk.tree().len(), 6);
}

#[tokio::test]
async fn a_held_operation_finds_the_disk_as_it_is_when_it_is_let_go() {
    let disk = two_dirs();
    let held = disk.hold(|op, _| op == Op::Stat);
    let reader = disk.clone();
    let reader = thread::spawn(move || reader.stat(Path::new("/a/x")));
    held.reached().await;
    write(&disk, "/a/x");
    drop(held);
    assert_eq!(reader.join().unwrap().unwrap().len, 4);
}

#[tokio::test]
async fn a_machine_that_dies_takes_held_operations_with_it() {
    let disk = two_dirs();
    let held = disk.hold(|op, _| op == Op::RemoveDir);
    let remover = disk.clone();
    let remover = thread::spawn(move || remover.remove_dir(Path::new("/a")));
    held.reached().await;
    disk.crash_after(0);
    drop(held);
    remover.join().unwrap().unwrap_err();
    assert_eq!(disk.tree(), two_dirs().tree());
}
