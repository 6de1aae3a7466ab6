//! Batches: staging, reads over the store, commits and discards.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use ds_flatfs::{Entry, Error, FlatBatch, Key, Query};
use futures::future::join_all;
use uuid::Uuid;

use crate::support::{
    Home, all, block, blocks, contents, fill, names, options, random_bytes, tree,
};

/// Returns what the store would have after the commit of a batch.
async fn merged(batch: &FlatBatch) -> BTreeMap<Key, Bytes> {
    let entries = all(batch.query(Query::new()).await.unwrap()).await;
    let found = entries.len();
    let merged: BTreeMap<_, _> = entries
        .into_iter()
        .map(|entry| (entry.key, entry.value.unwrap()))
        .collect();
    assert_eq!(merged.len(), found, "each key must be found once");
    merged
}

fn key(name: &str) -> Key {
    Key::new(name)
}

#[tokio::test]
async fn a_batch_has_its_own_directory_below_temp_until_it_ends() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let first = store.batch().await.unwrap();
    let second = store.batch().await.unwrap();
    let dirs = home.batch_dirs();
    assert_eq!(dirs.len(), 2);
    for dir in &dirs {
        Uuid::parse_str(dir.strip_prefix("batch-").unwrap()).unwrap();
    }
    first.put(&key("A"), "a".into()).await.unwrap();
    second.put(&key("B"), "b".into()).await.unwrap();
    assert!(!home.block(&key("A")).exists());
    first.commit().await.unwrap();
    home.wait_for_batch_dirs(1).await;
    second.discard().await.unwrap();
    home.wait_for_batch_dirs(0).await;
    assert_eq!(contents(&store).await, [(key("A"), "a".into())].into());
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_last_operation_on_a_key_wins_and_its_first_value_stays() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    for name in ["REVIVED", "DROPPED", "REPLACED"] {
        store.put(&key(name), "old".into()).await.unwrap();
    }
    let batch = store.batch().await.unwrap();
    batch.put(&key("REVIVED"), "first".into()).await.unwrap();
    batch.delete(&key("REVIVED")).await.unwrap();
    batch.put(&key("REVIVED"), "second".into()).await.unwrap();
    batch.put(&key("DROPPED"), "first".into()).await.unwrap();
    batch.delete(&key("DROPPED")).await.unwrap();
    batch.put(&key("REPLACED"), "first".into()).await.unwrap();
    batch.put(&key("REPLACED"), "second".into()).await.unwrap();
    batch.delete(&key("PUT")).await.unwrap();
    batch.put(&key("PUT"), "first".into()).await.unwrap();
    let expected: BTreeMap<Key, Bytes> = ["REVIVED", "REPLACED", "PUT"]
        .map(|name| (key(name), "first".into()))
        .into();
    assert_eq!(merged(&batch).await, expected);
    batch.commit().await.unwrap();
    assert_eq!(contents(&store).await, expected);
    store.close().await.unwrap();
}

#[tokio::test]
async fn reads_of_a_batch_see_its_writes_and_reads_of_the_store_do_not() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let stored = blocks(20);
    fill(&store, &stored).await;
    let batch = store.batch().await.unwrap();
    let mut expected = stored.clone();
    for deleted in stored.keys().take(5) {
        batch.delete(deleted).await.unwrap();
        expected.remove(deleted);
        assert_eq!(batch.get(deleted).await.unwrap(), None);
        assert!(!batch.has(deleted).await.unwrap());
    }
    for replaced in stored.keys().skip(15) {
        let value = random_bytes(9, 999);
        batch.put(replaced, value.clone()).await.unwrap();
        assert_eq!(batch.get_size(replaced).await.unwrap(), Some(999));
        assert_eq!(batch.get(replaced).await.unwrap(), Some(value.clone()));
        expected.insert(replaced.clone(), value);
    }
    let (new, value) = block(100);
    batch.put(&new, value.clone()).await.unwrap();
    expected.insert(new.clone(), value);
    assert_eq!(merged(&batch).await, expected);
    assert!(!store.has(&new).await.unwrap());
    assert_eq!(contents(&store).await, stored);

    let sizes = Query::new().keys_only().returns_sizes();
    let sizes = all(batch.query(sizes).await.unwrap()).await;
    let sizes: BTreeMap<Key, u64> = sizes
        .into_iter()
        .map(|Entry { key, size, .. }| (key, size.unwrap()))
        .collect();
    let lengths = expected
        .iter()
        .map(|(key, value)| (key.clone(), value.len() as u64));
    assert!(sizes.into_iter().eq(lengths));
    batch.commit().await.unwrap();
    assert_eq!(contents(&store).await, expected);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_discarded_batch_does_not_change_the_store() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(5)).await;
    let usage = store.disk_usage().await.unwrap();
    let batch = store.batch().await.unwrap();
    for (key, value) in blocks(40) {
        batch.put(&key, value).await.unwrap();
    }
    batch.delete(&block(0).0).await.unwrap();
    batch.discard().await.unwrap();
    assert_eq!(contents(&store).await, blocks(5));
    assert_eq!(store.disk_usage().await.unwrap(), usage);
    home.wait_for_batch_dirs(0).await;
    store.close().await.unwrap();
}

/// Many writes are still running when the batch is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_batch_is_removed_before_the_store_is_closed() {
    for round in 0..15 {
        let (home, store) = Home::with_store("next-to-last/2").await;
        let batch = store.batch().await.unwrap();
        for i in 0..40 {
            let value = random_bytes(i, 10_000);
            batch.put(&key(&format!("K{i}")), value).await.unwrap();
        }
        batch.delete(&key("ABSENT")).await.unwrap();
        drop(batch);
        store.close().await.unwrap();
        assert_eq!(home.temp_names(), [""; 0], "round {round}");
        assert_eq!(
            names(&home.store()).len(),
            5,
            "there must be no shard directory"
        );
    }
}

#[tokio::test]
async fn an_empty_batch_commits_and_changes_nothing() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(3)).await;
    let batch = store.batch().await.unwrap();
    batch.commit().await.unwrap();
    assert_eq!(contents(&store).await, blocks(3));
    home.wait_for_batch_dirs(0).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_with_only_deletes_removes_the_blocks() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(30)).await;
    let batch = store.batch().await.unwrap();
    for seed in 10..40 {
        batch.delete(&block(seed).0).await.unwrap();
    }
    assert_eq!(contents(&store).await, blocks(30));
    batch.commit().await.unwrap();
    assert_eq!(contents(&store).await, blocks(10));
    home.wait_for_batch_dirs(0).await;
    store.close().await.unwrap();
}

/// A test of go-ds-flatfs: nine batches with one common key.
#[tokio::test(flavor = "multi_thread")]
async fn several_batches_can_be_committed_concurrently() {
    for shard in ["prefix/2", "suffix/2", "next-to-last/2"] {
        let (home, store) = Home::with_store(shard).await;
        let mut expected = BTreeMap::from([(key("QUUX"), Bytes::from("foo"))]);
        let mut commits = Vec::new();
        for i in 0..9 {
            let batch = store.batch().await.unwrap();
            let (own, value) = (key(&format!("Q{i}X")), Bytes::from(format!("bar{i}")));
            batch.put(&key("QUUX"), "foo".into()).await.unwrap();
            batch.put(&own, value.clone()).await.unwrap();
            expected.insert(own, value);
            commits.push(tokio::spawn(batch.commit()));
        }
        for commit in join_all(commits).await {
            commit.unwrap().unwrap();
        }
        assert_eq!(contents(&store).await, expected);
        home.wait_for_batch_dirs(0).await;
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_new_batch_does_not_see_earlier_batches() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    for value in ["one", "two", "three"] {
        let discarded = store.batch().await.unwrap();
        discarded
            .put(&key("KEY"), "discarded".into())
            .await
            .unwrap();
        discarded.delete(&key("OTHER")).await.unwrap();
        discarded.discard().await.unwrap();
        let batch = store.batch().await.unwrap();
        batch.put(&key("KEY"), value.into()).await.unwrap();
        batch.put(&key("OTHER"), value.into()).await.unwrap();
        batch.commit().await.unwrap();
        for name in ["KEY", "OTHER"] {
            let found = store.get(&key(name)).await.unwrap();
            assert_eq!(found.as_deref(), Some(value.as_bytes()));
        }
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_reports_that_its_store_is_closed() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let [batch, committed] = [store.batch().await.unwrap(), store.batch().await.unwrap()];
    for batch in [&batch, &committed] {
        batch.put(&key("A"), "a".into()).await.unwrap();
    }
    store.close().await.unwrap();
    for error in [
        batch.put(&key("B"), "b".into()).await.unwrap_err(),
        batch.delete(&key("B")).await.unwrap_err(),
        batch.get(&key("A")).await.unwrap_err(),
        batch.has(&key("A")).await.unwrap_err(),
        batch.get_size(&key("A")).await.unwrap_err(),
        batch.query(Query::new()).await.err().unwrap(),
        committed.commit().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Closed), "{error}");
    }
    batch.discard().await.unwrap();
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(contents(&store).await, BTreeMap::new());
    home.wait_for_batch_dirs(0).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_of_a_thousand_blocks_is_committed_completely() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(1000)).await;
    assert_eq!(contents(&store).await, blocks(1000));
    home.wait_for_batch_dirs(0).await;
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tasks_can_put_into_one_batch() {
    for (writes, files) in [(16, 256), (1, 32), (64, 32)] {
        let home = Home::new();
        let options = options().write_concurrency(writes).max_open_files(files);
        let store = options.create(home.store()).await.unwrap();
        let batch = Arc::new(store.batch().await.unwrap());
        let puts = (0..200).map(|i| {
            let (batch, (key, value)) = (Arc::clone(&batch), block(i % 150));
            tokio::spawn(async move {
                batch.put(&key, value.clone()).await.unwrap();
                assert_eq!(batch.get(&key).await.unwrap(), Some(value));
            })
        });
        for put in join_all(puts).await {
            put.unwrap();
        }
        Arc::into_inner(batch).unwrap().commit().await.unwrap();
        assert_eq!(contents(&store).await, blocks(150));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_write_fails_its_batch_and_commits_nothing() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let batch = store.batch().await.unwrap();
    fs::remove_dir_all(home.in_store(".temp").join(&home.batch_dirs()[0])).unwrap();
    batch.put(&key("A"), "a".into()).await.unwrap();
    let before = tree(&home.store());
    let error = loop {
        // The write runs in the background, and a later call reports its failure.
        match batch.has(&key("A")).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::BatchFailed { .. }), "{error}");
    let path = error.path().unwrap();
    assert!(path.ends_with("A.data"), "{}", path.display());
    for error in [
        batch.put(&key("B"), "b".into()).await.unwrap_err(),
        batch.delete(&key("B")).await.unwrap_err(),
        batch.get(&key("B")).await.unwrap_err(),
        batch.commit().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::BatchFailed { .. }), "{error}");
    }
    assert_eq!(contents(&store).await, BTreeMap::new());
    assert_eq!(tree(&home.store()), before);
    store.close().await.unwrap();
}
