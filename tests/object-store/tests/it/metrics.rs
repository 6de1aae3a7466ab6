//! The metrics of the HTTP requests.

use std::collections::BTreeMap;

use ds_flatfs::object_store::RetryConfig;
use ds_flatfs::{Datastore, Key};
use ds_flatfs_object_store::{Server, WRITER};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

async fn session() {
    let server = Server::start().await;
    let once = RetryConfig {
        max_retries: 1,
        ..RetryConfig::default()
    };
    let options = server.options(WRITER).retry(once);
    let datastore = options.open_url("s3://bucket/blocks").await.unwrap();
    let (key, absent) = (Key::new("A"), Key::new("ABSENT"));
    datastore.put(&key, "12345".into()).await.unwrap();
    datastore.get(&key).await.unwrap();
    datastore.get(&absent).await.unwrap();
    datastore.has(&absent).await.unwrap();
    datastore.disk_usage().await.unwrap();
    datastore.delete(&key).await.unwrap();
    server.faults.throttle();
    datastore.put(&key, "12345".into()).await.unwrap_err();
}

#[test]
fn each_request_is_counted_with_its_method_and_outcome_and_so_is_each_retry() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(session()));

    let found = snapshotter.snapshot().into_vec().into_iter();
    let found: BTreeMap<String, usize> = found
        .filter_map(|(key, _, _, value)| {
            let name = key.key().name().strip_prefix("ds_flatfs_object_")?;
            let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
            let value = match value {
                DebugValue::Counter(count) => count as usize,
                DebugValue::Gauge(value) => value.0 as usize,
                DebugValue::Histogram(values) => values.len(),
            };
            Some((format!("{name} {}", labels.join(" ")), value))
        })
        .collect();
    let expected = [
        // The open looks for a shard function and lists. Then a block is read, and the objects are listed again.
        ("requests_total GET ok", 3),
        ("requests_total GET absent", 2),
        ("requests_total HEAD absent", 1),
        ("requests_total PUT ok", 1),
        ("requests_total PUT retry", 2),
        ("requests_total POST ok", 1),
        ("request_seconds GET", 5),
        ("request_seconds HEAD", 1),
        ("request_seconds PUT", 3),
        ("request_seconds POST", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(found, expected.into());
}
