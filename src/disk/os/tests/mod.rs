//! [`OsDisk`] on the file system for temp files.

// Other systems return different errors in the same situations.
#[cfg(target_os = "linux")]
mod listing;
#[cfg(unix)]
mod unix;

use std::fs::File;
use std::io::ErrorKind;
use std::process;

use tempfile::TempDir;

use super::lock::OsLock;
use super::*;
use crate::disk::portable;

fn disk() -> OsDisk {
    OsDisk::default()
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A file whose contents are its name.
fn file(dir: &TempDir, name: &str) -> PathBuf {
    let file = dir.path().join(name);
    let written = disk().write_new(&file, name.as_bytes(), 0o600, false);
    written.unwrap();
    file
}

fn kind_of<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("the operation must fail").kind()
}

#[test]
fn files_that_differ_anywhere_are_not_the_same() {
    let dir = dir();
    let contents = vec![7; 150_000];
    let one = dir.path().join("one");
    disk().write_new(&one, &contents, 0o600, false).unwrap();
    for at in [0, 65_535, 65_536, 149_999] {
        let mut changed = contents.clone();
        changed[at] = 8;
        let other = dir.path().join(format!("{at}"));
        disk().write_new(&other, &changed, 0o600, false).unwrap();
        assert!(!disk().is_same(&one, &other).unwrap());
    }
    let shorter = dir.path().join("shorter");
    let cut = &contents[1..];
    disk().write_new(&shorter, cut, 0o600, false).unwrap();
    assert!(!disk().is_same(&one, &shorter).unwrap());
}

#[test]
fn a_file_that_is_written_copied_or_created_whole_has_its_contents_and_leaves_nothing_else() {
    let long: Vec<u8> = (0..200_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    for disk in with_and_without_unnamed_files() {
        let dir = dir();
        let [written, copy, whole, temp] =
            ["written", "copy", "whole", "temp"].map(|name| dir.path().join(name));
        disk.write_new(&written, &long, 0o400, true).unwrap();
        assert_eq!(disk.copy_new(&written, &copy).unwrap(), 200_000);
        disk.create_whole(&whole, &temp, &long, 0o400).unwrap();
        for file in [&written, &copy, &whole] {
            assert_eq!(disk.read(file).unwrap(), long);
            assert!(disk.is_same(file, &written).unwrap());
            disk.sync_file(file).unwrap();
        }
        let again = disk.copy_new(&written, &copy);
        assert_eq!(kind_of(again), ErrorKind::AlreadyExists);
        assert_eq!(disk.list(dir.path()).unwrap().count(), 3);
        // Whatever the permissions of a file are, its directory decides whether it is replaced.
        disk.rename(&written, &whole).unwrap();
        disk.remove_file(&whole).unwrap();
        disk.sync_dir(dir.path()).unwrap();
    }
}

#[test]
fn a_path_whose_last_component_does_not_exist_has_a_canonical_form() {
    let dir = dir();
    let real = canonical(dir.path()).unwrap();
    let new = dir.path().join("new");
    assert_eq!(canonical(&new).unwrap(), real.join("new"));
    fs::create_dir(&new).unwrap();
    assert_eq!(canonical(&new).unwrap(), real.join("new"));
    let nowhere = real.join("missing/new");
    assert_eq!(canonical(&nowhere).unwrap(), nowhere);
}

#[test]
fn an_existing_file_is_not_written() {
    let dir = dir();
    let file = file(&dir, "a");
    let written = disk().write_new(&file, b"other", 0o600, false);
    assert_eq!(kind_of(written), ErrorKind::AlreadyExists);
    assert_eq!(disk().read(&file).unwrap(), "a");
}

/// This disk, and one on a file system that has no unnamed files.
fn with_and_without_unnamed_files() -> [OsDisk; 2] {
    let without = disk();
    without.lacks_unnamed_files.store(true, Ordering::Relaxed);
    [disk(), without]
}

#[test]
fn a_file_that_cannot_be_created_whole_changes_nothing() {
    for disk in with_and_without_unnamed_files() {
        let dir = dir();
        let (taken, temp) = (file(&dir, "taken"), dir.path().join("temp"));
        let made = disk.create_whole(&taken, &temp, b"other", 0o600);
        assert_eq!(kind_of(made), ErrorKind::AlreadyExists);
        assert_eq!(disk.read(&taken).unwrap(), "taken");
        let absent = dir.path().join("absent").join("made");
        let made = disk.create_whole(&absent, &temp, b"other", 0o600);
        assert_eq!(kind_of(made), ErrorKind::NotFound);
        assert_eq!(disk.list(dir.path()).unwrap().count(), 1);
    }
}

type Rename = fn(&Path, &Path) -> io::Result<()>;

/// The rename of this system, and the one for systems without such a call.
const RENAMES: [Rename; 2] = [
    |from, to| disk().rename_new(from, to),
    |from, to| portable::rename_new(&disk(), from, to),
];

#[test]
fn a_rename_to_a_new_name_replaces_nothing() {
    for rename_new in RENAMES {
        let dir = dir();
        let (from, taken) = (file(&dir, "from"), file(&dir, "taken"));
        let [free, absent] = ["free", "absent"].map(|name| dir.path().join(name));
        assert_eq!(kind_of(rename_new(&from, &taken)), ErrorKind::AlreadyExists);
        assert_eq!(kind_of(rename_new(&from, &from)), ErrorKind::AlreadyExists);
        assert_eq!(kind_of(rename_new(&absent, &taken)), ErrorKind::NotFound);
        assert_eq!(kind_of(rename_new(&absent, &free)), ErrorKind::NotFound);
        assert_eq!(disk().read(&taken).unwrap(), "taken");
        rename_new(&from, &free).unwrap();
        assert_eq!(disk().read(&free).unwrap(), "from");
        assert_eq!(kind_of(disk().stat(&from)), ErrorKind::NotFound);
    }
}

#[test]
fn a_file_that_is_longer_than_expected_is_not_read() {
    let dir = dir();
    let short = file(&dir, "four");
    assert_eq!(disk().read_at_most(&short, 4).unwrap(), "four");
    let read = disk().read_at_most(&short, 3);
    assert_eq!(kind_of(read), ErrorKind::FileTooLarge);
    let sparse = dir.path().join("sparse");
    File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
    let read = disk().read_at_most(&sparse, 4096);
    assert_eq!(kind_of(read), ErrorKind::FileTooLarge);
    let read = disk().read_at_most(dir.path(), 4096);
    assert_eq!(kind_of(read), ErrorKind::IsADirectory);
}

#[test]
fn a_lock_is_exclusive_until_it_is_dropped() {
    let dir = dir();
    let [file, other] = ["file", "other"].map(|name| dir.path().join(name));
    let guard = disk().lock(&file).unwrap();
    assert!(guard.is_some());
    assert!(disk().lock(&file).unwrap().is_none());
    assert!(disk().lock(&other).unwrap().is_some());
    drop(guard);
    assert!(disk().lock(&file).unwrap().is_some());
}

#[test]
fn a_lock_ends_with_its_guard_although_a_forked_process_has_inherited_the_descriptor() {
    let dir = dir();
    let path = file(&dir, "file");
    let file = File::open(&path).unwrap();
    file.try_lock().unwrap();
    let _inherited = file.try_clone().unwrap();
    drop(OsLock {
        file,
        process: process::id(),
    });
    assert!(disk().lock(&path).unwrap().is_some());
    assert_eq!(disk().read(&path).unwrap(), "file");
}

#[test]
fn a_forked_child_that_drops_the_guard_does_not_unlock_its_parent() {
    let dir = dir();
    let path = file(&dir, "file");
    let file = File::open(&path).unwrap();
    file.try_lock().unwrap();
    // The guard as the child sees it: of its parent's process, with the same open file.
    let in_the_child = OsLock {
        file: file.try_clone().unwrap(),
        process: process::id() + 1,
    };
    drop(in_the_child);
    assert!(disk().lock(&path).unwrap().is_none());
    drop(file);
    assert!(disk().lock(&path).unwrap().is_some());
}

/// A writer that tears a store down removes the lock file before it releases the lock.
#[test]
fn a_lock_of_a_file_that_has_been_removed_is_taken_anew() {
    let dir = dir();
    let (lock, moved) = (dir.path().join("lock"), dir.path().join("moved"));
    for _ in 0..200 {
        let first = disk().lock(&lock).unwrap().unwrap();
        let second = std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                loop {
                    if let Some(guard) = disk().lock(&lock).unwrap() {
                        return guard;
                    }
                }
            });
            fs::rename(&lock, &moved).unwrap();
            drop(first);
            second.join().unwrap()
        });
        // The file at the path is the one that is locked.
        assert!(disk().lock(&lock).unwrap().is_none());
        drop(second);
    }
}
