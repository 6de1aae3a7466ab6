//! [`OsDisk`] on the file system for temp files.

// Other systems return other errors for the same.
#[cfg(target_os = "linux")]
mod listing;

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process;

use rustix::io::Errno;
use tempfile::TempDir;

use super::lock::OsLock;
use super::*;
use crate::disk::retry::retry_while_out_of_descriptors;
use crate::disk::{Kind, is_not_opened, portable};

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

fn fifo(dir: &TempDir) -> PathBuf {
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fifo
}

fn kind_of<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("the operation must fail").kind()
}

#[test]
fn a_new_file_has_its_contents_and_its_mode() {
    let dir = dir();
    for (name, mode, sync) in [("a", 0o600, false), ("b", 0o400, true)] {
        let file = dir.path().join(name);
        disk().write_new(&file, b"contents", mode, sync).unwrap();
        assert_eq!(disk().read(&file).unwrap(), "contents");
        let found = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
    }
}

#[test]
fn a_copy_has_the_contents_and_the_permissions_of_its_source_whatever_the_umask_is() {
    let dir = dir();
    let long: Vec<u8> = (0..200_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    for (name, mode, contents) in [("a", 0o666, &long[..]), ("b", 0o400, b"")] {
        let (file, copy) = (dir.path().join(name), dir.path().join(name.repeat(2)));
        disk().write_new(&file, contents, 0o600, false).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            disk().copy_new(&file, &copy).unwrap(),
            contents.len() as u64
        );
        assert_eq!(fs::read(&copy).unwrap(), contents);
        let found = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
        assert!(disk().is_same(&file, &copy).unwrap());
        let again = disk().copy_new(&file, &copy);
        assert_eq!(kind_of(again), ErrorKind::AlreadyExists);
    }
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
    let link = dir.path().join("link");
    symlink(&one, &link).unwrap();
    assert!(disk().is_same(&one, &link).is_err());
    assert!(
        disk()
            .copy_new(&fifo(&dir), &dir.path().join("copy"))
            .is_err()
    );
}

#[test]
fn a_canonical_path_has_no_link_in_it_even_if_its_last_component_does_not_exist() {
    let dir = dir();
    let real = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir(real.join("store")).unwrap();
    symlink(&real, real.join("link")).unwrap();
    assert_eq!(
        canonical(&real.join("link/store")).unwrap(),
        real.join("store")
    );
    assert_eq!(canonical(&real.join("link/new")).unwrap(), real.join("new"));
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
fn a_file_that_is_created_whole_has_its_contents_and_its_mode_and_leaves_nothing_else() {
    for disk in with_and_without_unnamed_files() {
        let dir = dir();
        let [made, temp] = ["made", "temp"].map(|name| dir.path().join(name));
        disk.create_whole(&made, &temp, b"contents", 0o640).unwrap();
        assert_eq!(disk.read(&made).unwrap(), "contents");
        let mode = fs::metadata(&made).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(disk.list(dir.path()).unwrap().count(), 1);
    }
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

type Rename = fn(At<'_>, At<'_>) -> io::Result<()>;

const RENAMES: [Rename; 2] = [platform::rename_new, portable::rename_new];

#[test]
fn a_rename_to_a_new_name_replaces_nothing() {
    for rename_new in RENAMES {
        let dir = dir();
        let (from, taken) = (file(&dir, "from"), file(&dir, "taken"));
        let [free, absent] = ["free", "absent"].map(|name| dir.path().join(name));
        let rename_new = |from, to| rename_new(At::cwd(from), At::cwd(to));
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
fn a_rename_to_a_new_name_does_not_replace_a_dangling_link() {
    for rename_new in RENAMES {
        let dir = dir();
        let (from, link) = (file(&dir, "from"), dir.path().join("link"));
        symlink("absent", &link).unwrap();
        let renamed = rename_new(At::cwd(&from), At::cwd(&link));
        assert_eq!(kind_of(renamed), ErrorKind::AlreadyExists);
        assert_eq!(disk().stat(&link).unwrap().kind, Kind::Symlink);
    }
}

#[test]
fn where_a_file_can_have_no_second_name_it_is_moved() {
    // Also by errors that no list would have: file systems without links have many.
    for (errno, moves) in [
        (Errno::PERM, true),
        (Errno::ACCESS, true),
        (Errno::OPNOTSUPP, true),
        (Errno::NOTSUP, true),
        (Errno::NOSYS, true),
        (Errno::INVAL, true),
        (Errno::XDEV, true),
        (Errno::MLINK, true),
        (Errno::NOTTY, true),
        (Errno::from_raw_os_error(45), true),
        (Errno::EXIST, false),
        (Errno::NOENT, false),
        (Errno::NOSPC, false),
        (Errno::DQUOT, false),
        (Errno::IO, false),
        (Errno::ROFS, false),
    ] {
        let mut is_moved = false;
        let done = link_or(Err(errno), || {
            is_moved = true;
            Ok(())
        });
        assert_eq!((is_moved, done.is_ok()), (moves, moves), "{errno}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_unnamed_is_created_by_a_temp_file() {
    use crate::disk::linux::Refused;
    for (refused, by_temp, for_good) in [
        (Refused::Open(Errno::OPNOTSUPP), true, true),
        (Refused::Link(Errno::NOENT), true, true),
        (Refused::Open(Errno::NOTTY), true, false),
        (Refused::Link(Errno::ACCESS), true, false),
        (Refused::Open(Errno::NOENT), false, false),
        (Refused::Open(Errno::NOSPC), false, false),
        (Refused::Link(Errno::EXIST), false, false),
        (Refused::Link(Errno::IO), false, false),
        (Refused::Write(Errno::IO.into()), false, false),
    ] {
        let shown = format!("{refused:?}");
        let outcome = NotUnnamed::from(refused);
        assert_eq!(
            !matches!(outcome, NotUnnamed::Failed(_)),
            by_temp,
            "{shown}"
        );
        assert_eq!(
            matches!(outcome, NotUnnamed::Unsupported),
            for_good,
            "{shown}"
        );
    }
}

#[test]
fn a_plain_flush_is_done_where_the_file_system_has_no_full_one() {
    for (errno, falls_back) in [
        (Errno::NOTSUP, true),
        (Errno::NOTTY, true),
        (Errno::INVAL, true),
        (Errno::IO, false),
        (Errno::NOSPC, false),
    ] {
        let mut is_synced = false;
        let synced = platform::full_sync_or(Err(errno.into()), || {
            is_synced = true;
            Ok(())
        });
        let expected = (falls_back, falls_back);
        assert_eq!((is_synced, synced.is_ok()), expected, "{errno}");
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
    assert!(disk().read_at_most(&fifo(&dir), 4096).is_err());
}

#[test]
fn a_link_to_a_file_is_not_followed() {
    let dir = dir();
    let (file, link) = (file(&dir, "file"), dir.path().join("link"));
    symlink(&file, &link).unwrap();
    assert_eq!(disk().stat(&link).unwrap().kind, Kind::Symlink);
    assert!(disk().read(&link).is_err());
    assert!(disk().sync_file(&link).is_err());
    assert!(disk().lock(&link).is_err());
    let written = disk().write_new(&link, b"other", 0o600, false);
    assert_eq!(kind_of(written), ErrorKind::AlreadyExists);
    disk().remove_file(&link).unwrap();
    assert_eq!(disk().read(&file).unwrap(), "file");
}

#[test]
fn a_link_to_a_directory_is_not_followed() {
    let dir = dir();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    disk().create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    assert!(disk().list(&link).is_err());
    assert!(disk().sync_dir(&link).is_err());
    assert!(disk().sync_all(&link).is_err());
    assert!(portable::sync_all(&disk(), &link).is_err());
    assert!(disk().remove_dir(&link).is_err());
    assert_eq!(kind_of(disk().create_dir(&link)), ErrorKind::AlreadyExists);
}

#[test]
fn a_link_is_resolved_and_any_other_path_stays_as_it_is() {
    let dir = dir();
    let real = fs::canonicalize(dir.path()).unwrap().join("real");
    let link = dir.path().join("link");
    disk().create_dir(&real).unwrap();
    symlink("real", &link).unwrap();
    assert_eq!(resolve(link).unwrap(), real);
    let odd = dir.path().join("absent/../real");
    assert_eq!(resolve(odd.clone()).unwrap(), odd);
    let lost = dir.path().join("lost");
    symlink("absent", &lost).unwrap();
    assert_eq!(kind_of(resolve(lost)), ErrorKind::NotFound);
}

#[test]
fn no_operation_waits_for_the_other_end_of_a_fifo() {
    let dir = dir();
    let fifo = fifo(&dir);
    assert_eq!(disk().stat(&fifo).unwrap().kind, Kind::Other);
    assert_eq!(kind_of(disk().read(&fifo)), ErrorKind::InvalidInput);
    assert!(disk().sync_file(&fifo).is_err());
}

#[test]
fn everything_is_flushed_beside_entries_that_are_neither_files_nor_directories() {
    let dir = dir();
    disk().create_dir(&dir.path().join("below")).unwrap();
    for name in ["a", "below/b"] {
        file(&dir, name);
    }
    fifo(&dir);
    symlink("absent", dir.path().join("link")).unwrap();
    disk().sync_all(dir.path()).unwrap();
    portable::sync_all(&disk(), dir.path()).unwrap();
    let absent = dir.path().join("absent");
    assert_eq!(kind_of(disk().sync_all(&absent)), ErrorKind::NotFound);
    let synced = portable::sync_all(&disk(), &absent);
    assert_eq!(kind_of(synced), ErrorKind::NotFound);
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

#[test]
fn a_lock_file_is_of_its_owner_only_also_one_that_was_not() {
    let dir = dir();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let new = dir.path().join("new");
    let _guard = disk().lock(&new).unwrap().unwrap();
    assert_eq!(mode(&new), 0o600);
    let old = file(&dir, "old");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
    let held = File::open(&old).unwrap();
    held.try_lock_shared().unwrap();
    assert!(disk().lock(&old).unwrap().is_none());
    assert_eq!(mode(&old), 0o600, "the next user cannot open it");
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

#[test]
fn a_special_file_cannot_be_locked() {
    let dir = dir();
    assert_eq!(kind_of(disk().lock(&fifo(&dir))), ErrorKind::InvalidInput);
    assert!(disk().lock(dir.path()).is_err());
}

#[test]
fn a_flush_of_what_cannot_be_opened_says_so_unless_the_root_reaches_it() {
    let dir = dir();
    let disk = disk();
    let absent = dir.path().join("absent");
    for synced in [disk.sync_dir(&absent), disk.sync_file(&absent)] {
        let error = synced.unwrap_err();
        assert!(is_not_opened(&error) && error.kind() == ErrorKind::NotFound);
    }
    let _guard = disk.lock(&dir.path().join("lock")).unwrap().unwrap();
    for (errno, may_be_reached) in [
        (Errno::ACCESS, true),
        (Errno::NOENT, false),
        (Errno::LOOP, false),
    ] {
        let synced = disk.sync_opened(&absent, || Err(errno.into()));
        let is_reached = may_be_reached && disk.syncs_all_at_once();
        assert_eq!(synced.is_ok(), is_reached, "{errno}");
        assert!(synced.is_ok() || is_not_opened(&synced.unwrap_err()));
    }
    let outside = disk.sync_opened(Path::new("/"), || Err(Errno::ACCESS.into()));
    assert!(is_not_opened(&outside.unwrap_err()));
    assert!(!is_not_opened(&Errno::IO.into()));
}

#[test]
fn a_flush_waits_for_a_free_descriptor_unless_the_root_reaches_the_file() {
    let dir = dir();
    let (disk, path) = (disk(), file(&dir, "file"));
    let sync = |disk: &OsDisk| {
        let mut refusals = 0;
        let synced = disk.sync_opened(&path, || {
            refusals += 1;
            match refusals {
                1..30 => Err(Errno::MFILE.into()),
                _ => File::open(&path),
            }
        });
        synced.unwrap();
        refusals
    };
    assert_eq!(sync(&disk), 30);
    let _guard = disk.lock(&dir.path().join("lock")).unwrap().unwrap();
    let expected = if disk.syncs_all_at_once() { 1 } else { 30 };
    assert_eq!(sync(&disk), expected);
}

#[test]
fn only_a_lack_of_file_descriptors_is_waited_for() {
    use rustix::io::Errno;
    for (errno, tries) in [(Errno::MFILE, 3), (Errno::NFILE, 3), (Errno::ACCESS, 1)] {
        let mut tried = 0;
        let opened = retry_while_out_of_descriptors(|| {
            tried += 1;
            if tried < 3 { Err(errno.into()) } else { Ok(()) }
        });
        assert_eq!((opened.is_ok(), tried), (tries == 3, tries));
    }
}
