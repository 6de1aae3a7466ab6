//! Helpers that return what a store and its disk contain, and that wait for a store's work in the background.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;

use crate::blocking;
use crate::datastore::{Accuracy, Datastore, DiskUsage};
use crate::error::Error;
use crate::query::Query;
use crate::store::FlatFs;
use crate::testing::fault_disk::{DiskOp, FaultDisk, Refusal};

/// The path of the store on each fault disk.
pub(super) const STORE_PATH: &str = "/disk/store";
/// The prefix of all paths below the store's directory of temp files.
pub(super) const TEMP_PREFIX: &str = "/disk/store/.temp/";

/// The blocks of a store by key.
pub(super) type BlockMap = BTreeMap<String, Bytes>;

/// Returns all blocks of a store.
pub(super) async fn blocks(store: &dyn Datastore) -> BlockMap {
    let entries: Vec<_> = store
        .query(Query::new())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let entries = entries.into_iter();
    let named = entries.map(|entry| (entry.key.name().to_owned(), entry.value.unwrap()));
    named.collect()
}

/// Returns the paths of all temporary files of the store.
pub(super) fn below_temp(disk: &FaultDisk) -> Vec<String> {
    let tree = disk.tree().into_iter();
    tree.filter(|path| path.len() > TEMP_PREFIX.len() && path.starts_with(TEMP_PREFIX))
        .collect()
}

/// Lets other tasks of the runtime and other jobs of the blocking pool run.
pub(super) async fn yield_to_pool() {
    blocking::run(|| Ok(())).await.unwrap();
}

/// Waits until no work of a store runs in the background. The store must have no other handle.
pub(super) async fn wait_until_idle(store: &FlatFs) {
    while Arc::strong_count(&store.store) > 1 {
        yield_to_pool().await;
    }
}

/// Counts the operations that are tried, including those that change nothing, until the guard is dropped.
pub(super) fn count_operations(
    disk: &FaultDisk,
    matches: impl Fn(DiskOp, &Path) -> bool + Send + 'static,
) -> (Refusal, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let guard = disk.refuse(move |op, path| {
        counter.fetch_add(usize::from(matches(op, path)), Ordering::SeqCst);
        None
    });
    (guard, count)
}

/// Waits until the disk usage that the store reports is exact, and returns it.
pub(super) async fn exact_usage(store: &FlatFs) -> DiskUsage {
    loop {
        let usage = store.disk_usage().await.unwrap();
        if usage.accuracy == Accuracy::Exact {
            return usage;
        }
        yield_to_pool().await;
    }
}

/// Computes the disk usage from its definition.
pub(super) fn true_usage(disk: &FaultDisk) -> u64 {
    const DIR: u64 = 4096;
    let uncounted =
        ["/.lock", "/.unclean", "/diskUsage.cache"].map(|name| format!("{STORE_PATH}{name}"));
    let tree = disk.tree().into_iter();
    let counted = tree.filter(|path| {
        let in_temp = path.starts_with(TEMP_PREFIX) && path != TEMP_PREFIX;
        path.starts_with(STORE_PATH) && !in_temp && !uncounted.contains(path)
    });
    let sizes = counted.map(|path| match path.ends_with('/') {
        true => DIR,
        false => disk.read_live(&path).unwrap().len() as u64,
    });
    sizes.sum()
}

/// Returns whether the error is that of a flush. What the flush was to make durable may be lost even if a
/// later flush succeeds.
pub(super) fn is_flush_failure(error: &Error) -> bool {
    match error {
        Error::Io { action, .. } | Error::Full { action, .. } => *action == "sync",
        error => matches!(error, Error::FlushFailed { .. }),
    }
}
