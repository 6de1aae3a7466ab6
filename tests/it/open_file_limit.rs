//! Processes with a low limit of open files.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests access the disk directly"
)]

use std::fmt::Debug;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ds_flatfs::query::Query;
use ds_flatfs::{FlatFs, Key, Result};
use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::child::{self, Child};
use crate::platform::limit_files;

const FILES: u64 = 64;
const BLOCKS: usize = 400;

fn key(name: &str, number: usize) -> Key {
    Key::new(format!("{name}{number}"))
}

fn value(number: usize) -> Bytes {
    Bytes::from(number.to_string())
}

/// Counts how often the store finds no free file descriptor, by its log messages, and then closes the
/// descriptors that the test has opened.
#[derive(Default)]
struct Shortages {
    count: AtomicUsize,
    taken: Mutex<Vec<File>>,
}

impl Shortages {
    fn watch() -> Arc<Self> {
        let shortages = Arc::new(Shortages::default());
        let subscriber = Arc::clone(&shortages);
        tracing::subscriber::set_global_default(subscriber).expect("it is the first one");
        shortages
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Runs an operation while no file descriptor is free, until it waits for one.
    async fn starve<T>(&self, operation: impl Future<Output = T>) -> T {
        let before = self.count();
        let files = std::iter::from_fn(|| File::open("/dev/null").ok());
        *self.taken.lock().unwrap() = files.collect();
        let result = operation.await;
        assert!(self.count() > before, "no shortage was reported");
        result
    }
}

impl Subscriber for Shortages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ds_flatfs::disk")
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        if message.0.contains("file descriptor") {
            self.count.fetch_add(1, Ordering::SeqCst);
            self.taken.lock().unwrap().clear();
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Windows has no limit of open files that a process can lower"
)]
fn a_thousand_reads_and_eight_batches_need_at_most_64_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    Child::start("open_file_limit::busy", &[&path.display().to_string()]).wait_for_success();
}

#[test]
#[ignore = "a process of the test above"]
fn busy() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    limit_files(FILES);
    let shortages = Shortages::watch();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(use_a_store(Path::new(&arguments[0])));
    assert_eq!(shortages.count(), 0, "the store opened too many files");
}

async fn use_a_store(path: &Path) {
    let store = FlatFs::options().create(path).await.expect("a new store");
    put_batch(store.clone(), "A", BLOCKS).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = store.query(Query::new()).await.expect("a query");
        stream.next().await.expect("a block").expect("a good one");
        streams.push(stream);
    }
    let mut tasks = JoinSet::new();
    for batch in 0..8 {
        let name = format!("B{batch}X");
        let store = store.clone();
        tasks.spawn(async move { put_batch(store, &name, 40).await });
    }
    for read in 0..1000 {
        let store = store.clone();
        tasks.spawn(async move {
            let number = read % BLOCKS;
            let found = store.get(&key("A", number)).await;
            assert_eq!(found.expect("a read"), Some(value(number)));
        });
    }
    tasks.join_all().await;
    for stream in streams {
        let entries: Vec<_> = stream.try_collect().await.expect("good blocks");
        let old = entries
            .iter()
            .filter(|entry| entry.key.as_str().starts_with("/A"));
        assert_eq!(old.count(), BLOCKS - 1);
    }
    let query = store
        .query(Query::new().keys_only())
        .await
        .expect("a query");
    assert_eq!(query.count().await, BLOCKS + 8 * 40);
    store.close().await.expect("a close");
}

async fn put_batch(store: FlatFs, name: &str, blocks: usize) {
    let batch = store.batch().await.expect("a batch");
    for number in 0..blocks {
        let put = batch.put(&key(name, number), value(number)).await;
        put.expect("a put");
    }
    batch.commit().await.expect("a commit");
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Windows has no limit of open files that a process can lower"
)]
fn an_operation_waits_for_a_free_file_descriptor() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    Child::start("open_file_limit::starved", &[&path.display().to_string()]).wait_for_success();
}

/// Returns a store in which small blocks do not cause a write of the disk usage, which would take and
/// release a file descriptor at any time.
async fn large_store(path: &Path) -> FlatFs {
    let store = FlatFs::options().create(path).await.expect("a new store");
    let large = Bytes::from(vec![0; 8 << 20]);
    store.put(&key("LARGE", 0), large).await.expect("a put");
    store.close().await.expect("a close");
    FlatFs::options()
        .open(path)
        .await
        .expect("the store must open")
}

#[test]
#[ignore = "a process of the test above"]
fn starved() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    limit_files(FILES);
    let shortages = Shortages::watch();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = large_store(Path::new(&arguments[0])).await;
        let key = key("A", 1);
        let put = store.put(&key, value(1));
        shortages.starve(put).await.expect("a put");
        let found = shortages.starve(store.get(&key)).await;
        assert_eq!(found.expect("a read"), Some(value(1)));
        let query = store.query(Query::new()).await.expect("a query");
        let found: Result<Vec<_>> = shortages.starve(query.try_collect()).await;
        assert_eq!(found.expect("a good block").len(), 2);
        let reader = FlatFs::options().read_only(true).open(store.path());
        shortages.starve(reader).await.expect("the store must open");
        // This is last, because the removal of the batch's directory in the background opens files too.
        shortages.starve(put_batch(store.clone(), "B", 20)).await;
        assert!(store.has(&Key::new("B19")).await.expect("a read"));
        store.close().await.expect("a close");
    });
}
