//! Commands that write to a store of a kubo repo, beside kubo.

use std::fs;

use ds_flatfs::KuboLock;

use super::{TestDir, fixture, run, succeed};

/// Creates a store in a kubo repo, and returns its path.
fn store_in_repo(tmp: &TestDir) -> String {
    let repo = tmp.path("repo");
    fs::create_dir(&repo).unwrap();
    for (file, contents) in [("config", ""), ("datastore_spec", ""), ("version", "12\n")] {
        tmp.file(&format!("repo/{file}"), contents.as_bytes());
    }
    let store = tmp.path("repo/blocks");
    succeed(&["import", &store, &fixture("hello.car")]);
    store
}

/// Takes the lock of the repo as kubo does. The program is another process.
fn lock(store: &str) -> KuboLock {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lock = runtime.block_on(KuboLock::acquire(store));
    lock.unwrap().expect("a repo")
}

#[test]
fn a_command_that_writes_is_refused_while_kubo_is_running() {
    let tmp = TestDir::new();
    let store = store_in_repo(&tmp);
    let (file, car, new) = (
        tmp.file("file", b"x"),
        fixture("small.car"),
        tmp.path("new"),
    );
    let held = lock(&store);
    for args in [
        &["put", &store, &file][..],
        &["import", &store, &car],
        &["rm", "--force", &store, "/A"],
        &["du", "--write", &store],
        &["verify", "--repair", &store],
        &["move", &store, &new],
        &["move", &new, &store],
        &["reshard", &store, "prefix/2"],
        &["gc", &store, "--remove-everything"],
        &["upgrade", &store, "2"],
        &["downgrade", &store],
    ] {
        let repo = tmp.path("repo");
        let done = run(args);
        done.failed(3, &["--ignore-kubo", "kubo is running", &repo]);
        let (stop, ignore) = (
            done.stderr.find("ipfs shutdown"),
            done.stderr.find("--ignore-kubo"),
        );
        assert!(stop < ignore, "{done:?}");
    }
    succeed(&["verify", &store]);
    succeed(&["ls", &store]);
    succeed(&["du", &store]);
    succeed(&["gc", "--dry-run", &store, "--remove-everything"]);
    succeed(&["put", "--ignore-kubo", &store, &file]);
    drop(held);
    succeed(&["put", &store, &file]);
}

#[test]
fn blocks_can_be_moved_within_a_repo() {
    let tmp = TestDir::new();
    let store = store_in_repo(&tmp);
    succeed(&["move", &store, &tmp.path("repo/new")]);
}

#[test]
fn a_collection_is_refused_in_a_repo_that_keeps_its_pins_in_blocks() {
    let tmp = TestDir::new();
    let store = store_in_repo(&tmp);
    let gc = ["gc", &store, "--remove-everything"];
    let ignoring = [&gc[..], &["--ignore-kubo"]].concat();
    for (version, named) in [("10", "version 10"), ("5", "version 5"), ("", "version")] {
        let file = tmp.file("repo/version", version.as_bytes());
        for args in [&gc[..], &ignoring, &[&gc[..], &["--dry-run"]].concat()] {
            run(args).failed(3, &[&tmp.path("repo"), named, "pins"]);
        }
        fs::remove_file(file).unwrap();
    }
    tmp.file("repo/version", b"11\n");
    succeed(&gc);
}

#[cfg(unix)]
#[test]
fn a_repo_is_found_by_a_link_in_it_to_a_store_elsewhere() {
    let tmp = TestDir::new();
    let store = store_in_repo(&tmp);
    let elsewhere = tmp.path("elsewhere");
    fs::rename(&store, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &store).unwrap();
    tmp.file("repo/version", b"7");
    run(&["gc", "-n", &store, "--remove-everything"]).failed(3, &["version 7"]);
}
