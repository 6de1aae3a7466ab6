//! Queries: the shard directories are read by jobs, each of which finds at most about a thousand entries.

mod key_order;
mod scanner;
mod values;

use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use self::key_order::InKeyOrder;
use self::scanner::Scanner;
use self::values::{CacheHint, with_values};
use super::shared::Store;
use crate::blocking;
use crate::error::Result;
use crate::query::{self, Entry, EntryStream, Needs, Query};

/// The number of entries after which a job ends.
const MAX_ENTRIES_PER_JOB: usize = 1024;
/// The number of bytes of values after which a job ends.
const MAX_BYTES_PER_JOB: u64 = 1 << 20;
/// The time after which a job ends: a disk may take 10 ms for each entry that is not cached.
const MAX_TIME_PER_JOB: Duration = Duration::from_millis(5);
/// The number of entries that a query in the order of the keys returns from one walk over the store. About twice as
/// many are in memory, with about 150 bytes for each.
const MAX_SORTED: usize = 1 << 20;
/// The number of jobs of one query that run at the same time.
const MAX_CONCURRENT_JOBS: usize = 2;

pub(super) fn query(store: &Arc<Store>, query: Query) -> EntryStream {
    if !query.prefix.is_root() {
        // No block has a key below another key.
        return stream::empty().boxed();
    }
    let needs = query.needs();
    let sorts_keys = !query.orders.is_empty() && !query.reads_values();
    if needs == Needs::Value && sorts_keys {
        // Sort the keys alone, and read the values in their order.
        let keys = sorted(store, query.keys_only(), Needs::Key);
        let cache_hint = CacheHint::of(store);
        return with_values(store, keys, cache_hint).fuse().boxed();
    }
    sorted(store, query, needs)
}

/// Returns the results of a query, which are sorted in memory if it has orders.
fn sorted(store: &Arc<Store>, query: Query, needs: Needs) -> EntryStream {
    if query.is_by_key() && query.limit.is_none() && !query.reads_values() {
        return InKeyOrder::new(store, query, needs, MAX_SORTED).stream();
    }
    query::apply(query, walk(store, needs))
}

/// Returns all entries of the store, each with the parts that are needed.
pub(crate) fn walk(store: &Arc<Store>, needs: Needs) -> EntryStream {
    let cache_hint = (needs == Needs::Value).then(|| CacheHint::of(store));
    let entries = list(store, needs, cache_hint.clone()).boxed();
    match cache_hint {
        Some(cache_hint) => with_values(store, entries, cache_hint).boxed(),
        None => entries,
    }
}

/// Returns all entries of the store, each with the parts that are needed, or with its key alone while values
/// are likely to be cached.
fn list(
    store: &Arc<Store>,
    needs: Needs,
    cache_hint: Option<CacheHint>,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let scanners = Scanners::of(Scanner::new(store, needs, cache_hint));
    stream::unfold(scanners, |mut scanners| async move {
        let found = scanners.next().await?;
        Some((stream::iter(found), scanners))
    })
    .flatten()
}

/// Some entries, and the scanner that continues after them unless it is at its end.
type JobResult = Result<(Vec<Result<Entry>>, Option<Scanner>)>;

/// The scanners of one query. No two of them read the same shard directory.
struct Scanners {
    /// The scanners that run no job now.
    idle: Vec<Scanner>,
    /// Jobs that run while the caller processes the entries of an earlier one.
    jobs: FuturesUnordered<BoxFuture<'static, JobResult>>,
    /// The number of scanners that were created.
    count: usize,
}

impl Scanners {
    fn of(scanner: Scanner) -> Self {
        Scanners {
            idle: vec![scanner],
            jobs: FuturesUnordered::new(),
            count: 1,
        }
    }

    /// Returns the entries of the job that ends next, or `None` if there are no more.
    async fn next(&mut self) -> Option<Vec<Result<Entry>>> {
        let result = match self.jobs.next().await {
            Some(result) => result,
            None => run_job(self.idle.pop()?).await,
        };
        match result {
            Ok((found, scanner)) => {
                if let Some(scanner) = scanner {
                    self.take_back(scanner);
                }
                self.begin_jobs().await;
                Some(found)
            }
            Err(error) => {
                self.idle.clear();
                self.jobs.clear();
                Some(vec![Err(error)])
            }
        }
    }

    /// Takes a scanner back, and adds another one if it is the only one: a query of few entries needs one
    /// job.
    fn take_back(&mut self, scanner: Scanner) {
        if self.count < MAX_CONCURRENT_JOBS
            && let Some(other) = scanner.beside()
        {
            self.count += 1;
            self.idle.push(other);
        }
        self.idle.push(scanner);
    }

    /// Begins the next job of each scanner, unless it would have to wait for a permit: the consumer may be
    /// slow, and a future that is not polled must not be in a queue in which others wait behind it.
    async fn begin_jobs(&mut self) {
        for scanner in mem::take(&mut self.idle) {
            let store = Arc::clone(&scanner.store);
            let Some(permit) = store.open_files.try_permit() else {
                self.idle.push(scanner);
                continue;
            };
            let job = async move { run_with(permit, &store, move || Ok(scanner.run_job())).await };
            let mut job = job.boxed();
            // The job begins when its future is first polled.
            let job = match futures::poll!(job.as_mut()) {
                Poll::Ready(result) => future::ready(result).boxed(),
                Poll::Pending => job,
            };
            self.jobs.push(job);
        }
    }
}

async fn run_job(scanner: Scanner) -> JobResult {
    let store = Arc::clone(&scanner.store);
    run(&store, move || Ok(scanner.run_job())).await
}

/// The entries that one job has found, and the limits at which it ends.
struct ScanJob {
    found: Vec<Result<Entry>>,
    bytes: u64,
    begun: Instant,
    /// The clock is read once in this number of checks, and not for each of a thousand names that are in
    /// memory.
    checks_per_clock_read: usize,
    checks: usize,
}

impl ScanJob {
    fn begin(needs: Needs, max_entries: usize) -> Self {
        ScanJob {
            found: Vec::with_capacity(max_entries),
            bytes: 0,
            begun: Instant::now(),
            checks_per_clock_read: if needs == Needs::Key { 64 } else { 1 },
            checks: 0,
        }
    }

    /// Adds an entry, or `None` for a block that no longer exists.
    fn add(&mut self, entry: Result<Option<Entry>>) {
        if let Ok(Some(entry)) = &entry {
            self.bytes += entry.value.as_ref().map_or(0, |value| value.len() as u64);
        }
        self.found.extend(entry.transpose());
    }

    /// Returns whether the job must end before it examines another entry.
    fn is_enough(&mut self) -> bool {
        self.checks += 1;
        self.found.len() >= MAX_ENTRIES_PER_JOB
            || self.bytes >= MAX_BYTES_PER_JOB
            || (self.checks.is_multiple_of(self.checks_per_clock_read)
                && self.begun.elapsed() >= MAX_TIME_PER_JOB)
    }
}

/// Runs a part of a query as one job.
async fn run<T, F>(store: &Arc<Store>, part: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    run_with(store.open_files.permit().await?, store, part).await
}

async fn run_with<T, F>(permit: OwnedSemaphorePermit, store: &Arc<Store>, part: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let guard = store.begin_read_with(permit)?;
    blocking::run(move || {
        let _guard = guard;
        part()
    })
    .await
}
