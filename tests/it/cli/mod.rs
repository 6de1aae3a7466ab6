//! The program `flatfs`, run as a user runs it.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests read and write the files of stores"
)]

mod bad_cars;
mod cars;
mod convert;
mod copy;
mod dag;
mod export;
mod gc;
mod import;
mod interrupts;
mod kubo;
mod lost_sharding;
mod move_reshard;
mod put_get;
mod scrub;
#[cfg_attr(windows, path = "no_terminal.rs")]
mod terminal;
mod untrusted_data;
#[cfg(feature = "object-store")]
mod urls;
mod usability;
mod verify;
mod whole_store;
#[cfg(windows)]
mod windows;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::platform::with_own_console;

/// The exit status and the output of the program.
#[derive(Debug)]
struct Finished {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Finished {
    fn of(output: Output) -> Self {
        Finished {
            code: output.status.code().expect("no signal"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8")
    }

    fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    /// Asserts that it failed with this exit status and one line with all of these parts.
    #[track_caller]
    fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} in {self:?}");
        }
    }

    /// Asserts that it succeeded with a warning of one line with all of these parts.
    #[track_caller]
    fn warned(&self, parts: &[&str]) {
        self.failed(0, parts);
    }

    /// Asserts that it was interrupted, said so, and ended with one line with all of these parts.
    #[track_caller]
    fn was_interrupted(&self, parts: &[&str]) {
        assert_eq!(self.code, 130, "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{self:?}");
        assert!(lines[0].contains("interrupted, cleaning up"), "{self:?}");
        for part in parts {
            assert!(lines[1].contains(part), "{part:?} in {self:?}");
        }
    }
}

fn program<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flatfs"));
    command.args(args);
    command
}

/// Starts the program with pipes, in a way that [`interrupt`](crate::platform::interrupt) reaches it alone.
fn start<S: AsRef<OsStr>>(args: &[S], stdin: Stdio) -> Child {
    let mut command = program(args);
    with_own_console(&mut command)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

/// Runs the program.
fn run<S: AsRef<OsStr>>(args: &[S]) -> Finished {
    let output = program(args).stdin(Stdio::null()).output();
    Finished::of(output.expect("the program runs"))
}

/// Runs the program, and asserts that it succeeds and writes nothing to standard error.
#[track_caller]
fn succeed<S: AsRef<OsStr>>(args: &[S]) -> Finished {
    let done = run(args);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    done
}

/// Runs the program with this input.
fn run_with_input<S: AsRef<OsStr>>(args: &[S], input: &[u8]) -> Finished {
    let mut child = program(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // The program may end before it has read everything.
    let _ = stdin.write_all(input);
    drop(stdin);
    Finished::of(child.wait_with_output().expect("the program ends"))
}

fn fixture(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    dir.join(name).to_str().expect("UTF-8").to_owned()
}

/// A temporary directory for a store and files.
struct TestDir(TempDir);

impl TestDir {
    fn new() -> Self {
        TestDir(tempfile::tempdir().expect("a directory"))
    }

    /// Returns a path with the separators of the system.
    fn path(&self, name: &str) -> String {
        let path = self
            .0
            .path()
            .components()
            .chain(Path::new(name).components());
        let path: PathBuf = path.collect();
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Returns the path of the store, which a test has to create.
    fn store(&self) -> String {
        self.path("store")
    }

    /// Creates a store with the blocks of this fixture, and returns its path.
    fn store_of(&self, car: &str) -> String {
        succeed(&["import", &self.store(), &fixture(car)]);
        self.store()
    }

    /// Unpacks a store of kubo, and returns its path.
    fn kubo_store(&self) -> String {
        let tar = fs::File::open(fixture("kubo-0.22-blocks.tar")).expect("the fixture");
        tar::Archive::new(tar)
            .unpack(self.0.path())
            .expect("unpacked");
        self.path("blocks")
    }

    fn file(&self, name: &str, contents: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, contents).expect("written");
        path
    }
}

/// Returns the block files of a store, including temporary ones.
fn files(store: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![PathBuf::from(store)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension() == Some(OsStr::new("data")) {
                found.insert(path.clone(), fs::read(path).expect("a file"));
            }
        }
    }
    found
}

fn keys(store: &str) -> Vec<String> {
    let mut keys: Vec<String> = succeed(&["ls", store])
        .lines()
        .into_iter()
        .map(str::to_owned)
        .collect();
    keys.sort();
    keys
}
