//! Writes that are collected and committed by themselves.

use std::sync::Arc;

use ds_flatfs::query::Order;
use ds_flatfs::wrappers::AutoBatch;
use ds_flatfs::{Accuracy, Datastore, Error, Key, Query};
use futures::FutureExt;

use super::rigged::{Call, Rigged};
use super::{answers_each_key_alone, keys, put_all, shared, value, values_of_many};
use crate::support::{Home, assert_clear};

/// Batches of two writes over a datastore that is rigged.
fn twos() -> (Rigged, AutoBatch) {
    let below = Rigged::new("below");
    let batches = AutoBatch::new(shared(&below)).max_writes(2);
    (below, batches)
}

/// Waits until so many commits were made.
async fn committed(below: &Rigged, commits: usize) {
    while below.commits() < commits {
        tokio::task::yield_now().await;
    }
}

async fn below_has(below: &Rigged) -> Vec<String> {
    keys(below.inside(), Query::new()).await
}

#[tokio::test]
async fn writes_are_seen_at_once_and_committed_when_there_are_enough() {
    let (below, batches) = twos();
    put_all(&batches, &[("/a", "1")]).await;
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("1"));
    assert_eq!(keys(&batches, Query::new()).await, ["/a"]);
    assert!(below_has(&below).await.is_empty());
    put_all(&batches, &[("/b", "2"), ("/c", "3")]).await;
    committed(&below, 1).await;
    assert_eq!(below_has(&below).await, ["/a", "/b"]);
    assert_eq!(keys(&batches, Query::new()).await, ["/c", "/a", "/b"]);
}

#[tokio::test]
async fn values_are_committed_when_they_are_large_enough() {
    let below = Rigged::new("below");
    let batches = AutoBatch::new(shared(&below)).max_bytes(10);
    put_all(
        &batches,
        &[("/a", "12345678"), ("/a", "short"), ("/b", "1234")],
    )
    .await;
    tokio::task::yield_now().await;
    assert_eq!(below.commits(), 0, "a value counts once");
    put_all(&batches, &[("/c", "1")]).await;
    committed(&below, 1).await;
    assert_eq!(below_has(&below).await, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn many_keys_are_answered_from_what_is_collected_and_with_one_call_below() {
    let below = Rigged::new("below");
    put_all(&below, &[("/a", "1"), ("/b", "2"), ("/c", "3")]).await;
    let batches = AutoBatch::new(shared(&below));
    put_all(&batches, &[("/a", "new"), ("/d", "4")]).await;
    batches.delete(&Key::new("/b")).await.unwrap();
    let wanted = ["/c", "/a", "/b", "/none", "/d", "/c"];
    let found = values_of_many(&batches, &wanted).await;
    let expected = [Some("3"), Some("new"), None, None, Some("4"), Some("3")];
    assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
    assert_eq!(below.reads(), (0, 2), "one get_many, one has_many");
    answers_each_key_alone(&batches, &wanted).await;
}

#[tokio::test]
async fn a_delete_is_collected_like_a_put() {
    let (below, batches) = twos();
    put_all(&below, &[("/a", "1"), ("/b", "2")]).await;
    batches.delete(&Key::new("/a")).await.unwrap();
    assert_eq!(value(&batches, "/a").await, None);
    assert_eq!(keys(&batches, Query::new()).await, ["/b"]);
    assert_eq!(below_has(&below).await, ["/a", "/b"]);
    batches.delete(&Key::new("/absent")).await.unwrap();
    committed(&below, 1).await;
    assert_eq!(below_has(&below).await, ["/b"]);
}

#[tokio::test]
async fn flush_sync_and_close_commit_the_rest() {
    let (below, batches) = twos();
    put_all(&batches, &[("/a", "1")]).await;
    batches.flush().await.unwrap();
    assert_eq!(below_has(&below).await, ["/a"]);
    put_all(&batches, &[("/b", "2")]).await;
    batches.sync().await.unwrap();
    assert_eq!(below_has(&below).await, ["/a", "/b"]);
    batches.flush().await.unwrap();
    assert_eq!(below.commits(), 2, "there was nothing to commit");

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
async fn what_is_not_committed_is_lost_without_a_close() {
    let (below, batches) = twos();
    put_all(&batches, &[("/a", "1")]).await;
    drop(batches.clone());
    batches.flush().await.unwrap();
    put_all(&batches, &[("/b", "2")]).await;
    drop(batches);
    assert_eq!(below_has(&below).await, ["/a"]);
}

#[tokio::test]
async fn a_failed_commit_is_reported_to_the_next_write_and_its_writes_are_kept() {
    let (below, batches) = twos();
    below.fail(Call::Commit);
    put_all(&batches, &[("/a", "1"), ("/b", "2")]).await;
    while below.batches() == 0 {
        tokio::task::yield_now().await;
    }
    let key = Key::new("/c");
    let error = batches.put(&key, "3".into()).await.unwrap_err();
    assert_clear(&error, "Commit of below failed");
    assert_eq!(value(&batches, "/c").await, None, "it was not taken");
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("1"));
    assert_clear(
        &batches.flush().await.unwrap_err(),
        "Commit of below failed",
    );

    below.fail(None);
    put_all(&batches, &[("/c", "3")]).await;
    batches.flush().await.unwrap();
    assert_eq!(keys(&below, Query::new()).await, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn a_write_since_stands_over_those_of_a_failed_commit() {
    let (below, batches) = twos();
    below.fail(Call::Commit);
    below.hold_commits();
    put_all(&batches, &[("/a", "old"), ("/b", "2")]).await;
    while below.batches() == 0 {
        tokio::task::yield_now().await;
    }
    put_all(&batches, &[("/a", "new")]).await;
    below.let_commit();
    batches.flush().await.unwrap_err();
    assert_eq!(value(&batches, "/a").await.as_deref(), Some("new"));
    below.fail(None);
    batches.flush().await.unwrap();
    assert_eq!(value(&below, "/a").await.as_deref(), Some("new"));
    assert_eq!(value(&below, "/b").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn no_more_than_two_batches_are_in_memory_however_often_a_commit_fails() {
    let (below, batches) = twos();
    below.fail(Call::Commit);
    put_all(&batches, &[("/a", "1"), ("/b", "2")]).await;
    let mut acknowledged = vec!["/a".to_owned(), "/b".to_owned()];
    for round in 0..5 {
        below.hold_commits();
        let begun = below.batches();
        let flush = tokio::spawn({
            let batches = batches.clone();
            async move { batches.flush().await }
        });
        while below.batches() == begun {
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
        below.let_commit();
        flush.await.unwrap().unwrap_err();
    }
    below.fail(None);
    // What commits without a listener have left to say comes first.
    while batches.flush().await.is_err() {}
    assert_eq!(below_has(&below).await, acknowledged);
    put_all(&batches, &[("/x", "1"), ("/y", "2"), ("/z", "3")]).await;
}

#[tokio::test]
async fn a_write_that_is_refused_is_reported_and_does_not_keep_others_back() {
    let (below, batches) = twos();
    below.refuse("/refused");
    put_all(&batches, &[("/a", "1"), ("/refused", "2")]).await;
    assert_clear(&batches.flush().await.unwrap_err(), "\"/refused\"");
    assert_eq!(below_has(&below).await, ["/a"]);
    assert_eq!(value(&batches, "/refused").await, None);
    batches.flush().await.unwrap();
}

#[tokio::test]
async fn a_put_that_is_dropped_while_it_waits_is_not_taken_and_stops_no_commit() {
    let (below, batches) = twos();
    below.hold_commits();
    put_all(&batches, &[("/a", "1"), ("/b", "2")]).await;
    while below.batches() == 0 {
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
    below.let_commit();
    committed(&below, 2).await;
    assert_eq!(below_has(&below).await, ["/a", "/b", "/c", "/d"]);
}

#[tokio::test]
async fn waiting_writes_fill_batches_and_do_not_make_small_ones() {
    let below = Rigged::new("below");
    let batches = AutoBatch::new(shared(&below)).max_writes(10);
    below.hold_commits();
    let keys: Vec<_> = (0..100).map(|i| Key::new(format!("/{i}"))).collect();
    let puts = keys.iter().map(|key| batches.put(key, "value".into()));
    let opened = async { below.let_commit() };
    let (put, ()) = futures::future::join(futures::future::join_all(puts), opened).await;
    put.into_iter().for_each(|put| put.unwrap());
    batches.flush().await.unwrap();
    assert_eq!(below.commits(), 10);
}

#[tokio::test]
async fn a_batch_is_committed_behind_what_was_written_before() {
    let (below, batches) = twos();
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
    assert_eq!(value(&below, "/a").await.as_deref(), Some("the batch's"));
}

#[tokio::test]
async fn a_batch_is_not_committed_if_what_was_written_before_cannot_be() {
    let (below, batches) = twos();
    let batch = batches.batch().await.unwrap();
    batch.put(&Key::new("/b"), "2".into()).await.unwrap();
    put_all(&batches, &[("/a", "1")]).await;
    below.fail(Call::Commit);
    batch.commit().await.unwrap_err();
    assert_eq!(keys(&batches, Query::new()).await, ["/a"]);
    below.fail(None);
    batches.flush().await.unwrap();
    assert_eq!(below_has(&below).await, ["/a"]);
}

#[tokio::test]
async fn a_batch_is_committed_though_a_write_before_it_is_refused() {
    let (below, batches) = twos();
    below.refuse("/refused");
    let batch = batches.batch().await.unwrap();
    batch.put(&Key::new("/b"), "2".into()).await.unwrap();
    put_all(&batches, &[("/refused", "1")]).await;
    batch.commit().await.unwrap();
    assert_eq!(below_has(&below).await, ["/b"]);
    assert_clear(&batches.flush().await.unwrap_err(), "\"/refused\"");
}

#[tokio::test]
async fn a_close_reports_what_it_gives_up_and_closes_all_the_same() {
    let (below, batches) = twos();
    put_all(&batches, &[("/a", "1")]).await;
    below.fail(Call::Commit);
    assert_clear(
        &batches.close().await.unwrap_err(),
        "Commit of below failed",
    );
    assert!(batches.get(&Key::new("/a")).await.unwrap_err().is_closed());
    assert!(below.get(&Key::new("/a")).await.unwrap_err().is_closed());
    batches.close().await.unwrap();
}

#[tokio::test]
async fn the_disk_usage_is_not_exact_while_writes_are_waiting() {
    let (_, batches) = twos();
    put_all(&batches, &[("/a", "1")]).await;
    let usage = batches.disk_usage().await.unwrap();
    assert_eq!((usage.bytes, usage.accuracy), (0, Accuracy::Approximate));
    batches.flush().await.unwrap();
    let usage = batches.disk_usage().await.unwrap();
    assert_eq!((usage.bytes, usage.accuracy), (1, Accuracy::Exact));
}

#[test]
fn without_a_runtime_a_full_batch_is_an_error_and_no_panic() {
    let (_, batches) = twos();
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
