//! Permissions, links, special files and errors of Unix.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::io::Errno;

use super::*;
use crate::disk::unix::{full_sync_or, retry_while_out_of_descriptors};
use crate::disk::{Kind, is_not_opened};

pub(super) fn fifo(dir: &TempDir) -> PathBuf {
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fifo
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
fn a_rename_to_a_new_name_does_not_replace_a_dangling_link() {
    for rename_new in RENAMES {
        let dir = dir();
        let (from, link) = (file(&dir, "from"), dir.path().join("link"));
        symlink("absent", &link).unwrap();
        let renamed = rename_new(&from, &link);
        assert_eq!(kind_of(renamed), ErrorKind::AlreadyExists);
        assert_eq!(disk().stat(&link).unwrap().kind, Kind::Symlink);
    }
}

#[test]
fn where_a_file_can_have_no_second_name_it_is_moved() {
    // Even for errors that no list would contain: file systems without links return many different ones.
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
        let done = link_or(Err(errno.into()), || {
            is_moved = true;
            Ok(())
        });
        assert_eq!((is_moved, done.is_ok()), (moves, moves), "{errno}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_unnamed_is_created_by_a_temp_file() {
    use crate::disk::unix::Refused;
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
        let synced = full_sync_or(Err(errno.into()), || {
            is_synced = true;
            Ok(())
        });
        let expected = (falls_back, falls_back);
        assert_eq!((is_synced, synced.is_ok()), expected, "{errno}");
    }
}

#[test]
fn a_link_to_a_file_is_not_followed() {
    let dir = dir();
    let (file, link) = (file(&dir, "file"), dir.path().join("link"));
    symlink(&file, &link).unwrap();
    assert_eq!(disk().stat(&link).unwrap().kind, Kind::Symlink);
    assert!(disk().read(&link).is_err());
    assert!(disk().is_same(&file, &link).is_err());
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
    assert!(disk().read_at_most(&fifo, 4096).is_err());
    assert!(disk().copy_new(&fifo, &dir.path().join("copy")).is_err());
    assert!(is_not_opened(&disk().sync_file(&fifo).unwrap_err()));
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
fn even_an_old_lock_file_is_accessible_to_its_owner_only() {
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
