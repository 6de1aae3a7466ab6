//! Queries: the shard directories are read by jobs, each of which finds at most about a thousand entries.

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

use self::scanner::Scanner;
use self::values::{InMemory, with_values};
use super::shared::Store;
use crate::blocking;
use crate::error::Result;
use crate::query::{self, Entry, EntryStream, Needs, Query};

/// A job ends after this number of entries,
const MAX_ENTRIES_PER_JOB: usize = 1024;
/// or when it has read this number of bytes,
const MAX_BYTES_PER_JOB: u64 = 1 << 20;
/// or after this time: what is not in memory may take a disk 10 ms each.
const MAX_TIME_PER_JOB: Duration = Duration::from_millis(5);
/// The number of jobs of one query that run at the same time.
const MAX_CONCURRENT_JOBS: usize = 2;

pub(super) fn query(store: &Arc<Store>, query: Query) -> EntryStream {
    if !query.prefix.is_root() {
        // No block has a key below another one's.
        return stream::empty().boxed();
    }
    let needs = query.needs();
    let sorts_keys = !query.orders.is_empty() && !query.reads_values();
    if needs == Needs::Value && sorts_keys {
        // Sort the keys alone, and read the values in their order.
        let keys = query::apply(query.keys_only(), walk(store, Needs::Key));
        let in_memory = InMemory::of(store);
        return with_values(store, keys, in_memory).fuse().boxed();
    }
    query::apply(query, walk(store, needs))
}

/// Returns all entries of the store, each with as much as is needed.
pub(crate) fn walk(store: &Arc<Store>, needs: Needs) -> EntryStream {
    let in_memory = (needs == Needs::Value).then(|| InMemory::of(store));
    let entries = list(store, needs, in_memory.clone()).boxed();
    match in_memory {
        Some(in_memory) => with_values(store, entries, in_memory).boxed(),
        None => entries,
    }
}

/// Returns all entries of the store, each with as much as is needed, or with its key alone as long as its
/// value is likely to be in memory.
fn list(
    store: &Arc<Store>,
    needs: Needs,
    in_memory: Option<InMemory>,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let scanners = Scanners::of(Scanner::new(store, needs, in_memory));
    stream::unfold(scanners, |mut scanners| async move {
        let found = scanners.next().await?;
        Some((stream::iter(found), scanners))
    })
    .flatten()
}

/// Some entries, and the scanner that goes on behind them unless it is at its end.
type JobResult = Result<(Vec<Result<Entry>>, Option<Scanner>)>;

/// The scanners of one query, each of which reads other shards.
struct Scanners {
    /// The scanners that run no job now.
    idle: Vec<Scanner>,
    /// Jobs that run while the caller looks at the entries of an earlier one.
    jobs: FuturesUnordered<BoxFuture<'static, JobResult>>,
    /// How many scanners there are, or were.
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

    /// Returns what the next job to end has found; `None` if there are no more.
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

    /// Begins the next job of each scanner, unless that would have to wait for a permit: the caller may
    /// take its time, and a future that is not polled must not be in a queue that others wait behind.
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

/// What one job finds, and when it has found enough.
struct ScanJob {
    found: Vec<Result<Entry>>,
    bytes: u64,
    begun: Instant,
    /// The clock is read once in this number of checks: not for each of a thousand names that are in
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

    /// Adds an entry; `None` is one that isn't there.
    fn add(&mut self, entry: Result<Option<Entry>>) {
        if let Ok(Some(entry)) = &entry {
            self.bytes += entry.value.as_ref().map_or(0, |value| value.len() as u64);
        }
        self.found.extend(entry.transpose());
    }

    /// Whether the job is to end before it looks at another entry.
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
