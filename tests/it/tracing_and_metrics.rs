//! The events, spans and metrics that a store reports.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ds_flatfs::{FlatFs, Key, Query};
use futures::stream::{self, StreamExt};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::child::{self, Child};
use crate::support::{Home, block};

/// An event that was reported.
#[derive(Clone, Debug)]
struct ReportedEvent {
    target: String,
    level: String,
    fields: BTreeMap<String, String>,
    /// The names of the spans around the event.
    spans: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<ReportedEvent>>>);

/// The fields of an event.
struct Fields(BTreeMap<String, String>);

impl Collected {
    /// Returns all events of one target with this message.
    fn with(&self, target: &str, message: &str) -> Vec<ReportedEvent> {
        let all = self.0.lock().unwrap();
        let is_wanted = |report: &&ReportedEvent| {
            report.target == target && report.fields["message"] == message
        };
        all.iter().filter(is_wanted).cloned().collect()
    }

    fn only(&self, target: &str, message: &str) -> ReportedEvent {
        let found = self.with(target, message);
        assert_eq!(found.len(), 1, "{message}: {found:?} of {self:?}");
        found[0].clone()
    }
}

impl ReportedEvent {
    fn has(&self, level: &str, expected: &[(&str, &str)]) {
        assert_eq!(self.level, level, "{self:?}");
        for (field, value) in expected {
            let found = self.fields.get(*field).map(String::as_str);
            assert_eq!(found, Some(*value), "{field} of {self:?}");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collected {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let spans = context.event_scope(event).into_iter().flatten();
        self.0.lock().unwrap().push(ReportedEvent {
            target: event.metadata().target().to_owned(),
            level: event.metadata().level().to_string(),
            fields: fields.0,
            spans: spans.map(|span| span.name()).collect(),
        });
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// Collects what this process reports from now on.
fn collect_events() -> Collected {
    let collected = Collected::default();
    let subscriber = Registry::default().with(collected.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    collected
}

#[test]
fn events_have_stable_names() {
    let home = Home::new();
    Child::start(
        "tracing_and_metrics::a_session",
        &[&home.beside("").display().to_string()],
    )
    .wait_for_success();
}

#[test]
#[ignore = "a process of the test above"]
fn a_session() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    let path = Path::new(&arguments[0]).join("store");
    let reports = collect_events();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = FlatFs::options().create(&path).await.unwrap();
        reads_and_writes(&store, &reports).await;
        batches(&store, &reports).await;
        lifecycle(&store, &reports).await;
    });
}

async fn reads_and_writes(store: &FlatFs, reports: &Collected) {
    let (key, value) = block(1);
    let bytes = value.len().to_string();
    store.put(&key, value).await.unwrap();
    store.get(&key).await.unwrap();
    for key in ["ABSENT", "/not/flat"] {
        let keys = stream::iter([Key::new(key)]).boxed();
        assert_eq!(store.has_many(keys).count().await, 1);
    }
    store.delete(&key).await.unwrap();

    let [put, delete] = &reports.with("ds_flatfs::write", "write")[..] else {
        panic!("two writes: {reports:?}");
    };
    let key = ("key", key.as_str());
    put.has("TRACE", &[("operation", "put"), key, ("bytes", &bytes)]);
    delete.has("TRACE", &[("operation", "delete"), key, ("outcome", "ok")]);
    let [got, absent, invalid] = &reports.with("ds_flatfs::read", "read")[..] else {
        panic!("three reads: {reports:?}");
    };
    got.has("TRACE", &[("operation", "get"), key, ("bytes", &bytes)]);
    absent.has("TRACE", &[("operation", "has"), ("outcome", "absent")]);
    invalid.has("TRACE", &[("key", "/not/flat"), ("source", "memory")]);
}

async fn batches(store: &FlatFs, reports: &Collected) {
    let batch = store.batch().await.unwrap();
    let (key, value) = block(2);
    let bytes = value.len().to_string();
    batch.put(&key, value).await.unwrap();
    batch.delete(&Key::new("ABSENT")).await.unwrap();
    batch.commit().await.unwrap();
    store.batch().await.unwrap().discard().await.unwrap();

    let begun = reports.with("ds_flatfs::batch", "begun");
    let names: Vec<&str> = begun.iter().map(|it| it.fields["batch"].as_str()).collect();
    assert!(names[0].starts_with("batch-") && names[0] != names[1]);
    let committed = reports.only("ds_flatfs::batch", "committed");
    let counts = [("puts", "1"), ("deletes", "1"), ("bytes", &bytes)];
    committed.has("DEBUG", &counts);
    committed.has("DEBUG", &[("batch", names[0])]);
    assert_eq!(committed.spans, ["commit"]);
    let discarded = reports.only("ds_flatfs::batch", "discarded");
    discarded.has("DEBUG", &[("batch", names[1])]);
}

async fn lifecycle(store: &FlatFs, reports: &Collected) {
    let path = store.path().display().to_string();
    fs::write(store.path().join("FOREIGN.txt"), "not a block").unwrap();
    let query = store.query(Query::new().keys_only()).await.unwrap();
    assert_eq!(query.count().await, 1);
    store.sync().await.unwrap();
    store.close().await.unwrap();

    let opened = reports.only("ds_flatfs::store", "opened");
    let shard = store.shard().to_string();
    opened.has("DEBUG", &[("path", &path), ("shard", &shard)]);
    assert_eq!(opened.spans, ["open"]);
    let query = reports.only("ds_flatfs::query", "query");
    query.has("DEBUG", &[("query", "prefix /, keys only")]);
    let foreign = "ignoring an entry that is not part of a store";
    let foreign = reports.only("ds_flatfs::query", foreign);
    let in_store = store.path().join("FOREIGN.txt").display().to_string();
    foreign.has("WARN", &[("path", &in_store)]);
    let synced = reports.only("ds_flatfs::store", "synced");
    synced.has("DEBUG", &[("path", &path)]);
    assert_eq!(synced.spans, ["sync"]);
    let closed = reports.only("ds_flatfs::store", "closed");
    closed.has("DEBUG", &[("path", &path)]);
    assert_eq!(closed.spans, ["close"]);
}

#[cfg(feature = "metrics")]
mod metrics {
    use ds_flatfs::FlatBatch;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;
    use crate::support::block_path;

    #[test]
    fn metrics_have_stable_names() {
        let home = Home::new();
        let path = home.beside("").display().to_string();
        Child::start("tracing_and_metrics::metrics::a_counted_session", &[&path])
            .wait_for_success();
    }

    /// Returns each metric since the last snapshot by its name and labels: its value, or the number of its
    /// values.
    fn figures(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
        let figures = snapshotter.snapshot().into_vec().into_iter();
        figures
            .map(|(key, _, _, value)| {
                let (_, key) = key.into_parts();
                let labels = key.labels().map(|label| format!(" {}", label.value()));
                let name = format!("{}{}", key.name(), labels.collect::<String>());
                let value = match value {
                    DebugValue::Counter(count) => count,
                    DebugValue::Gauge(value) => value.0 as u64,
                    DebugValue::Histogram(values) => values.len() as u64,
                };
                (name, value)
            })
            .collect()
    }

    #[test]
    #[ignore = "a process of the test above"]
    fn a_counted_session() {
        let Some(arguments) = child::arguments() else {
            return;
        };
        let path = Path::new(&arguments[0]).join("store");
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().unwrap();
        ds_flatfs::observe::describe_metrics();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(session(&path));

        let found = figures(&snapshotter);
        let count = |name: &str| found.get(name).copied().unwrap_or(0);
        let bytes = |number| block(number).1.len() as u64;
        assert_eq!(count("ds_flatfs_operations_total put ok"), 1, "{found:?}");
        assert_eq!(count("ds_flatfs_operations_total put error"), 1);
        assert_eq!(count("ds_flatfs_operations_total get ok"), 2);
        assert_eq!(count("ds_flatfs_operations_total has absent"), 1);
        for once in ["open ok", "close ok", "sync ok", "commit ok", "delete ok"] {
            assert_eq!(count(&format!("ds_flatfs_operations_total {once}")), 1);
        }
        for uncounted in ["delete error", "get error", "commit error", "sync error"] {
            let counted = count(&format!("ds_flatfs_operations_total {uncounted}"));
            assert_eq!(counted, 0, "{uncounted}");
        }
        assert_eq!(count("ds_flatfs_operation_seconds put"), 2);
        let sources = ["memory", "disk"].map(|one| count(&format!("ds_flatfs_reads_total {one}")));
        assert_eq!(sources.iter().sum::<u64>(), 3);
        assert_eq!(count("ds_flatfs_read_bytes_total"), 2 * bytes(1));
        assert_eq!(count("ds_flatfs_written_bytes_total"), bytes(1) + bytes(2));
        assert_eq!(count("ds_flatfs_batch_puts"), 1);
        assert_eq!(count("ds_flatfs_batch_bytes"), 1);
        assert_eq!(count("ds_flatfs_flush_failures_total"), 0);
        assert!(count("ds_flatfs_flush_seconds") > 0);
        assert!(count("ds_flatfs_open_files") > 0);
    }

    async fn session(path: &Path) {
        let store = FlatFs::options().create(path).await.unwrap();
        let (key, value) = block(1);
        store.put(&key, value).await.unwrap();
        let in_the_way = Key::new("AB");
        let path_of_block = block_path(store.shard(), &in_the_way);
        fs::create_dir_all(path.join(path_of_block)).unwrap();
        store.put(&in_the_way, "x".into()).await.unwrap_err();
        store.get(&key).await.unwrap();
        store.get(&key).await.unwrap();
        store.has(&Key::new("ABSENT")).await.unwrap();
        let batch = store.batch().await.unwrap();
        let (other, value) = block(2);
        batch.put(&other, value).await.unwrap();
        batch.commit().await.unwrap();
        store.delete(&key).await.unwrap();
        store.sync().await.unwrap();
        let late = store.batch().await.unwrap();
        store.close().await.unwrap();
        uncounted(&store, late).await;
    }

    /// Calls a closed store.
    async fn uncounted(store: &FlatFs, batch: FlatBatch) {
        let (key, value) = block(3);
        store.put(&key, value).await.unwrap_err();
        store.delete(&key).await.unwrap_err();
        store.get(&key).await.unwrap_err();
        store.sync().await.unwrap_err();
        batch.commit().await.unwrap_err();
        store.close().await.unwrap();
    }
}
