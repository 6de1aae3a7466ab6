//! The metrics of a datastore in an object store.

use std::collections::BTreeMap;

use ds_flatfs::object_store::memory::InMemory;
use ds_flatfs::{Batch, Datastore, Key};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::options;

async fn session() {
    let datastore = options()
        .open(std::sync::Arc::new(InMemory::new()))
        .await
        .unwrap();
    let (key, absent) = (Key::new("A"), Key::new("ABSENT"));
    datastore.put(&key, "12345".into()).await.unwrap();
    datastore.put(&Key::root(), "x".into()).await.unwrap_err();
    datastore.get(&key).await.unwrap();
    datastore.get(&absent).await.unwrap();
    datastore.has(&key).await.unwrap();
    datastore.delete(&absent).await.unwrap();
    let batch = datastore.batch().await.unwrap();
    batch.put(&Key::new("B"), "678".into()).await.unwrap();
    batch.commit().await.unwrap();
    datastore.sync().await.unwrap();
    datastore.close().await.unwrap();
    datastore.close().await.unwrap();
    datastore.get(&key).await.unwrap_err();
}

#[test]
fn operations_and_bytes_are_counted_as_for_a_store_on_disk() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(session()));

    let found = snapshotter.snapshot().into_vec().into_iter();
    let found: BTreeMap<String, u64> = found
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
            let name = key.key().name().strip_prefix("ds_flatfs_").unwrap();
            let value = match value {
                DebugValue::Counter(count) => count,
                DebugValue::Gauge(value) => value.0 as u64,
                DebugValue::Histogram(values) => values.len() as u64,
            };
            (format!("{name} {}", labels.join(" ")), value)
        })
        .collect();
    for (name, expected) in [
        ("operations_total open ok", 1),
        ("operations_total put ok", 1),
        ("operations_total put error", 1),
        ("operations_total get ok", 1),
        ("operations_total get absent", 1),
        ("operations_total has ok", 1),
        ("operations_total delete ok", 1),
        ("operations_total commit ok", 1),
        ("operations_total sync ok", 1),
        ("operations_total close ok", 1),
        ("reads_total object_store", 3),
        ("read_bytes_total ", 5),
        ("written_bytes_total ", 8),
        ("batch_puts ", 1),
    ] {
        assert_eq!(found.get(name), Some(&expected), "{name} in {found:#?}");
    }
}
