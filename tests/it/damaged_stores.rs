//! Damaged stores, and files of the wrong kind.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{Error, FlatFs, Key, Query};
use futures::StreamExt;

use crate::platform::{OBSTACLES, symlink};
use crate::support::{Home, assert_clear, block, contents, exact_usage, options, tree, true_usage};

/// Returns the errors of opening the store for reading and for writing.
async fn open_errors(home: &Home) -> [Error; 3] {
    let reader = options().read_only(true);
    [
        options().open(home.store()).await.unwrap_err(),
        options().open_or_create(home.store()).await.unwrap_err(),
        reader.open(home.store()).await.unwrap_err(),
    ]
}

/// Returns the errors of all operations on a key whose path has something that is not a block.
async fn every_operation(store: &FlatFs, key: &Key) -> Vec<Error> {
    let entries = store.query(Query::new()).await.unwrap();
    let mut found: Vec<_> = entries
        .filter_map(async |entry| entry.err())
        .collect()
        .await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.extend([
        store.get(key).await.unwrap_err(),
        store.has(key).await.unwrap_err(),
        store.get_size(key).await.unwrap_err(),
        store.put(key, Bytes::from("new")).await.unwrap_err(),
        store.delete(key).await.unwrap_err(),
    ]);
    found
}

fn assert_unexpected(errors: Vec<Error>, path: &Path, found_there: &str) {
    for error in errors {
        assert!(matches!(error, Error::Unexpected { .. }), "{error}");
        assert_eq!(error.path(), Some(path));
        assert_clear(&error, path.to_str().unwrap());
        assert_clear(&error, found_there);
    }
}

/// Moves the block of a closed store outside. Returns its key, its old path and its new path.
fn move_block_outside(home: &Home) -> (Key, PathBuf, PathBuf) {
    let (key, _) = block(0);
    let (block_path, outside) = (home.block(&key), home.beside("outside.data"));
    fs::rename(&block_path, &outside).unwrap();
    (key, block_path, outside)
}

#[tokio::test]
async fn an_invalid_sharding_is_refused_with_a_clear_error() {
    let long = "x".repeat(1 << 20);
    let garbage: [&[u8]; 8] = [
        b"",
        b" \n",
        b"\x00\xff\x7fELF\x1b[31m",
        b"hello\nworld\n",
        b"/repo/flatfs/shard/v1/next-to-last/0\n",
        b"/repo/flatfs/shard/v1/next-to-last/99999999999999999999999\n",
        b"/repo/flatfs/shard/v2/next-to-last/2\n",
        long.as_bytes(),
    ];
    for contents in garbage {
        let home = Home::with_closed_store().await;
        fs::write(home.in_store("SHARDING"), contents).unwrap();
        let before = tree(&home.store());
        for error in open_errors(&home).await {
            assert_clear(&error, home.store().to_str().unwrap());
            assert_clear(&error, "SHARDING");
        }
        assert_eq!(tree(&home.store()), before);
    }
}

#[tokio::test]
async fn a_store_without_its_sharding_is_not_treated_as_an_empty_directory() {
    let home = Home::with_closed_store().await;
    fs::remove_file(home.in_store("SHARDING")).unwrap();
    let before = tree(&home.store());
    let errors = open_errors(&home).await;
    let created = options().create(home.store()).await.unwrap_err();
    for error in errors.into_iter().chain([created]) {
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
        assert_clear(&error, home.store().to_str().unwrap());
        assert_clear(&error, "SHARDING");
    }
    assert_eq!(tree(&home.store()), before);
}

#[tokio::test]
async fn a_sharding_that_is_not_a_file_is_refused() {
    for (make, _) in OBSTACLES {
        sharding_is_refused(make).await;
    }
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_sharding_that_is_a_symbolic_link_is_refused() {
    sharding_is_refused(|path| symlink("_README", path).unwrap()).await;
}

async fn sharding_is_refused(make: impl Fn(&Path)) {
    let home = Home::with_closed_store().await;
    let path = home.in_store("SHARDING");
    fs::remove_file(&path).unwrap();
    make(&path);
    for error in open_errors(&home).await {
        assert_clear(&error, path.to_str().unwrap());
    }
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn the_root_can_be_a_symbolic_link() {
    let home = Home::with_closed_store().await;
    let link = home.beside("link");
    symlink(home.store(), &link).unwrap();
    let store = options().open(&link).await.unwrap();
    let (key, value) = block(1);
    store.put(&key, value.clone()).await.unwrap();
    assert_eq!(
        contents(&store).await,
        [block(0), (key.clone(), value.clone())].into()
    );
    let error = options().open(home.store()).await.unwrap_err();
    assert!(error.is_locked(), "{error}");
    store.close().await.unwrap();
    assert_eq!(fs::read(home.block(&key)).unwrap(), value);
    assert!(fs::symlink_metadata(link).unwrap().is_symlink());
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_symlink_at_the_path_of_a_block_is_neither_followed_nor_replaced() {
    for is_dangling in [false, true] {
        let home = Home::with_closed_store().await;
        let (key, block_path, outside) = move_block_outside(&home);
        symlink(&outside, &block_path).unwrap();
        if is_dangling {
            fs::remove_file(&outside).unwrap();
        }
        let store = options().open(home.store()).await.unwrap();
        assert_unexpected(
            every_operation(&store, &key).await,
            &block_path,
            "symbolic link",
        );
        store.close().await.unwrap();
        assert_eq!(home.temp_names(), [""; 0]);
        assert_eq!(fs::read_link(&block_path).unwrap(), outside);
        assert_eq!(outside.exists(), !is_dangling);
        if !is_dangling {
            assert_eq!(fs::read(&outside).unwrap(), block(0).1);
        }
    }
}

#[tokio::test]
async fn a_directory_or_fifo_at_the_path_of_a_block_is_neither_read_nor_replaced() {
    for (make, name) in OBSTACLES {
        let home = Home::with_closed_store().await;
        let (key, block_path, _) = move_block_outside(&home);
        make(&block_path);
        let store = options().open(home.store()).await.unwrap();
        let before = fs::symlink_metadata(&block_path).unwrap().file_type();
        assert_unexpected(every_operation(&store, &key).await, &block_path, name);
        store.close().await.unwrap();
        assert_eq!(home.temp_names(), [""; 0]);
        assert_eq!(
            fs::symlink_metadata(&block_path).unwrap().file_type(),
            before
        );
    }
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_symlink_at_the_path_of_a_shard_directory_is_not_followed() {
    for is_dangling in [false, true] {
        let home = Home::with_closed_store().await;
        let (key, _) = block(0);
        let shard = home.block(&key).parent().unwrap().to_owned();
        let outside = home.beside("outside");
        fs::rename(&shard, &outside).unwrap();
        symlink(&outside, &shard).unwrap();
        if is_dangling {
            fs::remove_dir_all(&outside).unwrap();
        }
        let store = options().open(home.store()).await.unwrap();
        assert_unexpected(every_operation(&store, &key).await, &shard, "symbolic link");
        store.close().await.unwrap();
        assert_eq!(fs::read_link(&shard).unwrap(), outside);
        if !is_dangling {
            let files = tree(&outside);
            assert_eq!(files.len(), 2, "the directory and its block");
        }
    }
}

#[tokio::test]
async fn a_file_at_the_path_of_a_shard_directory_is_an_error_only_for_its_keys() {
    let home = Home::with_closed_store().await;
    let (key, _) = block(0);
    let shard = home.block(&key).parent().unwrap().to_owned();
    fs::remove_dir_all(&shard).unwrap();
    fs::write(&shard, "in the way").unwrap();
    let store = options().open(home.store()).await.unwrap();
    let put = store.put(&key, Bytes::new()).await.unwrap_err();
    let get = store.get(&key).await.unwrap_err();
    assert_unexpected(vec![put, get], &shard, "file");
    let (other, value) = block(1);
    store.put(&other, value.clone()).await.unwrap();
    assert_eq!(contents(&store).await, [(other, value)].into());
    store.close().await.unwrap();
    assert_eq!(fs::read(&shard).unwrap(), b"in the way");
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_symlink_at_the_path_of_temp_is_not_followed() {
    let home = Home::with_closed_store().await;
    let (temp, outside) = (home.in_store(".temp"), home.beside("outside"));
    fs::remove_dir(&temp).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "mine").unwrap();
    symlink(&outside, &temp).unwrap();
    let error = options().open(home.store()).await.unwrap_err();
    assert_unexpected(vec![error], &temp, "symbolic link");

    let home = Home::new();
    let temp = home.in_store(".temp");
    fs::create_dir(home.store()).unwrap();
    let outside = home.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "mine").unwrap();
    symlink(&outside, &temp).unwrap();
    let error = options().create(home.store()).await.unwrap_err();
    assert_unexpected(vec![error], &temp, "symbolic link");
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"mine");
    assert_eq!(fs::read_link(&temp).unwrap(), outside);
    assert!(!home.in_store("SHARDING").exists());
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_symlink_in_temp_is_removed_and_not_followed() {
    let home = Home::with_closed_store().await;
    let outside = home.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "mine").unwrap();
    symlink(&outside, home.in_store(".temp/batch-x")).unwrap();
    let store = options().open(home.store()).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"mine");
}

#[tokio::test]
async fn an_invalid_disk_usage_is_counted_again() {
    let home = Home::with_closed_store().await;
    for garbage in ["", "\0\0\0\0", "{\"diskUsage\":-1}", "[1,2,3]"] {
        fs::write(home.in_store("diskUsage.cache"), garbage).unwrap();
        // The open would create this file, which may change the size of the root.
        fs::write(home.in_store(".unclean"), "").unwrap();
        let expected = true_usage(&home.store());
        let store = options().open(home.store()).await.unwrap();
        assert_eq!(exact_usage(&store).await, expected, "{garbage:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_at_the_path_of_the_disk_usage_is_an_error_that_names_it() {
    let home = Home::with_closed_store().await;
    let path = home.in_store("diskUsage.cache");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = options().open(home.store()).await.unwrap_err();
    assert_clear(&error, path.to_str().unwrap());
    assert!(path.is_dir());
}
