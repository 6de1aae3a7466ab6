//! The same operations on [`OsDisk`] and on the disk for tests have the same answers.

use std::io::{ErrorKind, Result};
use std::path::Path;

use proptest::prelude::*;

use crate::disk::{Disk, Kind, OsDisk};
use crate::testing::fault_disk::FaultDisk;

/// A few names, so that operations meet, also in places that are not for them.
const DIRS: [&str; 3] = ["d", "e", "d/f"];
const FILES: [&str; 6] = ["d/x", "d/y", "e/x", "e/y", "d/f/x", "x"];

#[derive(Clone, Debug)]
enum Action {
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

fn action() -> impl Strategy<Value = Action> {
    let dir = || prop::sample::select(&DIRS);
    let file = || prop::sample::select(&FILES);
    let either = || prop_oneof![3 => file(), 1 => dir()];
    // Of a rename to a directory above the file, systems say different things.
    let two = || {
        let is_above = |from: &str, to: &str| from != to && Path::new(from).starts_with(to);
        let two = (file(), either());
        two.prop_filter("above", move |(from, to)| !is_above(from, to))
    };
    let contents = prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        6 => dir().prop_map(Action::CreateDir),
        2 => either().prop_map(Action::RemoveDir),
        8 => (either(), contents).prop_map(|(file, contents)| Action::Write(file, contents)),
        4 => two().prop_map(|(from, to)| Action::Rename(from, to)),
        4 => two().prop_map(|(from, to)| Action::RenameNew(from, to)),
        3 => two().prop_map(|(from, to)| Action::LinkNew(from, to)),
        3 => two().prop_map(|(from, to)| Action::CopyNew(from, to)),
        2 => (file(), file()).prop_map(|(one, other)| Action::IsSame(one, other)),
        3 => either().prop_map(Action::RemoveFile),
        4 => either().prop_map(Action::Read),
        2 => either().prop_map(Action::Stat),
        2 => either().prop_map(Action::List),
        1 => either().prop_map(Action::Lock),
        1 => file().prop_map(Action::SyncFile),
        1 => either().prop_map(Action::SyncDir),
    ]
}

/// What an operation answers, as far as it is the same on every file system.
fn run(disk: &dyn Disk, root: &Path, action: &Action) -> std::result::Result<String, ErrorKind> {
    let at = |name: &str| root.join(name);
    let done = |result: Result<()>| result.map(|()| "done".to_owned());
    let answer = match action {
        Action::CreateDir(dir) => done(disk.create_dir(&at(dir))),
        Action::RemoveDir(dir) => done(disk.remove_dir(&at(dir))),
        Action::Write(file, contents) => done(disk.write_new(&at(file), contents, 0o600, false)),
        Action::Rename(from, to) => done(disk.rename(&at(from), &at(to))),
        Action::RenameNew(from, to) => done(disk.rename_new(&at(from), &at(to))),
        Action::LinkNew(from, to) => done(disk.link_new(&at(from), &at(to))),
        Action::CopyNew(from, to) => disk
            .copy_new(&at(from), &at(to))
            .map(|len| format!("{len} bytes")),
        Action::IsSame(one, other) => disk
            .is_same(&at(one), &at(other))
            .map(|is_same| format!("{is_same}")),
        Action::RemoveFile(file) => done(disk.remove_file(&at(file))),
        Action::Read(file) => disk.read(&at(file)).map(|contents| format!("{contents:?}")),
        Action::Stat(path) => disk.stat(&at(path)).map(|stat| match stat.kind {
            Kind::File => format!("a file of {} bytes", stat.len),
            kind => format!("{kind:?}"),
        }),
        Action::List(dir) => list(disk, &at(dir)),
        Action::Lock(file) => disk
            .lock(&at(file))
            .map(|lock| format!("{}", lock.is_some())),
        Action::SyncFile(file) => done(disk.sync_file(&at(file))),
        Action::SyncDir(dir) => done(disk.sync_dir(&at(dir))),
    };
    answer.map_err(|error| error.kind())
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<String> {
    let mut listed = disk.list(dir)?.collect::<Result<Vec<_>>>()?;
    listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(format!("{listed:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_same_operations_have_the_same_answers(
        actions in prop::collection::vec(action(), 0..40),
        is_locked: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        // Paths are looked up from the directory of the first lock.
        let locked = OsDisk::default();
        let _lock = locked.lock(&dir.path().join("lock")).unwrap();
        let fault_disk = FaultDisk::new();
        for action in &actions {
            let fresh = OsDisk::default();
            let disk = if is_locked { &locked } else { &fresh };
            let real = run(disk, dir.path(), action);
            let simulated = run(&fault_disk, Path::new("/disk"), action);
            prop_assert_eq!(simulated, real, "{:?}", action);
        }
        let real = tree(&locked, dir.path());
        prop_assert_eq!(tree(&fault_disk, Path::new("/disk")), real);
    }
}

/// Everything that is there at the end.
fn tree(disk: &dyn Disk, root: &Path) -> Vec<std::result::Result<String, ErrorKind>> {
    let paths = DIRS.iter().chain(&FILES);
    let looks = paths.flat_map(|path| [Action::List(path), Action::Read(path)]);
    looks.map(|look| run(disk, root, &look)).collect()
}
