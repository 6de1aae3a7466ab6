//! Queries: a walk through the shard directories, some hundred entries a job.

mod values;
mod walk;

use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use self::values::{InMemory, with_values};
use self::walk::Walk;
use super::shared::Store;
use crate::blocking;
use crate::error::Result;
use crate::query::{self, Entry, EntryStream, Needs, Query};

/// A job ends after so many entries,
const ENTRIES: usize = 1024;
/// or when it has read so many bytes,
const BYTES: u64 = 1 << 20;
/// or after this time: what memory doesn't know may take a disk 10 ms each.
const TIME: Duration = Duration::from_millis(5);
/// So many jobs of one query run at the same time at most.
const SIDE_BY_SIDE: usize = 2;

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

/// All entries of the store, each with as much as is needed.
pub(crate) fn walk(store: &Arc<Store>, needs: Needs) -> EntryStream {
    let in_memory = (needs == Needs::Value).then(|| InMemory::of(store));
    let entries = list(store, needs, in_memory.clone()).boxed();
    match in_memory {
        Some(in_memory) => with_values(store, entries, in_memory).boxed(),
        None => entries,
    }
}

/// All entries of the store, each with as much as is needed, or with its key alone as long as its value
/// is likely to be in memory.
fn list(
    store: &Arc<Store>,
    needs: Needs,
    in_memory: Option<InMemory>,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let walkers = Walkers::of(Walk::new(store, needs, in_memory));
    stream::unfold(walkers, |mut walkers| async move {
        let found = walkers.next().await?;
        Some((stream::iter(found), walkers))
    })
    .flatten()
}

/// Some entries, and the walk that goes on behind them unless that was all.
type Stepped = Result<(Vec<Result<Entry>>, Option<Walk>)>;

/// The walks of one query, each through other shards.
struct Walkers {
    /// Those that take no step just now.
    idle: Vec<Walk>,
    /// Steps that run while the entries of an earlier one are looked at.
    steps: FuturesUnordered<BoxFuture<'static, Stepped>>,
    /// How many walks there are, or were.
    walks: usize,
}

impl Walkers {
    fn of(walk: Walk) -> Self {
        Walkers {
            idle: vec![walk],
            steps: FuturesUnordered::new(),
            walks: 1,
        }
    }

    /// What the next step to end has found; `None` if there are no more.
    async fn next(&mut self) -> Option<Vec<Result<Entry>>> {
        let stepped = match self.steps.next().await {
            Some(stepped) => stepped,
            None => step(self.idle.pop()?).await,
        };
        match stepped {
            Ok((found, walk)) => {
                if let Some(walk) = walk {
                    self.join(walk);
                }
                self.begin_steps().await;
                Some(found)
            }
            Err(error) => {
                self.idle.clear();
                self.steps.clear();
                Some(vec![Err(error)])
            }
        }
    }

    /// Takes a walk back, and another one beside it if it is the only one: a query of few entries
    /// needs one job.
    fn join(&mut self, walk: Walk) {
        if self.walks < SIDE_BY_SIDE
            && let Some(other) = walk.beside()
        {
            self.walks += 1;
            self.idle.push(other);
        }
        self.idle.push(walk);
    }

    /// Begins the next step of each walk; but only if it needs not wait for a permit: the consumer may
    /// take its time, and what nobody polls must not stand in a queue.
    async fn begin_steps(&mut self) {
        for walk in mem::take(&mut self.idle) {
            let store = Arc::clone(&walk.store);
            let Some(permit) = store.open_files.try_permit() else {
                self.idle.push(walk);
                continue;
            };
            let step = async move { run_with(permit, &store, move || Ok(walk.step())).await };
            let mut step = step.boxed();
            // It begins with the first poll.
            let step = match futures::poll!(step.as_mut()) {
                Poll::Ready(stepped) => future::ready(stepped).boxed(),
                Poll::Pending => step,
            };
            self.steps.push(step);
        }
    }
}

async fn step(walk: Walk) -> Stepped {
    let store = Arc::clone(&walk.store);
    run(&store, move || Ok(walk.step())).await
}

/// What one job finds.
struct Part {
    found: Vec<Result<Entry>>,
    bytes: u64,
    begun: Instant,
    /// How often the clock is asked: not for each of a thousand names that memory has.
    asks_each: usize,
    turns: usize,
}

impl Part {
    fn begin(needs: Needs, most: usize) -> Self {
        Part {
            found: Vec::with_capacity(most),
            bytes: 0,
            begun: Instant::now(),
            asks_each: if needs == Needs::Key { 64 } else { 1 },
            turns: 0,
        }
    }

    /// `None` is what isn't there.
    fn add(&mut self, entry: Result<Option<Entry>>) {
        if let Ok(Some(entry)) = &entry {
            self.bytes += entry.value.as_ref().map_or(0, |value| value.len() as u64);
        }
        self.found.extend(entry.transpose());
    }

    /// Whether the job is to end here, before the next thing that it looks at.
    fn is_enough(&mut self) -> bool {
        self.turns += 1;
        self.found.len() >= ENTRIES
            || self.bytes >= BYTES
            || (self.turns.is_multiple_of(self.asks_each) && self.begun.elapsed() >= TIME)
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
