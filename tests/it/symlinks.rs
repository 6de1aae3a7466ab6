//! Symbolic links to a store and inside a store.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests access the disk directly"
)]

use std::fs;

use bytes::Bytes;
use ds_flatfs::{Error, FlatFs, Key};

use crate::platform::symlink;
use crate::support;

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_store_can_be_used_through_a_symlink() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let store = FlatFs::options().create(&link).await.unwrap();
    let (key, value) = (Key::new("A"), Bytes::from_static(b"block"));
    store.put(&key, value.clone()).await.unwrap();
    assert_eq!(support::contents(&store).await.len(), 1);
    store.sync().await.unwrap();
    let usage = store.disk_usage().await.unwrap();
    assert_eq!(usage.bytes, support::true_usage(&real));
    let error = FlatFs::options().open(&real).await.unwrap_err();
    assert!(error.is_locked(), "{error:?}");
    store.close().await.unwrap();
    let with_slash = format!("{}/", link.display());
    let store = FlatFs::options().open(&with_slash).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(value));
    store.close().await.unwrap();
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_create_does_not_follow_a_symlink_at_the_path_of_temp() {
    let dir = tempfile::tempdir().unwrap();
    let (foreign, store) = (dir.path().join("foreign"), dir.path().join("store"));
    for dir in [&foreign, &store] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(foreign.join("file"), b"precious").unwrap();
    symlink(&foreign, store.join(".temp")).unwrap();
    let created = FlatFs::options().create(&store).await;
    assert_eq!(fs::read(foreign.join("file")).unwrap(), b"precious");
    let error = created.unwrap_err();
    assert_eq!(error.path(), Some(&*store.join(".temp")), "{error:?}");
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_symlink_at_the_path_of_a_shard_directory_or_block_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (foreign, path) = (dir.path().join("foreign"), dir.path().join("store"));
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("AAX.data"), b"foreign").unwrap();
    let store = FlatFs::options().create(&path).await.unwrap();
    symlink(&foreign, path.join("AA")).unwrap();
    fs::create_dir(path.join("BB")).unwrap();
    symlink(foreign.join("AAX.data"), path.join("BB/BBX.data")).unwrap();
    for key in ["AAX", "BBX"].map(Key::new) {
        let errors = [
            store.get(&key).await.map(drop),
            store.get_size(&key).await.map(drop),
            store.put(&key, Bytes::new()).await,
            store.delete(&key).await,
        ];
        for error in errors.map(Result::unwrap_err) {
            assert!(matches!(error, Error::Unexpected { .. }), "{error:?}");
        }
    }
    assert_eq!(fs::read(foreign.join("AAX.data")).unwrap(), b"foreign");
    store.close().await.unwrap();
}
