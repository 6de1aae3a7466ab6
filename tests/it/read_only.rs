//! Stores that cannot be written: on a read-only file system, and by a user without write permission.

use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;
use ds_flatfs::{Error, FlatFs, Key};

use crate::child::{self, Child};
use crate::mounts::Mount;
use crate::platform::{as_other_user, set_mode};
use crate::support::{self, Contents};

fn blocks() -> Contents {
    let block = |number| (Key::new(format!("A{number}")), Bytes::from(vec![1; number]));
    (0..20).map(block).collect()
}

/// Creates a store with [`blocks`] that other users may read, and returns its disk usage.
async fn make_store(path: &Path) -> u64 {
    let options = FlatFs::options().file_mode(0o644);
    let store = options.create(path).await.expect("a new store");
    for (key, value) in blocks() {
        store.put(&key, value).await.expect("a put");
    }
    let usage = store.disk_usage().await.expect("a disk usage");
    store.close().await.expect("a close");
    usage.bytes
}

async fn open_to_read(path: &Path) -> FlatFs {
    let options = FlatFs::options().read_only(true);
    options
        .open(path)
        .await
        .expect("the store must open read-only")
}

/// Checks every kind of read.
async fn assert_is_readable(store: &FlatFs, usage: u64) {
    assert_eq!(support::contents(store).await, blocks());
    for (key, value) in blocks() {
        let size = store.get_size(&key).await.expect("a size");
        assert_eq!(size, Some(value.len() as u64));
        assert_eq!(store.get(&key).await.expect("a read"), Some(value));
    }
    assert!(!store.has(&Key::new("ABSENT")).await.expect("a lookup"));
    assert_eq!(store.disk_usage().await.expect("a disk usage").bytes, usage);
    store
        .sync()
        .await
        .expect("a sync without writes must succeed");
}

async fn assert_refuses_writes(store: &FlatFs) {
    let key = Key::new("A1");
    let errors = [
        store.put(&key, Bytes::new()).await,
        store.delete(&key).await,
        store.batch().await.map(drop),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
    }
}

/// Returns the error kind of opening the store as a writer. The error must name a path in the store.
async fn writer_fails_to_open(path: &Path) -> ErrorKind {
    let error = FlatFs::options().open(path).await.expect_err("no writer");
    let named = error.path().expect("the error names a path");
    assert!(named.starts_with(path), "{error}");
    error.io_error().expect("an error of the system").kind()
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_store_on_a_read_only_file_system_can_be_read_and_not_written() {
    for mount in Mount::small_ones() {
        let path = mount.path().join("store");
        let usage = make_store(&path).await;
        mount.make_read_only();
        let store = open_to_read(&path).await;
        assert_is_readable(&store, usage).await;
        assert_refuses_writes(&store).await;
        let refusal = writer_fails_to_open(&path).await;
        assert_eq!(refusal, ErrorKind::ReadOnlyFilesystem);
        store.close().await.expect("a close");
    }
}

#[tokio::test]
async fn reads_change_nothing_on_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let usage = make_store(&path).await;
    let before = support::tree(&path);
    let store = open_to_read(&path).await;
    assert_is_readable(&store, usage).await;
    assert_refuses_writes(&store).await;
    store.close().await.expect("a close");
    assert_eq!(support::tree(&path), before);
}

#[tokio::test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
async fn a_process_without_write_permission_can_read() {
    let dir = tempfile::tempdir().expect("a directory");
    set_mode(dir.path(), 0o755);
    let path = dir.path().join("store");
    let usage = make_store(&path).await;
    let before = support::tree(&path);
    let arguments = [path.display().to_string(), usage.to_string()];
    let mut command = child::command(
        "read_only::unprivileged",
        &arguments.each_ref().map(|a| &**a),
    );
    match Child::spawn(as_other_user(&mut command)) {
        Ok(child) => child.wait_for_success(),
        Err(error) => eprintln!("skipped: no process of another user: {error}"),
    }
    assert_eq!(support::tree(&path), before);
}

#[test]
#[ignore = "a process of the test above"]
fn unprivileged() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    let path = Path::new(&arguments[0]);
    let usage = arguments[1].parse().expect("a disk usage");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open_to_read(path).await;
        assert_is_readable(&store, usage).await;
        assert_refuses_writes(&store).await;
        let refusal = writer_fails_to_open(path).await;
        assert_eq!(refusal, ErrorKind::PermissionDenied);
    });
}
