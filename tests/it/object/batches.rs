//! Batches of a datastore in an object store: what is sent, and when.

use std::sync::Arc;

use ds_flatfs::object::ObjectDatastore;
use ds_flatfs::{Accuracy, Batch, Datastore, Error, ExistingBlock, Key, Query};
use futures::{FutureExt, TryStreamExt};

use super::options;
use super::rigged::Rigged;

async fn open(store: &Arc<Rigged>) -> ObjectDatastore {
    options().open(store.clone()).await.unwrap()
}

async fn put(batch: &impl Batch, key: &str, value: &'static str) {
    batch.put(&Key::new(key), value.into()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_before_the_commit_and_a_discard_costs_no_request() {
    let store = Arc::new(Rigged::default());
    let datastore = open(&store).await;
    let before = store.requests();
    let batch = datastore.batch().await.unwrap();
    put(&batch, "A", "a").await;
    batch.delete(&Key::new("B")).await.unwrap();
    assert_eq!(batch.get(&Key::new("A")).await.unwrap().unwrap(), "a");
    assert!(!batch.has(&Key::new("B")).await.unwrap());
    Box::new(batch).discard().await.unwrap();
    assert_eq!(store.requests(), before);
}

#[tokio::test]
async fn a_commit_puts_first_and_then_deletes() {
    let store = Arc::new(Rigged::default());
    let batch = open(&store).await.batch().await.unwrap();
    batch.delete(&Key::new("A")).await.unwrap();
    put(&batch, "B", "b").await;
    batch.delete(&Key::new("C")).await.unwrap();
    batch.commit().await.unwrap();
    let log = store.log.lock().unwrap().clone();
    assert_eq!(log, ["put blocks/B", "delete blocks/A", "delete blocks/C"]);
}

#[tokio::test]
async fn a_commit_of_deletes_only_makes_them_with_one_request() {
    let store = Arc::new(Rigged::default());
    let datastore = open(&store).await;
    let batch = datastore.batch().await.unwrap();
    for i in 0..100 {
        batch.delete(&Key::new(format!("K{i}"))).await.unwrap();
    }
    let before = store.requests();
    batch.commit().await.unwrap();
    assert_eq!(store.requests(), before + 1);
}

#[tokio::test]
async fn a_failed_commit_says_what_is_stored_deletes_nothing_and_can_be_repeated() {
    let store = Arc::new(Rigged::default());
    let datastore = open(&store).await;
    datastore.put(&Key::new("OLD"), "old".into()).await.unwrap();
    *store.refused.lock().unwrap() = Some("blocks/B");
    let batch = datastore.batch().await.unwrap();
    put(&batch, "A", "a").await;
    put(&batch, "B", "b").await;
    batch.delete(&Key::new("OLD")).await.unwrap();
    let error = batch.commit().await.unwrap_err();
    assert!(error.is_permission_denied(), "{error}");
    let Error::PartlyStored {
        puts: 2,
        deleted: 0,
        deletes: 1,
        stored: 0..=1,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(datastore.has(&Key::new("OLD")).await.unwrap());

    *store.refused.lock().unwrap() = None;
    batch.commit().await.unwrap();
    for (key, there) in [("A", true), ("B", true), ("OLD", false)] {
        assert_eq!(datastore.has(&Key::new(key)).await.unwrap(), there, "{key}");
    }
}

#[tokio::test]
async fn a_commit_whose_future_is_dropped_continues_and_a_close_waits_for_it() {
    let store = Arc::new(Rigged::default());
    let datastore = open(&store).await;
    let batch = datastore.batch().await.unwrap();
    put(&batch, "A", "a").await;
    assert!(batch.commit().now_or_never().is_none());
    datastore.close().await.unwrap();
    assert_eq!(*store.log.lock().unwrap(), ["put blocks/A"]);
}

#[tokio::test]
async fn blocks_beyond_the_memory_limit_are_read_listed_and_committed_from_the_temp_file() {
    let store = Arc::new(Rigged::default());
    let datastore = options().batch_memory(3).open(store).await.unwrap();
    let batch = datastore.batch().await.unwrap();
    for (key, value) in [("A", "12"), ("B", "345"), ("C", "6789")] {
        put(&batch, key, value).await;
    }
    assert_eq!(batch.get(&Key::new("C")).await.unwrap().unwrap(), "6789");
    let entries = batch.query(Query::new()).await.unwrap();
    let values: Vec<_> = entries
        .map_ok(|entry| entry.value.unwrap())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(values, ["12", "345", "6789"]);
    batch.commit().await.unwrap();
    for (key, value) in [("A", "12"), ("B", "345"), ("C", "6789")] {
        assert_eq!(datastore.get(&Key::new(key)).await.unwrap().unwrap(), value);
    }
}

#[tokio::test]
async fn keep_sends_a_block_only_if_there_is_none_of_its_size() {
    let store = Arc::new(Rigged::default());
    let keep = options().existing_block(ExistingBlock::Keep);
    let datastore = keep.open(store.clone()).await.unwrap();
    for value in ["one", "two", "three"] {
        datastore.put(&Key::new("A"), value.into()).await.unwrap();
    }
    assert_eq!(*store.log.lock().unwrap(), ["put blocks/A", "put blocks/A"]);
    let found = datastore.get(&Key::new("A")).await.unwrap();
    assert_eq!(found.unwrap(), "three");
}

#[tokio::test]
async fn the_disk_usage_is_listed_once_and_then_grows_with_the_puts() {
    let store = Arc::new(Rigged::default());
    let datastore = open(&store).await;
    datastore.put(&Key::new("A"), "123".into()).await.unwrap();
    let listed = datastore.disk_usage().await.unwrap();
    assert_eq!((listed.bytes, listed.accuracy), (3, Accuracy::Exact));
    // Others may have written since.
    let cached = datastore.disk_usage().await.unwrap();
    assert_eq!((cached.bytes, cached.accuracy), (3, Accuracy::Approximate));
    datastore.put(&Key::new("B"), "45".into()).await.unwrap();
    let before = store.requests();
    let usage = datastore.disk_usage().await.unwrap();
    assert_eq!((usage.bytes, usage.accuracy), (5, Accuracy::Approximate));
    assert_eq!(store.requests(), before);
}
