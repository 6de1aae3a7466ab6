//! What only Windows has: its forms of paths, its names of devices, its share flags and attributes.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION,
};

use super::retry::{retry, with_one_bound};
use super::verbatim::{verbatim, without_verbatim};
use super::{At, RepoLock};
use crate::disk::{Disk, Kind, OsDisk};

type Hook = Box<dyn FnOnce()>;

thread_local! {
    /// What this thread runs before the first pause of a step that is retried.
    static BEFORE_PAUSE: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Called before each pause.
pub(super) fn run_before_pause() {
    if let Some(hook) = BEFORE_PAUSE.take() {
        hook();
    }
}

/// Makes a step that is retried close this file before its first pause. Otherwise the file stays open until the hook is
/// taken.
fn close_before_pause(file: File) {
    BEFORE_PAUSE.set(Some(Box::new(|| drop(file))));
}

fn disk() -> OsDisk {
    OsDisk::default()
}

#[test]
fn an_absolute_path_has_a_verbatim_form_and_is_shown_without_it() {
    for (path, expected) in [
        (r"C:\a\CON\b.", r"\\?\C:\a\CON\b."),
        (r"C:/a/./b/", r"\\?\C:\a\b"),
        (r"C:\", r"\\?\C:\"),
        (r"\\server\share\a", r"\\?\UNC\server\share\a"),
    ] {
        let found = verbatim(Path::new(path));
        assert_eq!(found.as_os_str(), expected);
        assert_eq!(verbatim(&found), found);
        let shown = without_verbatim(found.into_owned());
        assert_eq!(shown, PathBuf::from(path));
    }
    for other in [r"a\b", r"\a", "C:a", r"C:\a\..\b", r"\\.\pipe\x"] {
        assert_eq!(verbatim(Path::new(other)).as_os_str(), other);
        assert_eq!(without_verbatim(other.into()).as_os_str(), other);
    }
}

#[test]
fn names_of_devices_and_long_names_are_like_any_others() {
    let dir = tempfile::tempdir().unwrap();
    let long = "A".repeat(250);
    for (dir_name, key) in [
        ("CON", "NUL"),
        ("AUX", "COM1"),
        ("PRN", "LPT1."),
        ("AA", &long),
    ] {
        let shard = dir.path().join(dir_name);
        disk().create_dir(&shard).unwrap();
        let [file, temp] = ["data", "temp"].map(|end| shard.join(format!("{key}.{end}")));
        disk().create_whole(&file, &temp, b"block", 0o600).unwrap();
        assert_eq!(disk().read(&file).unwrap(), "block");
        let mut listing = disk().list(&shard).unwrap();
        let entry = listing.next_entry().unwrap().unwrap();
        assert_eq!(entry.name(), file.file_name().unwrap());
        assert_eq!((entry.kind, entry.stat().unwrap().len), (Kind::File, 5));
        assert_eq!(entry.read().unwrap(), "block");
        drop(listing);
        disk().sync_file(&file).unwrap();
        disk().sync_dir(&shard).unwrap();
        disk().link_new(&file, &temp).unwrap();
        disk().remove_file(&file).unwrap();
        disk().rename(&temp, &file).unwrap();
        disk().remove_file(&file).unwrap();
        disk().remove_dir(&shard).unwrap();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Runs a step that fails with this error a number of times. Returns its result, how often it was tried and how
/// long the pauses were.
fn fail(code: u32, times: usize) -> (io::Result<()>, usize, Duration) {
    let (mut tried, paused) = (0, Cell::new(Duration::ZERO));
    let step = || {
        tried += 1;
        if tried <= times {
            Err(io::Error::from_raw_os_error(code.try_into().unwrap()))
        } else {
            Ok(())
        }
    };
    let max_if_denied = Duration::from_millis(100);
    let result = retry(step, max_if_denied, |pause| {
        paused.set(paused.get() + pause)
    });
    (result, tried, paused.get())
}

#[test]
fn a_step_that_another_program_prevents_is_retried_within_a_bound() {
    for code in [
        ERROR_SHARING_VIOLATION,
        ERROR_LOCK_VIOLATION,
        ERROR_ACCESS_DENIED,
    ] {
        let (result, tried, _) = fail(code, 5);
        assert_eq!((result.is_ok(), tried), (true, 6));
    }
    let (result, _, paused) = fail(ERROR_SHARING_VIOLATION, usize::MAX);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert_eq!(error.to_string(), "another program has the file open");
    assert!((2000..2100).contains(&paused.as_millis()), "{paused:?}");
    let (result, _, paused) = fail(ERROR_ACCESS_DENIED, usize::MAX);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("or the access is denied"));
    assert!((100..200).contains(&paused.as_millis()), "{paused:?}");
    let (result, tried, _) = fail(ERROR_FILE_NOT_FOUND, usize::MAX);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(tried, 1);
}

#[test]
fn steps_with_one_bound_wait_as_long_as_one_step_in_all() {
    let in_use = || fail(ERROR_SHARING_VIOLATION, usize::MAX);
    let [(.., first), (_, tried, second)] = with_one_bound(|| [in_use(), in_use()]);
    assert!((2000..2100).contains(&first.as_millis()), "{first:?}");
    assert_eq!((tried, second), (1, Duration::ZERO));
    let (.., alone) = in_use();
    assert_eq!(alone, first);
}

#[test]
fn a_step_goes_on_when_the_other_program_closes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let [file, other] = ["file", "other"].map(|name| dir.path().join(name));
    type Step = fn(&Path, &Path) -> io::Result<()>;
    let steps: [Step; 4] = [
        |file, _| disk().read(file).map(drop),
        |file, _| disk().sync_file(file),
        |file, other| {
            disk().write_new(other, b"new", 0o600, false)?;
            disk().rename(other, file)?;
            assert_eq!(disk().read(file)?, "new");
            Ok(())
        },
        |file, _| disk().remove_file(file),
    ];
    disk().write_new(&file, b"contents", 0o600, false).unwrap();
    for (number, step) in steps.into_iter().enumerate() {
        let alone = File::options()
            .read(true)
            .share_mode(0)
            .open(&file)
            .unwrap();
        close_before_pause(alone);
        step(&file, &other).unwrap();
        assert!(
            BEFORE_PAUSE.take().is_none(),
            "step {number} was not retried"
        );
    }
    assert!(!file.exists());
}

#[test]
fn a_file_that_is_open_can_be_replaced_or_removed_once_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let [file, new] = ["file", "new"].map(|name| dir.path().join(name));
    disk().write_new(&file, b"old", 0o600, false).unwrap();
    disk().write_new(&new, b"new", 0o600, false).unwrap();
    // Opened as the store opens files: where Windows can replace an open file, nothing waits here.
    close_before_pause(At::cwd(&file).open_file().unwrap());
    disk().rename(&new, &file).unwrap();
    drop(BEFORE_PAUSE.take());
    assert_eq!(disk().read(&file).unwrap(), "new");
    close_before_pause(At::cwd(&file).open_file().unwrap());
    disk().remove_file(&file).unwrap();
    // The name is gone when the call returns, even where it stays until the last handle is closed.
    let found = disk().stat(&file);
    assert_eq!(found.unwrap_err().kind(), ErrorKind::NotFound);
    drop(BEFORE_PAUSE.take());
}

#[test]
fn a_file_that_this_process_has_open_is_removed_without_waiting_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let lock = disk().lock(&file).unwrap().unwrap();
    disk().remove_open_file(&file).unwrap();
    drop(lock);
    assert_eq!(disk().stat(&file).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_attribute_read_only_does_not_keep_a_file_from_being_flushed_replaced_or_removed() {
    let dir = tempfile::tempdir().unwrap();
    let [file, new] = ["file", "new"].map(|name| dir.path().join(name));
    let read_only = || {
        disk().write_new(&file, b"old", 0o600, false).unwrap();
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&file, permissions).unwrap();
    };
    read_only();
    disk().sync_file(&file).unwrap();
    disk().remove_file(&file).unwrap();
    read_only();
    disk().write_new(&new, b"new", 0o600, false).unwrap();
    disk().rename(&new, &file).unwrap();
    assert_eq!(disk().read(&file).unwrap(), "new");
}

/// Wine removes such a directory at once; Windows denies it.
#[test]
fn a_directory_with_the_attribute_read_only_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("below");
    disk().create_dir(&below).unwrap();
    let mut permissions = fs::metadata(&below).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&below, permissions).unwrap();
    disk().remove_dir(&below).unwrap();
    assert!(!below.exists());
}

/// A step that is denied is retried, and its error must not say that something else is in the way.
#[test]
fn a_denied_step_on_a_directory_is_not_an_error_about_the_kind_of_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let at = At::cwd(dir.path());
    let denied = || io::Error::from_raw_os_error(ERROR_ACCESS_DENIED.cast_signed());
    let mut tried = 0;
    let done = at.change_any(|| {
        tried += 1;
        if tried < 3 { Err(denied()) } else { Ok(()) }
    });
    assert!(done.is_ok());
    let done: io::Result<()> = at.change(|| Err(denied()));
    assert_eq!(done.unwrap_err().kind(), ErrorKind::IsADirectory);
}

#[test]
fn a_failed_flush_of_everything_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("below");
    disk().create_dir(&below).unwrap();
    let file = below.join("file");
    disk().write_new(&file, b"block", 0o600, false).unwrap();
    let open = File::options().read(true).share_mode(0).open(&file);
    let error = disk().sync_all(dir.path()).unwrap_err();
    assert!(crate::disk::is_not_opened(&error));
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    let expected = format!("{}: another program has the file open", file.display());
    assert_eq!(error.to_string(), expected);
    drop(open);
    disk().sync_all(dir.path()).unwrap();
}

/// Wine cannot resolve paths that long.
#[test]
fn a_path_that_cannot_be_resolved_is_made_absolute() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("a".repeat(200)).join("b".repeat(200));
    fs::create_dir_all(verbatim(&long)).unwrap();
    let name = long.join("name");
    let found = crate::disk::canonical(&name).unwrap();
    assert!(found.ends_with(name.strip_prefix(dir.path()).unwrap()));
    assert!(crate::disk::canonical(&dir.path().join("absent").join("name")).is_ok());
}

#[test]
fn errors_tell_what_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let [file, below] = ["file", "below"].map(|name| dir.path().join(name));
    disk().write_new(&file, b"", 0o600, false).unwrap();
    disk().create_dir(&below).unwrap();
    let kind = |done: io::Result<()>| done.unwrap_err().kind();
    let is_dir = ErrorKind::IsADirectory;
    assert_eq!(kind(disk().read(&below).map(drop)), is_dir);
    assert_eq!(kind(disk().remove_file(&below)), is_dir);
    assert_eq!(kind(disk().rename(&file, &below)), is_dir);
    let in_file = file.join("a").join("b");
    let not_a_dir = ErrorKind::NotADirectory;
    assert_eq!(kind(disk().stat(&in_file).map(drop)), not_a_dir);
    assert_eq!(
        kind(disk().write_new(&in_file, b"", 0o600, false)),
        not_a_dir
    );
    assert_eq!(kind(disk().remove_dir(&file)), not_a_dir);
    assert_eq!(kind(disk().list(&file).map(drop)), not_a_dir);
    let absent = dir.path().join("absent").join("file");
    assert_eq!(kind(disk().read(&absent).map(drop)), ErrorKind::NotFound);
}

#[test]
fn the_lock_of_a_repo_is_exclusive_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("repo.lock");
    let lock = RepoLock::try_acquire(&path).unwrap();
    assert!(lock.is_some());
    assert!(RepoLock::try_acquire(&path).unwrap().is_none());
    drop(lock);
    assert!(!path.exists());
    assert!(RepoLock::try_acquire(&path).unwrap().is_some());
}
