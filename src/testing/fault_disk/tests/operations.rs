//! The operations succeed and fail as those of an operating system do.

use std::io::{ErrorKind, Result};
use std::path::Path;

use super::{files, rename, two_dirs, two_dirs_with, write};
use crate::disk::{DirEntry, Disk, Kind, Stat};
use crate::testing::fault_disk::FaultDisk;

fn kind_of<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("the operation must fail").kind()
}

fn write_new(disk: &FaultDisk, file: &str) -> Result<()> {
    disk.write_new(Path::new(file), b"new", 0o600, false)
}

#[test]
fn a_new_disk_has_one_empty_directory() {
    assert_eq!(FaultDisk::new().tree(), ["/disk/"]);
}

#[test]
fn clones_are_the_same_disk() {
    let disk = two_dirs();
    write(&disk.clone(), "/a/x");
    assert_eq!(disk.tree(), ["/a/", "/a/x", "/b/", "/disk/"]);
}

#[test]
fn a_written_file_can_be_read_and_is_listed_with_its_size() {
    let disk = two_dirs();
    write(&disk, "/a/z");
    write(&disk, "/a/x");
    disk.create_dir(Path::new("/a/y")).unwrap();
    assert_eq!(disk.read(Path::new("/a/x")).unwrap(), "/a/x");
    let (kind, len) = (Kind::File, 4);
    assert_eq!(disk.stat(Path::new("/a/x")).unwrap(), Stat { kind, len });
    let (kind, len) = (Kind::Dir, 4096);
    assert_eq!(disk.stat(Path::new("/a")).unwrap(), Stat { kind, len });
    let listed = disk.list(Path::new("/a")).unwrap();
    let listed: Vec<DirEntry> = listed.map(Result::unwrap).collect();
    let kinds = [("x", Kind::File), ("y", Kind::Dir), ("z", Kind::File)];
    let expected = kinds.map(|(name, kind)| DirEntry {
        name: name.into(),
        kind,
    });
    assert_eq!(listed, expected);
}

#[test]
fn a_rename_moves_a_file_and_replaces_another() {
    let disk = two_dirs_with(&["/a/x", "/b/x"]);
    rename(&disk, "/a/x", "/b/x");
    assert_eq!(files(&disk), [("/b/x".into(), "/a/x".into())]);
    rename(&disk, "/b/x", "/b/x");
    assert_eq!(files(&disk), [("/b/x".into(), "/a/x".into())]);
}

#[test]
fn a_rename_to_a_new_name_replaces_nothing() {
    let disk = two_dirs_with(&["/a/x", "/b/x"]);
    let [from, taken, free] = ["/a/x", "/b/x", "/b/y"].map(Path::new);
    assert_eq!(
        kind_of(disk.rename_new(from, taken)),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind_of(disk.rename_new(from, from)),
        ErrorKind::AlreadyExists
    );
    assert_eq!(disk.read(taken).unwrap(), "/b/x");
    disk.rename_new(from, free).unwrap();
    assert_eq!(disk.tree(), ["/a/", "/b/", "/b/x", "/b/y", "/disk/"]);
}

#[test]
fn files_and_empty_directories_are_removed() {
    let disk = two_dirs_with(&["/a/x"]);
    let (file, dir) = (Path::new("/a/x"), Path::new("/a"));
    assert_eq!(kind_of(disk.remove_dir(dir)), ErrorKind::DirectoryNotEmpty);
    disk.remove_file(file).unwrap();
    disk.remove_dir(dir).unwrap();
    assert_eq!(disk.tree(), ["/b/", "/disk/"]);
}

#[test]
fn an_absent_path_is_not_found() {
    let disk = two_dirs_with(&["/a/x"]);
    let [absent, present] = ["/a/absent", "/a/x"].map(Path::new);
    let orphan = Path::new("/absent/x");
    let errors = [
        disk.create_dir(orphan),
        write_new(&disk, "/absent/x"),
        disk.rename(absent, present),
        disk.rename(present, orphan),
        disk.rename_new(absent, present),
        disk.rename_new(present, orphan),
        disk.remove_file(absent),
        disk.remove_dir(absent),
        disk.read(absent).map(drop),
        disk.stat(absent).map(drop),
        disk.list(absent).map(drop),
        disk.sync_file(absent),
        disk.sync_dir(absent),
        disk.sync_all(absent),
        disk.lock(orphan).map(drop),
    ];
    assert_eq!(errors.map(kind_of), [ErrorKind::NotFound; 15]);
}

#[test]
fn an_existing_path_is_not_created_again() {
    let disk = two_dirs_with(&["/a/x"]);
    for path in ["/a", "/a/x"] {
        let made = disk.create_dir(Path::new(path));
        assert_eq!(kind_of(made), ErrorKind::AlreadyExists);
        assert_eq!(kind_of(write_new(&disk, path)), ErrorKind::AlreadyExists);
    }
    assert_eq!(disk.read_live("/a/x").unwrap(), "/a/x");
}

#[test]
fn file_operations_fail_on_a_directory() {
    let disk = two_dirs_with(&["/a/x"]);
    let (dir, file) = (Path::new("/b"), Path::new("/a/x"));
    let errors = [
        disk.rename(file, dir),
        disk.rename(dir, file),
        disk.remove_file(dir),
        disk.read(dir).map(drop),
        disk.sync_file(dir),
        disk.lock(dir).map(drop),
    ];
    assert_eq!(errors.map(kind_of), [ErrorKind::IsADirectory; 6]);
}

#[test]
fn directory_operations_fail_on_a_file() {
    let disk = two_dirs_with(&["/a/x"]);
    let (file, below) = (Path::new("/a/x"), Path::new("/a/x/y"));
    let errors = [
        disk.remove_dir(file),
        disk.list(file).map(drop),
        disk.sync_dir(file),
        disk.create_dir(below),
        disk.stat(below).map(drop),
        disk.rename(file, below),
    ];
    assert_eq!(errors.map(kind_of), [ErrorKind::NotADirectory; 6]);
}

#[test]
fn a_planted_symlink_is_visible_but_not_followed() {
    let disk = two_dirs();
    disk.plant("/a/link", Kind::Symlink);
    let link = Path::new("/a/link");
    assert_eq!(disk.stat(link).unwrap().kind, Kind::Symlink);
    assert_eq!(kind_of(disk.read(link)), ErrorKind::InvalidInput);
    assert_eq!(kind_of(disk.list(link)), ErrorKind::NotADirectory);
    disk.remove_file(link).unwrap();
    assert_eq!(disk.tree(), two_dirs().tree());
}

#[test]
fn a_rename_to_another_file_system_fails() {
    let disk = two_dirs();
    disk.mount("/b");
    disk.plant("/a/x", Kind::File);
    let (from, to) = (Path::new("/a/x"), Path::new("/b/x"));
    let renamed = [disk.rename(from, to), disk.rename_new(from, to)];
    assert_eq!(renamed.map(kind_of), [ErrorKind::CrossesDevices; 2]);
    disk.rename(from, Path::new("/a/y")).unwrap();
    disk.copy_new(Path::new("/a/y"), to).unwrap();
    disk.rename_new(to, Path::new("/b/y")).unwrap();
}

#[test]
fn a_lock_is_exclusive_until_it_is_dropped() {
    let disk = two_dirs();
    let file = Path::new("/a/lock");
    let guard = disk.lock(file).unwrap();
    assert!(guard.is_some());
    assert!(disk.lock(file).unwrap().is_none());
    assert!(disk.lock(Path::new("/b/lock")).unwrap().is_some());
    drop(guard);
    assert!(disk.lock(file).unwrap().is_some());
    assert_eq!(disk.read(file).unwrap(), "");
}
