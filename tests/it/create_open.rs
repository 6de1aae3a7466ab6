//! How stores are created, opened and closed.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ds_flatfs::{Error, FlatFs, Key, Query, Shard};

use crate::support::{
    Home, assert_clear, block, contents, exact_usage, file_permissions, names, open_dropped,
    options, permissions, tree, true_usage,
};

fn shard(text: &str) -> Shard {
    text.parse().unwrap()
}

async fn refused(result: ds_flatfs::Result<FlatFs>, path: &Path) -> Error {
    let error = result.unwrap_err();
    assert_clear(&error, path.to_str().unwrap());
    error
}

#[tokio::test]
async fn create_writes_the_shard_function_and_a_readme_for_the_default_one() {
    for (short, has_readme) in [
        ("next-to-last/2", true),
        ("next-to-last/3", false),
        ("prefix/2", false),
        ("suffix/3", false),
    ] {
        let (home, store) = Home::with_store(short).await;
        store.close().await.unwrap();
        let line = format!("/repo/flatfs/shard/v1/{short}\n");
        assert_eq!(fs::read_to_string(home.in_store("SHARDING")).unwrap(), line);
        let others = names(&home.store());
        assert_eq!(
            others.contains(&"_README".to_owned()),
            has_readme,
            "{short}"
        );
        let sharding = home.in_store("SHARDING");
        assert_eq!(permissions(&sharding), file_permissions(&home, 0o644));
        if has_readme {
            let readme = home.in_store("_README");
            assert_eq!(permissions(&readme), file_permissions(&home, 0o444));
            assert!(fs::read_to_string(readme).unwrap().contains("flatfs"));
        }
    }
}

#[tokio::test]
async fn the_default_shard_function_is_that_of_kubo() {
    let home = Home::new();
    let store = options().create(home.store()).await.unwrap();
    assert_eq!(store.shard(), shard("next-to-last/2"));
    assert_eq!(store.path(), home.store());
    store.close().await.unwrap();
}

#[tokio::test]
async fn create_accepts_a_missing_or_empty_directory() {
    for exists in [false, true] {
        let home = Home::new();
        if exists {
            fs::create_dir(home.store()).unwrap();
        }
        let store = options().create(home.store()).await.unwrap();
        let (key, value) = block(1);
        store.put(&key, value).await.unwrap();
        store.close().await.unwrap();
        let found = names(&home.store());
        let mut expected = [".lock", ".temp", "SHARDING", "_README", "diskUsage.cache"].to_vec();
        let shard = shard("next-to-last/2").dir(&key.as_str()[1..]);
        expected.push(&shard);
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn create_refuses_an_existing_store_and_changes_nothing() {
    let home = Home::with_closed_store().await;
    let before = tree(&home.store());
    let same = options().create(home.store()).await;
    let error = refused(same, &home.store()).await;
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert!(error.to_string().contains("already"), "{error}");

    let other = options()
        .shard(shard("prefix/2"))
        .create(home.store())
        .await;
    let error = refused(other, &home.store()).await;
    assert!(matches!(error, Error::ShardMismatch { .. }), "{error}");
    for part in ["does not match", "prefix/2", "next-to-last/2"] {
        assert_clear(&error, part);
    }
    assert_eq!(tree(&home.store()), before);
}

#[tokio::test]
async fn create_refuses_a_directory_with_other_contents() {
    for name in ["notes.txt", "CI", ".git"] {
        let home = Home::new();
        fs::create_dir_all(home.in_store(name)).unwrap();
        let before = tree(&home.store());
        for result in [
            options().create(home.store()).await,
            options().open_or_create(home.store()).await,
        ] {
            let error = refused(result, &home.store()).await;
            assert!(matches!(error, Error::NotAStore { .. }), "{error}");
        }
        assert_eq!(tree(&home.store()), before);
    }
}

/// The store is as `rm -r store/[A-Z]*` leaves it.
#[tokio::test]
async fn create_does_not_trust_the_disk_usage_of_an_earlier_store() {
    let home = Home::with_closed_store().await;
    let names = names(&home.store()).into_iter();
    for name in names.filter(|name| name.starts_with(char::is_uppercase)) {
        let path = home.in_store(name);
        fs::remove_dir_all(&path)
            .or_else(|_| fs::remove_file(&path))
            .unwrap();
    }
    let wrong = "{\"diskUsage\":50000000000,\"accuracy\":\"initial-exact\"}\n";
    fs::write(home.in_store("diskUsage.cache"), wrong).unwrap();
    let store = options().open_or_create(home.store()).await.unwrap();
    assert_eq!(exact_usage(&store).await, true_usage(&home.store()));
    store.close().await.unwrap();
}

#[tokio::test]
async fn create_needs_the_parent_directory() {
    let home = Home::new();
    let path = home.beside("missing/store");
    let error = refused(options().create(&path).await, &path).await;
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    assert!(
        error.to_string().contains("parent directory is missing"),
        "{error}"
    );
    assert!(!home.beside("missing").exists());
}

#[tokio::test]
async fn open_refuses_what_is_not_a_store_and_creates_nothing() {
    let home = Home::new();
    fs::create_dir(home.beside("empty")).unwrap();
    fs::create_dir_all(home.beside("other/CI")).unwrap();
    fs::write(home.beside("file"), "not a directory").unwrap();
    let before = tree(&home.beside(""));
    for (name, reason) in [
        ("missing", "there is no such directory"),
        ("empty", "empty"),
        ("other", "SHARDING"),
        ("file", "not a directory"),
    ] {
        let path = home.beside(name);
        for read_only in [false, true] {
            let opened = options().read_only(read_only).open(&path).await;
            let error = refused(opened, &path).await;
            assert!(matches!(error, Error::NotAStore { .. }), "{error}");
            assert_clear(&error, reason);
        }
    }
    assert_eq!(tree(&home.beside("")), before);
}

#[tokio::test]
async fn open_refuses_a_store_with_another_shard_function_than_requested() {
    let home = Home::with_closed_store().await;
    let wanted = || options().shard(shard("suffix/2"));
    for result in [
        wanted().open(home.store()).await,
        wanted().open_or_create(home.store()).await,
    ] {
        let error = refused(result, &home.store()).await;
        assert!(matches!(error, Error::ShardMismatch { .. }), "{error}");
    }
    let same = options().shard(shard("next-to-last/2"));
    same.open(home.store())
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
}

#[tokio::test]
async fn open_or_create_opens_an_existing_store() {
    let home = Home::new();
    let (key, value) = block(1);
    let store = options().open_or_create(home.store()).await.unwrap();
    store.put(&key, value.clone()).await.unwrap();
    store.close().await.unwrap();
    let store = options().open_or_create(home.store()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(value));
    store.close().await.unwrap();
}

#[tokio::test]
async fn every_call_on_a_closed_store_fails_except_close() {
    let home = Home::with_closed_store().await;
    for read_only in [false, true] {
        let store = options()
            .read_only(read_only)
            .open(home.store())
            .await
            .unwrap();
        let clone = store.clone();
        store.close().await.unwrap();
        let (key, value) = block(0);
        for error in [
            clone.get(&key).await.unwrap_err(),
            clone.has(&key).await.unwrap_err(),
            clone.get_size(&key).await.unwrap_err(),
            clone.query(Query::new()).await.err().unwrap(),
            clone.put(&key, value).await.unwrap_err(),
            clone.delete(&key).await.unwrap_err(),
            clone.sync().await.unwrap_err(),
            clone.batch().await.unwrap_err(),
            clone.disk_usage().await.unwrap_err(),
        ] {
            assert!(error.is_closed(), "{error}");
        }
        clone.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_writer_is_refused_until_the_first_one_closes() {
    let home = Home::with_closed_store().await;
    let first = options().open(home.store()).await.unwrap();
    let batch = first.batch().await.unwrap();
    let (key, value) = block(1);
    batch.put(&key, value.clone()).await.unwrap();
    for result in [
        options().open(home.store()).await,
        options().open_or_create(home.store()).await,
    ] {
        let error = refused(result, &home.store()).await;
        assert!(error.is_locked(), "{error}");
    }
    batch.commit().await.unwrap();
    assert_eq!(first.get(&key).await.unwrap(), Some(value));
    first.close().await.unwrap();
    let second = options().open(home.store()).await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_what_a_concurrent_writer_writes() {
    let home = Home::with_closed_store().await;
    let writer = options().open(home.store()).await.unwrap();
    let reader = options().read_only(true).open(home.store()).await.unwrap();
    let (key, value) = block(1);
    assert_eq!(reader.get(&key).await.unwrap(), None);
    writer.put(&key, value.clone()).await.unwrap();
    assert_eq!(reader.get(&key).await.unwrap(), Some(value));
    assert_eq!(contents(&reader).await, contents(&writer).await);
    reader.close().await.unwrap();
    writer.delete(&key).await.unwrap();
    writer.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_refuses_writes_and_changes_nothing() {
    let home = Home::with_closed_store().await;
    fs::create_dir(home.in_store(".temp/batch-of-another-process")).unwrap();
    let before = tree(&home.store());
    let store = options().read_only(true).open(home.store()).await.unwrap();
    let (key, value) = block(0);
    for error in [
        store.put(&key, Bytes::new()).await.unwrap_err(),
        store.delete(&key).await.unwrap_err(),
        store.delete(&Key::new("/a")).await.unwrap_err(),
        store.batch().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
        assert_clear(&error, home.store().to_str().unwrap());
    }
    assert_eq!(store.get(&key).await.unwrap(), Some(value));
    assert_eq!(contents(&store).await.len(), 1);
    store.disk_usage().await.unwrap();
    store.sync().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(tree(&home.store()), before);

    let created = options().read_only(true).create(home.beside("new")).await;
    let error = created.unwrap_err();
    assert_clear(&error, "read_only");
    assert!(!home.beside("new").exists());
}

#[tokio::test]
async fn a_store_is_unchanged_after_a_close_and_an_open() {
    let (home, store) = Home::with_store("suffix/2").await;
    let (key, value) = block(1);
    store.put(&key, value).await.unwrap();
    let before = contents(&store).await;
    store.close().await.unwrap();
    assert!(!home.in_store(".unclean").exists());
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(store.shard(), shard("suffix/2"));
    assert_eq!(contents(&store).await, before);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_unchanged_after_its_handles_are_dropped() {
    let (home, store) = Home::with_store("suffix/2").await;
    let (key, value) = block(1);
    store.put(&key, value).await.unwrap();
    let before = contents(&store).await;
    drop(store);
    assert!(home.in_store(".unclean").exists());
    let store = open_dropped(&home.store()).await;
    assert_eq!(contents(&store).await, before);
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_open_removes_temporary_files_of_a_crash() {
    let home = Home::with_closed_store().await;
    let batch = home.in_store(".temp/batch-3e0f6f0c-8a55-4a38-8e8c-bd1f0d7b3f0a");
    fs::create_dir_all(batch.join("deeper")).unwrap();
    fs::write(batch.join("CIQX.data"), "half a bl").unwrap();
    fs::write(home.in_store(".temp/put-7"), "half a bl").unwrap();
    fs::write(home.in_store(".temp/temp-of-go-ds-flatfs"), "").unwrap();
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(contents(&store).await, [block(0)].into());
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
}

#[tokio::test]
async fn a_create_that_a_crash_interrupted_can_be_repeated() {
    let home = Home::new();
    fs::create_dir_all(home.in_store(".temp/batch-x")).unwrap();
    for name in ["_README", ".lock", ".temp/SHARDING"] {
        fs::write(home.in_store(name), "half").unwrap();
    }
    let error = refused(options().open(home.store()).await, &home.store()).await;
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    let store = options().create(home.store()).await.unwrap();
    assert!(fs::read(home.in_store("_README")).unwrap().len() > 100);
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
}
