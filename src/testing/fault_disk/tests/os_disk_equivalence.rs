//! The same operations on [`OsDisk`] and on [`FaultDisk`] have the same results.

use std::io::{ErrorKind, Result};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::disk::{Disk, Kind, OsDisk};
use crate::testing::fault_disk::FaultDisk;
use crate::testing::proptest_config;

/// Few names, so that operations affect each other; some are of the wrong kind for an operation.
const DIRS: [&str; 3] = ["d", "e", "d/f"];
const FILES: [&str; 6] = ["d/x", "d/y", "e/x", "e/y", "d/f/x", "x"];

#[derive(Clone, Debug)]
enum DiskCall {
    CreateDir(&'static str),
    RemoveDir(&'static str),
    Write(&'static str, Vec<u8>),
    Rename(&'static str, &'static str),
    RenameNew(&'static str, &'static str),
    LinkNew(&'static str, &'static str),
    CopyNew(&'static str, &'static str),
    IsSame(&'static str, &'static str),
    RemoveFile(&'static str),
    Read(&'static str),
    Stat(&'static str),
    List(&'static str),
    Lock(&'static str),
    SyncFile(&'static str),
    SyncDir(&'static str),
}

fn disk_call() -> impl Strategy<Value = DiskCall> {
    let dir = || prop::sample::select(&DIRS);
    let file = || prop::sample::select(&FILES);
    let either = || prop_oneof![3 => file(), 1 => dir()];
    // Operating systems disagree about the error of a rename to a directory above the file.
    let two = || {
        let is_above = |from: &str, to: &str| from != to && Path::new(from).starts_with(to);
        let two = (file(), either());
        two.prop_filter("above", move |(from, to)| !is_above(from, to))
    };
    let contents = prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        6 => dir().prop_map(DiskCall::CreateDir),
        2 => either().prop_map(DiskCall::RemoveDir),
        8 => (either(), contents).prop_map(|(file, contents)| DiskCall::Write(file, contents)),
        4 => two().prop_map(|(from, to)| DiskCall::Rename(from, to)),
        4 => two().prop_map(|(from, to)| DiskCall::RenameNew(from, to)),
        3 => two().prop_map(|(from, to)| DiskCall::LinkNew(from, to)),
        3 => two().prop_map(|(from, to)| DiskCall::CopyNew(from, to)),
        2 => (file(), file()).prop_map(|(one, other)| DiskCall::IsSame(one, other)),
        3 => either().prop_map(DiskCall::RemoveFile),
        4 => either().prop_map(DiskCall::Read),
        2 => either().prop_map(DiskCall::Stat),
        2 => either().prop_map(DiskCall::List),
        1 => either().prop_map(DiskCall::Lock),
        1 => file().prop_map(DiskCall::SyncFile),
        1 => either().prop_map(DiskCall::SyncDir),
    ]
}

/// Runs an operation, and returns the part of its result that is the same on every file system.
fn run(disk: &dyn Disk, root: &Path, call: &DiskCall) -> std::result::Result<String, ErrorKind> {
    let at = |name: &str| root.join(name);
    let done = |result: Result<()>| result.map(|()| "done".to_owned());
    let has_two_reasons = cfg!(windows) && has_two_reasons(disk, root, call);
    let result = match call {
        DiskCall::CreateDir(dir) => done(disk.create_dir(&at(dir))),
        DiskCall::RemoveDir(dir) => done(disk.remove_dir(&at(dir))),
        DiskCall::Write(file, contents) => done(disk.write_new(&at(file), contents, 0o600, false)),
        DiskCall::Rename(from, to) => done(disk.rename(&at(from), &at(to))),
        DiskCall::RenameNew(from, to) => done(disk.rename_new(&at(from), &at(to))),
        DiskCall::LinkNew(from, to) => done(disk.link_new(&at(from), &at(to))),
        DiskCall::CopyNew(from, to) => disk
            .copy_new(&at(from), &at(to))
            .map(|len| format!("{len} bytes")),
        DiskCall::IsSame(one, other) => disk
            .is_same(&at(one), &at(other))
            .map(|is_same| format!("{is_same}")),
        DiskCall::RemoveFile(file) => done(disk.remove_file(&at(file))),
        DiskCall::Read(file) => disk.read(&at(file)).map(|contents| format!("{contents:?}")),
        DiskCall::Stat(path) => disk.stat(&at(path)).map(|stat| match stat.kind {
            Kind::File => format!("a file of {} bytes", stat.len),
            kind => format!("{kind:?}"),
        }),
        DiskCall::List(dir) => list(disk, &at(dir)),
        DiskCall::Lock(file) => disk
            .lock(&at(file))
            .map(|lock| format!("{}", lock.is_some())),
        DiskCall::SyncFile(file) => done(disk.sync_file(&at(file))),
        DiskCall::SyncDir(dir) => done(disk.sync_dir(&at(dir))),
    };
    result.map_err(|error| {
        if has_two_reasons {
            ErrorKind::Other
        } else {
            error.kind()
        }
    })
}

/// Returns whether both paths of a call are wrong. Windows may report the other one than Unix does.
fn has_two_reasons(disk: &dyn Disk, root: &Path, call: &DiskCall) -> bool {
    let (DiskCall::Rename(from, to)
    | DiskCall::RenameNew(from, to)
    | DiskCall::LinkNew(from, to)
    | DiskCall::CopyNew(from, to)) = call
    else {
        return false;
    };
    let kind = |path: &Path| disk.stat(path).map(|stat| stat.kind).ok();
    let (from, to) = (root.join(from), root.join(to));
    let is_to_wrong = kind(&to).is_some() || to.parent().and_then(kind) != Some(Kind::Dir);
    kind(&from) != Some(Kind::File) && is_to_wrong
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<String> {
    let mut listed = disk.list(dir)?.collect::<Result<Vec<_>>>()?;
    listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(format!("{listed:?}"))
}

/// Runs the same calls on both disks, and checks that the results and the files at the end are equal.
fn check_equivalence(calls: &[DiskCall], is_locked: bool) -> TestCaseResult {
    let dir = tempfile::tempdir().unwrap();
    // `OsDisk` looks paths up from the directory of its first lock.
    let locked = OsDisk::default();
    let _lock = locked.lock(&dir.path().join("lock")).unwrap();
    let fault_disk = FaultDisk::new();
    for call in calls {
        let fresh = OsDisk::default();
        let disk = if is_locked { &locked } else { &fresh };
        let real = run(disk, dir.path(), call);
        let simulated = run(&fault_disk, Path::new("/disk"), call);
        prop_assert_eq!(simulated, real, "{:?}", call);
    }
    let real = tree(&locked, dir.path());
    prop_assert_eq!(tree(&fault_disk, Path::new("/disk")), real);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: (proptest_config().cases / 2).max(1), ..proptest_config() })]

    #[test]
    fn the_same_operations_have_the_same_results(
        calls in prop::collection::vec(disk_call(), 0..40),
        is_locked: bool,
    ) {
        check_equivalence(&calls, is_locked)?;
    }
}

/// The smallest calls of a case in which the two disks once disagreed.
#[test]
fn a_link_from_an_absent_file_to_a_path_below_a_file_fails_alike() {
    let calls = [
        DiskCall::Write("d", Vec::new()),
        DiskCall::LinkNew("x", "d/x"),
    ];
    check_equivalence(&calls, false).unwrap();
}

/// Returns everything that is on the disk at the end.
fn tree(disk: &dyn Disk, root: &Path) -> Vec<std::result::Result<String, ErrorKind>> {
    let paths = DIRS.iter().chain(&FILES);
    let calls = paths.flat_map(|path| [DiskCall::List(path), DiskCall::Read(path)]);
    calls.map(|call| run(disk, root, &call)).collect()
}
