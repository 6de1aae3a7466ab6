//! The lock of a kubo repo excludes kubo. Here another process takes the place of kubo.

use std::fs;
use std::path::{Path, PathBuf};

use ds_flatfs::{Error, FlatFs, KuboLock};
use tempfile::TempDir;

use crate::child::{self, Child};
use crate::platform::lock_as_kubo_does;
use crate::several_processes::assert_names;

/// A directory with the files that make it a kubo repo, and the path of its store.
fn repo() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config", "datastore_spec", "version"] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    let blocks = dir.path().join("blocks");
    (dir, blocks)
}

/// Takes the place of kubo: tries to take the lock at each line, and keeps it.
#[test]
#[ignore = "runs as a child process of other tests"]
fn kubo() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    let mut lock = None;
    while child::receive().is_some() {
        lock = lock.or_else(|| lock_as_kubo_does(&Path::new(&arguments[0]).join("repo.lock")));
        child::send(if lock.is_some() { "locked" } else { "refused" });
    }
}

fn start_kubo(repo: &Path) -> Child {
    Child::start("kubo_lock::kubo", &[repo.to_str().unwrap()])
}

#[tokio::test]
async fn kubo_cannot_start_while_a_writer_has_the_repo_and_can_afterwards() {
    let (repo, blocks) = repo();
    let options = || FlatFs::options().kubo_lock(true);
    let store = options().create(&blocks).await.unwrap();
    let mut kubo = start_kubo(repo.path());
    assert_eq!(kubo.request("start"), "refused");
    store.close().await.unwrap();
    assert_eq!(kubo.request("start"), "locked");
    let error = options().open(&blocks).await.unwrap_err();
    assert!(matches!(error, Error::KuboRunning { .. }), "{error:?}");
    assert_names(&error, &kubo);
    assert!(error.to_string().contains("kubo is running on the repo"));
    assert!(error.is_locked());
    kubo.kill();
    options()
        .open(&blocks)
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
}

#[tokio::test]
async fn without_the_option_or_for_reading_kubo_is_not_in_the_way() {
    let (repo, blocks) = repo();
    let store = FlatFs::options().create(&blocks).await.unwrap();
    let mut kubo = start_kubo(repo.path());
    assert_eq!(kubo.request("start"), "locked");
    store.close().await.unwrap();
    let options = FlatFs::options().read_only(true).kubo_lock(true);
    options.open(&blocks).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_second_open_in_this_process_does_not_release_the_lock() {
    let (repo, blocks) = repo();
    let lock = KuboLock::acquire(&blocks).await.unwrap().unwrap();
    let canonical = |path: &Path| path.canonicalize().unwrap();
    assert_eq!(canonical(lock.repo()), canonical(repo.path()));
    let second = KuboLock::acquire(&blocks).await.unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "{second:?}");
    let mut kubo = start_kubo(repo.path());
    assert_eq!(kubo.request("start"), "refused");
    drop(lock);
    assert_eq!(kubo.request("start"), "locked");
}

#[tokio::test]
async fn a_store_outside_of_a_repo_has_no_such_lock() {
    let (repo, blocks) = repo();
    fs::remove_file(repo.path().join("datastore_spec")).unwrap();
    assert!(KuboLock::acquire(&blocks).await.unwrap().is_none());
    assert!(!repo.path().join("repo.lock").exists());
}
