//! A server that fails, cuts connections and loses responses.

use std::collections::BTreeMap;

use bytes::Bytes;
use ds_flatfs::object::ObjectDatastore;
use ds_flatfs::object_store::RetryConfig;
use ds_flatfs::{Batch, Datastore, Error, Key, Query};
use ds_flatfs_object_store::{Server, WRITER};
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};

/// Calls until it succeeds. A request can fail after its last retry, but then its error must say so.
async fn succeed<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    for _ in 0..20 {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(
                matches!(
                    error,
                    Error::ObjectStore { .. } | Error::PartlyStored { .. }
                ),
                "{error:?}"
            ),
        }
    }
    panic!("twenty calls failed");
}

fn block(i: usize) -> (Key, Bytes) {
    let value = vec![i as u8; (i % 7) * 10_000];
    (Key::new(format!("K{i}")), value.into())
}

async fn list(datastore: &ObjectDatastore) -> BTreeMap<Key, u64> {
    succeed(async || {
        let query = Query::new().keys_only().returns_sizes();
        let entries = datastore.query(query).await?;
        let sizes = entries.map_ok(|entry| (entry.key, entry.size.unwrap()));
        sizes.try_collect().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_is_there_and_right_and_nothing_is_wrongly_absent() {
    let server = Server::start().await;
    let datastore = server.open("blocks").await;
    server.faults.begin();

    // Single puts, a batch, and deletes.
    let puts = stream::iter(0..200).for_each_concurrent(16, async |i| {
        let (key, value) = block(i);
        succeed(async || datastore.put(&key, value.clone()).await).await;
    });
    puts.await;
    let batch = datastore.batch().await.unwrap();
    for (key, value) in (200..300).map(block) {
        batch.put(&key, value).await.unwrap();
    }
    for (key, _) in (0..50).map(block) {
        batch.delete(&key).await.unwrap();
    }
    succeed(async || batch.commit().await).await;
    for (key, _) in (50..60).map(block) {
        succeed(async || datastore.delete(&key).await).await;
    }

    let read = stream::iter(0..300).for_each_concurrent(16, async |i| {
        let (key, value) = block(i);
        let expected = (i >= 60).then_some(value);
        let size = expected.as_ref().map(|value| value.len() as u64);
        assert!(
            succeed(async || datastore.get(&key).await).await == expected,
            "get {key}"
        );
        assert_eq!(
            succeed(async || datastore.get_size(&key).await).await,
            size,
            "size of {key}"
        );
    });
    read.await;
    let expected = (60..300).map(|i| (block(i).0, block(i).1.len() as u64));
    assert_eq!(list(&datastore).await, expected.clone().collect());

    let faults = server.faults.end();
    assert!(faults > 100, "there were {faults} faults");
    assert_eq!(list(&datastore).await, expected.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_the_client_does_not_retry_are_errors_and_never_absence_or_a_part_of_a_block()
{
    let server = Server::start().await;
    let never = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let options = server.options(WRITER).retry(never);
    let datastore = options.open_url("s3://bucket/blocks").await.unwrap();
    server.faults.begin();
    for (key, value) in (0..60).map(block) {
        succeed(async || datastore.put(&key, value.clone()).await).await;
        assert!(succeed(async || datastore.get(&key).await).await == Some(value));
        assert!(succeed(async || datastore.has(&key).await).await);
    }
    assert_eq!(list(&datastore).await.len(), 60);
    for (key, _) in (0..60).map(block) {
        succeed(async || datastore.delete(&key).await).await;
        assert!(!succeed(async || datastore.has(&key).await).await);
    }
    assert!(server.faults.end() > 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_every_call_is_an_error_and_nothing_is_absent() {
    let server = Server::start().await;
    let datastore = server.open("blocks").await;
    drop(server);
    let key = Key::new("K");
    let quick = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        let get = datastore.get(&key).await.unwrap_err();
        assert!(matches!(get, Error::ObjectStore { .. }), "{get:?}");
        datastore.has(&key).await.unwrap_err();
        datastore.put(&key, "x".into()).await.unwrap_err();
        let mut entries = datastore.query(Query::new()).await.unwrap();
        entries.next().await.unwrap().unwrap_err();
        datastore.disk_usage().await.unwrap_err();
    });
    quick.await.expect("the retries end");
}
