//! [`AutoBatch`]: writes that are collected and committed many at a time.

use std::sync::Arc;

use ds_flatfs::query::Order;
use ds_flatfs::wrappers::AutoBatch;
use ds_flatfs::{Accuracy, Datastore, Error, Key, Query};
use futures::FutureExt;

use super::rigged::{Call, Rigged};
use super::{get_many_values, keys, needs_no_later_key, put_all, shared, value};
use crate::support::{Home, assert_clear};

/// Returns batches of two writes over a rigged datastore.
fn batches_of_two() -> (Rigged, AutoBatch) {
    let inner = Rigged::new("inner");
    let batches = AutoBatch::new(shared(&inner)).max_writes(2);
    (inner, batches)
}

/// Waits until the inner datastore has had this many commits.
async fn committed(inner: &Rigged, commits: usize) {
    while inner.commits() < commits {
        tokio::task::yield_now().await;
    }
}

async fn inner_keys(inner: &Rigged) -> Vec<String> {
    keys(inner.inside(), Query::new()).await
}

#[tokio::test]
async fn writes_are_visible_at_once_and_committed_when_the_batch_is_full() {
    let (inner, batches) = batches_of_two();
    put_all(&batches, &[("/a", "1")]).await;
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("1"));
    assert_eq!(keys(&batches, Query::new()).await, ["/a"]);
    assert!(inner_keys(&inner).await.is_empty());
    put_all(&batches, &[("/b", "2"), ("/c", "3")]).await;
    committed(&inner, 1).await;
    assert_eq!(inner_keys(&inner).await, ["/a", "/b"]);
    assert_eq!(keys(&batches, Query::new()).await, ["/c", "/a", "/b"]);
}

#[tokio::test]
async fn values_are_committed_when_they_fill_the_batch() {
    let inner = Rigged::new("inner");
    let batches = AutoBatch::new(shared(&inner)).max_bytes(10);
    put_all(
        &batches,
        &[("/a", "12345678"), ("/a", "short"), ("/b", "1234")],
    )
    .await;
    tokio::task::yield_now().await;
    assert_eq!(inner.commits(), 0, "a value counts once");
    put_all(&batches, &[("/c", "1")]).await;
    committed(&inner, 1).await;
    assert_eq!(inner_keys(&inner).await, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn a_bulk_read_returns_collected_writes_and_makes_one_inner_call() {
    let inner = Rigged::new("inner");
    put_all(&inner, &[("/a", "1"), ("/b", "2"), ("/c", "3")]).await;
    let batches = AutoBatch::new(shared(&inner));
    put_all(&batches, &[("/a", "new"), ("/d", "4")]).await;
    batches.delete(&Key::new("/b")).await.unwrap();
    let wanted = ["/c", "/a", "/b", "/none", "/d", "/c"];
    let found = get_many_values(&batches, &wanted).await;
    let expected = [Some("3"), Some("new"), None, None, Some("4"), Some("3")];
    assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
    assert_eq!(inner.reads(), (0, 2), "one get_many, one has_many");
    needs_no_later_key(&batches, &wanted).await;
}

#[tokio::test]
async fn a_delete_is_collected_like_a_put() {
    let (inner, batches) = batches_of_two();
    put_all(&inner, &[("/a", "1"), ("/b", "2")]).await;
    batches.delete(&Key::new("/a")).await.unwrap();
    assert_eq!(value(&batches, "/a").await, None);
    assert_eq!(keys(&batches, Query::new()).await, ["/b"]);
    assert_eq!(inner_keys(&inner).await, ["/a", "/b"]);
    batches.delete(&Key::new("/absent")).await.unwrap();
    committed(&inner, 1).await;
    assert_eq!(inner_keys(&inner).await, ["/b"]);
}

#[tokio::test]
async fn flush_sync_and_close_commit_the_rest() {
    let (inner, batches) = batches_of_two();
    put_all(&batches, &[("/a", "1")]).await;
    batches.flush().await.unwrap();
    assert_eq!(inner_keys(&inner).await, ["/a"]);
    put_all(&batches, &[("/b", "2")]).await;
    batches.sync().await.unwrap();
    assert_eq!(inner_keys(&inner).await, ["/a", "/b"]);
    batches.flush().await.unwrap();
    assert_eq!(inner.commits(), 2, "there was nothing to commit");

    let home = Home::new();
    let store = crate::support::options()
        .create(home.store())
        .await
        .unwrap();
    let batches = AutoBatch::new(Arc::new(store));
    put_all(&batches, &[("/A", "1")]).await;
    batches.close().await.unwrap();
    let store = crate::support::options().open(home.store()).await.unwrap();
    assert_eq!(value(&store, "/A").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn uncommitted_writes_are_lost_without_a_close() {
    let (inner, batches) = batches_of_two();
    put_all(&batches, &[("/a", "1")]).await;
    drop(batches.clone());
    batches.flush().await.unwrap();
    put_all(&batches, &[("/b", "2")]).await;
    drop(batches);
    assert_eq!(inner_keys(&inner).await, ["/a"]);
}

#[tokio::test]
async fn a_failed_commit_is_reported_to_the_next_write_and_its_writes_stay() {
    let (inner, batches) = batches_of_two();
    inner.fail(Call::Commit);
    put_all(&batches, &[("/a", "1"), ("/b", "2")]).await;
    while inner.batches() == 0 {
        tokio::task::yield_now().await;
    }
    let key = Key::new("/c");
    let error = batches.put(&key, "3".into()).await.unwrap_err();
    assert_clear(&error, "Commit of inner failed");
    assert_eq!(value(&batches, "/c").await, None, "it was not accepted");
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("1"));
    assert_clear(
        &batches.flush().await.unwrap_err(),
        "Commit of inner failed",
    );

    inner.fail(None);
    put_all(&batches, &[("/c", "3")]).await;
    batches.flush().await.unwrap();
    assert_eq!(keys(&inner, Query::new()).await, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn a_later_write_replaces_one_of_a_failed_commit() {
    let (inner, batches) = batches_of_two();
    inner.fail(Call::Commit);
    inner.block_commits();
    put_all(&batches, &[("/a", "old"), ("/b", "2")]).await;
    while inner.batches() == 0 {
        tokio::task::yield_now().await;
    }
    put_all(&batches, &[("/a", "new")]).await;
    inner.release_commits();
    batches.flush().await.unwrap_err();
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("new"));
    inner.fail(None);
    batches.flush().await.unwrap();
    assert_eq!(value(&inner, "/a").await.as_deref(), Some("new"));
    assert_eq!(value(&inner, "/b").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn at_most_two_batches_are_in_memory_however_often_a_commit_fails() {
    let (inner, batches) = batches_of_two();
    inner.fail(Call::Commit);
    put_all(&batches, &[("/a", "1"), ("/b", "2")]).await;
    let mut acknowledged = vec!["/a".to_owned(), "/b".to_owned()];
    for round in 0..5 {
        inner.block_commits();
        let begun = inner.batches();
        let flush = tokio::spawn({
            let batches = batches.clone();
            async move { batches.flush().await }
        });
        while inner.batches() == begun {
            tokio::task::yield_now().await;
        }
        for number in 0..4 {
            let key = format!("/round{round}/{number}");
            let put = batches.put(&Key::new(&key), "3".into()).now_or_never();
            if let Some(Ok(())) = put {
                acknowledged.push(key);
            }
        }
        let waiting = keys(&batches, Query::new().order(Order::by_key())).await;
        assert_eq!(waiting, acknowledged);
        assert!(waiting.len() <= 4, "{waiting:?}");
        inner.release_commits();
        flush.await.unwrap().unwrap_err();
    }
    inner.fail(None);
    // The errors of commits that no caller waited for are returned first.
    while batches.flush().await.is_err() {}
    assert_eq!(inner_keys(&inner).await, acknowledged);
    put_all(&batches, &[("/x", "1"), ("/y", "2"), ("/z", "3")]).await;
}

#[tokio::test]
async fn a_rejected_write_is_reported_and_does_not_stop_the_others() {
    let (inner, batches) = batches_of_two();
    inner.reject("/rejected");
    put_all(&batches, &[("/a", "1"), ("/rejected", "2")]).await;
    assert_clear(&batches.flush().await.unwrap_err(), "\"/rejected\"");
    assert_eq!(inner_keys(&inner).await, ["/a"]);
    assert_eq!(value(&batches, "/rejected").await, None);
    batches.flush().await.unwrap();
}

#[tokio::test]
async fn a_put_dropped_while_it_waits_is_not_accepted_and_stops_no_commit() {
    let (inner, batches) = batches_of_two();
    inner.block_commits();
    put_all(&batches, &[("/a", "1"), ("/b", "2")]).await;
    while inner.batches() == 0 {
        tokio::task::yield_now().await;
    }
    put_all(&batches, &[("/c", "3"), ("/d", "4")]).await;
    let key = Key::new("/e");
    assert!(
        batches.put(&key, "5".into()).now_or_never().is_none(),
        "two batches are in memory"
    );
    assert_eq!(value(&batches, "/e").await, None);
    for key in ["/a", "/b", "/c", "/d"] {
        assert!(value(&batches, key).await.is_some(), "{key}");
    }
    inner.release_commits();
    committed(&inner, 2).await;
    assert_eq!(inner_keys(&inner).await, ["/a", "/b", "/c", "/d"]);
}

#[tokio::test]
async fn waiting_writes_are_committed_in_full_batches() {
    let inner = Rigged::new("inner");
    let batches = AutoBatch::new(shared(&inner)).max_writes(10);
    inner.block_commits();
    let keys: Vec<_> = (0..100).map(|i| Key::new(format!("/{i}"))).collect();
    let puts = keys.iter().map(|key| batches.put(key, "value".into()));
    let opened = async { inner.release_commits() };
    let (put, ()) = futures::future::join(futures::future::join_all(puts), opened).await;
    put.into_iter().for_each(|put| put.unwrap());
    batches.flush().await.unwrap();
    assert_eq!(inner.commits(), 10);
}

#[tokio::test]
async fn a_batch_is_committed_after_earlier_writes() {
    let (inner, batches) = batches_of_two();
    let batch = batches.batch().await.unwrap();
    put_all(&batches, &[("/a", "collected")]).await;
    assert_eq!(
        batch.get(&Key::new("/a")).await.unwrap().unwrap(),
        "collected"
    );
    batch
        .put(&Key::new("/a"), "the batch's".into())
        .await
        .unwrap();
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("collected"));
    batch.commit().await.unwrap();
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("the batch's"));
    batches.flush().await.unwrap();
    assert_eq!(value(&inner, "/a").await.as_deref(), Some("the batch's"));
}

#[tokio::test]
async fn a_batch_is_not_committed_if_earlier_writes_cannot_be_committed() {
    let (inner, batches) = batches_of_two();
    let batch = batches.batch().await.unwrap();
    batch.put(&Key::new("/b"), "2".into()).await.unwrap();
    put_all(&batches, &[("/a", "1")]).await;
    inner.fail(Call::Commit);
    batch.commit().await.unwrap_err();
    assert_eq!(keys(&batches, Query::new()).await, ["/a"]);
    inner.fail(None);
    batches.flush().await.unwrap();
    assert_eq!(inner_keys(&inner).await, ["/a"]);
}

#[tokio::test]
async fn a_batch_is_committed_even_if_an_earlier_write_is_rejected() {
    let (inner, batches) = batches_of_two();
    inner.reject("/rejected");
    let batch = batches.batch().await.unwrap();
    batch.put(&Key::new("/b"), "2".into()).await.unwrap();
    put_all(&batches, &[("/rejected", "1")]).await;
    batch.commit().await.unwrap();
    assert_eq!(inner_keys(&inner).await, ["/b"]);
    assert_clear(&batches.flush().await.unwrap_err(), "\"/rejected\"");
}

#[tokio::test]
async fn a_close_that_cannot_commit_reports_the_error_and_closes() {
    let (inner, batches) = batches_of_two();
    put_all(&batches, &[("/a", "1")]).await;
    inner.fail(Call::Commit);
    assert_clear(
        &batches.close().await.unwrap_err(),
        "Commit of inner failed",
    );
    assert!(batches.get(&Key::new("/a")).await.unwrap_err().is_closed());
    assert!(inner.get(&Key::new("/a")).await.unwrap_err().is_closed());
    batches.close().await.unwrap();
}

#[tokio::test]
async fn the_disk_usage_is_not_exact_while_writes_are_uncommitted() {
    let (_, batches) = batches_of_two();
    put_all(&batches, &[("/a", "1")]).await;
    let usage = batches.disk_usage().await.unwrap();
    assert_eq!((usage.bytes, usage.accuracy), (0, Accuracy::Approximate));
    batches.flush().await.unwrap();
    let usage = batches.disk_usage().await.unwrap();
    assert_eq!((usage.bytes, usage.accuracy), (1, Accuracy::Exact));
}

#[test]
fn without_a_runtime_a_full_batch_returns_an_error_and_does_not_panic() {
    let (_, batches) = batches_of_two();
    let put = |key| {
        batches
            .put(&Key::new(key), "1".into())
            .now_or_never()
            .unwrap()
    };
    put("/a").unwrap();
    put("/b").unwrap();
    assert!(matches!(put("/c"), Err(Error::Runtime)));
}
