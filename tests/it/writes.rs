//! Puts and deletes of single blocks, and the files that they create.

use std::fs::{self, File};

use bytes::Bytes;
use ds_flatfs::{Error, ExistingBlock, Key, Shard};
use futures::future::join_all;

use crate::platform::file_id;
use crate::support::{
    Home, block, block_path, exact_usage, file_permissions, names, new_dir, options, permissions,
    random_bytes,
};

#[tokio::test]
async fn a_block_file_has_only_its_bytes_and_is_where_the_shard_function_says() {
    for shard in ["prefix/2", "suffix/3", "next-to-last/2"] {
        let (home, store) = Home::with_store(shard).await;
        for (key, value) in [block(1), (Key::new("A"), random_bytes(2, 10))] {
            store.put(&key, value.clone()).await.unwrap();
            let path = block_path(shard.parse().unwrap(), &key);
            assert_eq!(fs::read(home.in_store(path)).unwrap(), value);
        }
        store.close().await.unwrap();
        assert_eq!(home.temp_names(), [""; 0]);
    }
}

/// Some versions of Windows remove a file only when the last program closes it.
#[tokio::test]
async fn an_acknowledged_put_after_a_delete_lasts_when_another_program_closes_the_old_file() {
    for existing_block in [ExistingBlock::Keep, ExistingBlock::Overwrite] {
        let home = Home::new();
        let options = options().existing_block(existing_block);
        let store = options.open_or_create(home.store()).await.unwrap();
        let (key, value) = block(1);
        store.put(&key, value.clone()).await.unwrap();
        let reader = File::open(home.block(&key)).unwrap();
        if let Err(error) = store.delete(&key).await {
            assert!(error.is_in_use(), "{error}");
        }
        let put = store.put(&key, value.clone()).await;
        drop(reader);
        if put.is_err() {
            assert_eq!(store.get(&key).await.unwrap(), None);
            store.put(&key, value.clone()).await.unwrap();
        }
        assert_eq!(store.get(&key).await.unwrap(), Some(value));
    }
}

#[tokio::test]
async fn a_later_put_replaces_the_block_whatever_its_size() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let key = Key::new("KEY");
    for length in [100, 5000, 10, 0, 1] {
        let value = random_bytes(length as u64, length);
        store.put(&key, value.clone()).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), Some(value.clone()));
        assert_eq!(store.get_size(&key).await.unwrap(), Some(length as u64));
        assert_eq!(fs::read(home.block(&key)).unwrap(), value);
    }
    assert_eq!(names(home.block(&key).parent().unwrap()), ["KEY.data"]);
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
}

#[tokio::test]
async fn a_block_of_any_size_is_read_as_it_was_put() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    for (name, size) in [("EMPTY", 0), ("TWO", 2 << 20), ("LARGE", 32 << 20)] {
        let key = Key::new(name);
        let value = Bytes::from(
            random_bytes(7, 4096)
                .iter()
                .copied()
                .cycle()
                .take(size)
                .collect::<Vec<u8>>(),
        );
        store.put(&key, value.clone()).await.unwrap();
        assert!(
            store.get(&key).await.unwrap() == Some(value.clone()),
            "{name}"
        );
        let batch = store.batch().await.unwrap();
        let other = Key::new(format!("{name}2"));
        batch.put(&other, value.clone()).await.unwrap();
        batch.commit().await.unwrap();
        assert!(fs::read(home.block(&other)).unwrap() == value, "{name}");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_delete_removes_the_file_and_ignores_an_absent_key() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let (key, value) = block(1);
    store.delete(&key).await.unwrap();
    assert!(!home.block(&key).parent().unwrap().exists());
    store.put(&key, value).await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(names(home.block(&key).parent().unwrap()), [""; 0]);
    store.delete(&key).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
async fn only_the_owner_can_read_blocks_unless_an_option_says_otherwise() {
    for mode in [None, Some(0o600), Some(0o640), Some(0o666)] {
        let home = Home::new();
        let options = match mode {
            Some(mode) => options().file_mode(mode),
            None => options(),
        };
        let store = options.create(home.store()).await.unwrap();
        let [(put, value), (batched, other)] = [block(1), block(2)];
        store.put(&put, value.clone()).await.unwrap();
        store.put(&put, value).await.unwrap();
        let batch = store.batch().await.unwrap();
        batch.put(&batched, other).await.unwrap();
        batch.commit().await.unwrap();
        let expected = file_permissions(&home, mode.unwrap_or(0o600));
        for key in [put, batched] {
            assert_eq!(permissions(&home.block(&key)), expected, "{mode:?}");
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
async fn other_users_can_list_directories() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let [(put, value), (batched, other)] = [block(1), block(2)];
    store.put(&put, value).await.unwrap();
    let batch = store.batch().await.unwrap();
    batch.put(&batched, other).await.unwrap();
    batch.commit().await.unwrap();
    let (expected, _) = new_dir(&home);
    for dir in [
        home.store(),
        home.in_store(".temp"),
        home.block(&put).parent().unwrap().to_owned(),
        home.block(&batched).parent().unwrap().to_owned(),
    ] {
        assert_eq!(permissions(&dir), expected, "{}", dir.display());
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn existing_blocks_are_replaced_only_if_their_size_differs_with_the_option_keep() {
    for (policy, is_old) in [
        (ExistingBlock::Keep, true),
        (ExistingBlock::Overwrite, false),
    ] {
        let home = Home::new();
        let store = options()
            .existing_block(policy)
            .create(home.store())
            .await
            .unwrap();
        let key = Key::new("KEY");
        store.put(&key, "before".into()).await.unwrap();
        let id = |key: &Key| file_id(&home.block(key));
        let first = id(&key);
        store.put(&key, "second".into()).await.unwrap();
        assert_eq!(id(&key) == first, is_old);
        assert_eq!(store.get(&key).await.unwrap().unwrap() == "before", is_old);
        let batch = store.batch().await.unwrap();
        batch.put(&key, "batch!".into()).await.unwrap();
        batch.commit().await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().unwrap() == "before", is_old);

        store.put(&key, "longer than before".into()).await.unwrap();
        assert_eq!(
            store.get(&key).await.unwrap().unwrap(),
            "longer than before"
        );
        let batch = store.batch().await.unwrap();
        batch.put(&key, "short".into()).await.unwrap();
        batch.commit().await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().unwrap(), "short");
        store.close().await.unwrap();
        assert_eq!(home.temp_names(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_puts_of_one_key_leave_one_complete_block() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let empty = exact_usage(&store).await;
    let key = Key::new("KEY");
    let values: Vec<Bytes> = (0..64)
        .map(|i| random_bytes(i % 8, 1000 + i as usize % 8))
        .collect();
    let puts = values.iter().map(|value| {
        let (store, key, value) = (store.clone(), key.clone(), value.clone());
        tokio::spawn(async move { store.put(&key, value).await })
    });
    for put in join_all(puts).await {
        put.unwrap().unwrap();
    }
    let stays = store.get(&key).await.unwrap().unwrap();
    assert!(values.contains(&stays));
    assert_eq!(names(home.block(&key).parent().unwrap()), ["KEY.data"]);
    let (_, dir_size) = new_dir(&home);
    let grown = exact_usage(&store).await - empty;
    assert_eq!(grown, dir_size + stays.len() as u64);
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
}

/// A test of go-ds-flatfs: concurrent puts and deletes of one key count no byte twice.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_puts_and_deletes_of_one_key_leave_the_true_disk_usage() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let key = Key::new("KEY");
    let put = |store: ds_flatfs::FlatFs, key: Key| async move {
        for _ in 0..50 {
            store.put(&key, "10bytes---".into()).await.unwrap();
        }
    };
    let delete = |store: ds_flatfs::FlatFs, key: Key| async move {
        for _ in 0..50 {
            store.delete(&key).await.unwrap();
        }
    };
    let empty = exact_usage(&store).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(tokio::spawn(put(store.clone(), key.clone())));
        tasks.push(tokio::spawn(delete(store.clone(), key.clone())));
    }
    for task in join_all(tasks).await {
        task.unwrap();
    }
    store.put(&key, "10bytes---".into()).await.unwrap();
    let (_, dir_size) = new_dir(&home);
    assert_eq!(exact_usage(&store).await, empty + dir_size + 10);
    store.delete(&key).await.unwrap();
    assert_eq!(exact_usage(&store).await, empty + dir_size);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_removed_shard_directory_is_created_again() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let (key, value) = block(1);
    store.put(&key, value.clone()).await.unwrap();
    let dir = home.block(&key).parent().unwrap().to_owned();
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
    store.delete(&key).await.unwrap();
    store.put(&key, value.clone()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(value));
    assert_eq!(store.shard(), Shard::default());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_removed_temp_directory_is_created_again() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let temp = home.in_store(".temp");
    let (key, value) = block(1);
    fs::remove_dir_all(&temp).unwrap();
    store.put(&key, value.clone()).await.unwrap();
    // A put that needs no temp file does not create the directory.
    fs::create_dir_all(&temp)
        .and_then(|()| fs::remove_dir_all(&temp))
        .unwrap();
    let batch = store.batch().await.unwrap();
    batch.put(&Key::new("OTHER"), value.clone()).await.unwrap();
    batch.commit().await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(value));
    assert!(store.has(&Key::new("OTHER")).await.unwrap());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_refuses_writes() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let (key, value) = block(1);
    store.close().await.unwrap();
    let error = store.put(&key, value).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    let error = store.delete(&key).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert!(!home.block(&key).exists());
}
