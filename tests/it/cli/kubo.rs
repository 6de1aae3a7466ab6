//! Commands that write to a store of a kubo repo, beside kubo.

use std::fs;

use ds_flatfs::KuboLock;

use super::{TestDir, fixture, run, succeed};

/// Creates a store in a kubo repo, and returns its path.
fn store_in_repo(tmp: &TestDir) -> String {
    let repo = tmp.path("repo");
    fs::create_dir(&repo).unwrap();
    for file in ["config", "datastore_spec", "version"] {
        tmp.file(&format!("repo/{file}"), b"");
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
    let version = |version: &[u8]| {
        tmp.file("repo/version", version);
    };
    let gc = ["gc", &store, "--remove-everything"];
    version(b"10\n");
    run(&gc).failed(3, &[&tmp.path("repo"), "version 10", "pins"]);
    succeed(&[
        "gc",
        "--dry-run",
        &store,
        "--remove-everything",
        "--ignore-kubo",
    ]);
    version(b"11\n");
    succeed(&gc);
}
