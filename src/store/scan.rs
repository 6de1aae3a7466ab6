//! Queries: a walk through the shard directories, some hundred entries a job.

mod values;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, MaybeDone, maybe_done};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use self::values::{InMemory, with_values};
use super::Store;
use crate::disk::{Current, Kind, Listed, Listing, if_there, pool};
use crate::error::{Error, Result};
use crate::layout::{self, BlockKey, DISK_USAGE, README, SHARDING};
use crate::observe::target;
use crate::query::{self, Entry, EntryStream, Needs, Query};

/// A job ends after so many entries,
const ENTRIES: usize = 1024;
/// or when it has read so many bytes,
const BYTES: u64 = 1 << 20;
/// or after this time: what memory doesn't know may take a disk 10 ms each.
const TIME: Duration = Duration::from_millis(5);

pub(super) fn query(store: &Arc<Store>, query: Query) -> EntryStream {
    if !query.prefix.is_root() {
        // No block has a key below another one's.
        return stream::empty().boxed();
    }
    let needs = query.needs();
    let sorts_keys = !query.orders.is_empty() && !query.judges_values();
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
    let walk = Walk {
        store: Arc::clone(store),
        needs,
        in_memory,
        held: Arc::clone(&store.listings).try_acquire_owned().ok(),
        shards: None,
        current: None,
    };
    stream::unfold(Some(Ahead::Walk(walk)), |ahead| async move {
        let stepped = match ahead? {
            Ahead::Walk(walk) => step(walk).await,
            Ahead::Step(mut step) => {
                step.as_mut().await;
                step.as_mut().take_output()?
            }
        };
        let (found, walk) = stepped.unwrap_or_else(|error| (vec![Err(error)], None));
        let ahead = match walk {
            Some(walk) => Some(begin(walk).await),
            None => None,
        };
        Some((stream::iter(found), ahead))
    })
    .flatten()
}

type Stepped = Result<(Vec<Result<Entry>>, Option<Walk>)>;

/// What a query does while its consumer is busy.
enum Ahead {
    /// Nothing yet.
    Walk(Walk),
    /// The next step.
    Step(Pin<Box<MaybeDone<BoxFuture<'static, Stepped>>>>),
}

/// Begins the next step, so that it runs while the entries of the last one are looked at; but only if
/// it needs not wait for a permit: the consumer may take its time, and what nobody polls must not
/// stand in a queue.
async fn begin(walk: Walk) -> Ahead {
    let Ok(permit) = Arc::clone(&walk.store.files).try_acquire_owned() else {
        return Ahead::Walk(walk);
    };
    let store = Arc::clone(&walk.store);
    let step = async move { run_with(permit, &store, move || Ok(walk.step())).await };
    let mut step = Box::pin(maybe_done(step.boxed()));
    // Whether it is done at once doesn't matter: it has begun.
    let _ = futures::poll!(step.as_mut());
    Ahead::Step(step)
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
async fn run<T, F>(store: &Store, part: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    run_with(store.file_permit().await?, store, part).await
}

async fn run_with<T, F>(permit: OwnedSemaphorePermit, store: &Store, part: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let work = store.begin_read()?;
    pool::run(move || {
        let _held = (work, permit);
        part()
    })
    .await
}

/// Where a query stands.
///
/// Between two jobs it keeps the listings open that it reads, if there is a permit for that; else it
/// keeps all their entries in memory. It doesn't wait for a permit: who reads two queries at once
/// could wait for himself.
struct Walk {
    store: Arc<Store>,
    needs: Needs,
    in_memory: Option<InMemory>,
    held: Option<OwnedSemaphorePermit>,
    /// The rest of the root, once it is listed.
    shards: Option<Listing>,
    /// The shard that is being read, and the rest of it.
    current: Option<(String, Listing)>,
}

impl Walk {
    /// Some entries, and where it goes on unless that was all.
    fn step(mut self) -> (Vec<Result<Entry>>, Option<Self>) {
        let needs = match &self.in_memory {
            Some(in_memory) if in_memory.is_likely() => Needs::Key,
            _ => self.needs,
        };
        let mut part = Part::begin(needs, ENTRIES);
        while !part.is_enough() {
            let Some((shard, listing)) = &mut self.current else {
                match self.next_shard() {
                    Ok(Some(Ok(current))) => self.current = Some(current),
                    Ok(Some(Err(error))) => part.found.push(Err(error)),
                    Ok(None) => return (part.found, None),
                    Err(error) => {
                        part.found.push(Err(error));
                        return (part.found, None);
                    }
                }
                continue;
            };
            match listing.next_entry() {
                Ok(Some(listed)) => {
                    let entry = self.store.listed_entry(shard, &listed, needs);
                    part.add(entry);
                }
                Ok(None) => self.current = None,
                Err(error) => {
                    let dir = self.store.layout.at_root(shard);
                    part.found.push(Err(Error::io("list", dir, error)));
                    self.current = None;
                }
            }
        }
        (part.found, Some(self))
    }

    /// The next shard directory with its entries, or why it can't be read.
    fn next_shard(&mut self) -> Result<Option<Result<(String, Listing)>>> {
        let root = self.store.layout.root().to_owned();
        if self.shards.is_none() {
            self.shards = self.list(root.clone())?;
        }
        while let Some(listed) = self.shards.as_mut().and_then(Iterator::next) {
            let listed = listed.map_err(|error| Error::io("list", &root, error))?;
            let Some(shard) = shard_name(&listed) else {
                warn_unless_known(&root, &listed.name);
                continue;
            };
            let dir = root.join(&shard);
            let listing = match listed.kind {
                Kind::Dir => self.list(dir),
                kind => Err(Error::Unexpected {
                    path: dir,
                    found: kind.name(),
                    expected: "directory",
                }),
            };
            if let Some(listing) = listing.transpose() {
                return Ok(Some(listing.map(|listing| (shard, listing))));
            }
        }
        Ok(None)
    }

    /// Lists a directory, `None` if it has gone.
    fn list(&self, dir: PathBuf) -> Result<Option<Listing>> {
        let listing = if_there(self.store.disk.list(&dir));
        let listing = listing.map_err(|error| Error::io("list", &dir, error))?;
        if self.held.is_some() {
            return Ok(listing);
        }
        let in_memory = |all: Listing| all.into_memory(Arc::clone(&self.store.disk), dir);
        Ok(listing.map(in_memory))
    }
}

/// The name of what is a shard directory, or stands in the place of one.
fn shard_name(listed: &Listed) -> Option<String> {
    let is_shard = layout::is_shard_name(&listed.name)
        && listed.kind != Kind::File
        && listed.name != SHARDING
        && listed.name != README;
    let name = listed.name.to_str()?;
    is_shard.then(|| name.to_owned())
}

fn warn_unless_known(root: &std::path::Path, name: &OsStr) {
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    if !is_hidden
        && ![SHARDING, README, DISK_USAGE]
            .iter()
            .any(|known| name == *known)
    {
        warn_foreign(&root.join(name));
    }
}

fn warn_foreign(path: &std::path::Path) {
    tracing::warn!(target: target::QUERY, path = %path.display(), "ignoring what is no part of a datastore");
}

impl Store {
    /// What was listed in a shard, as an entry; `None` if it is no block, or has gone.
    fn listed_entry(
        &self,
        shard: &str,
        listed: &Current<'_>,
        needs: Needs,
    ) -> Result<Option<Entry>> {
        let path = || self.layout.at_root(shard).join(listed.name());
        let Some(block) = BlockKey::of_file(listed.name()) else {
            warn_foreign(&path());
            return Ok(None);
        };
        if listed.kind != Kind::File {
            return Err(Error::Unexpected {
                path: path(),
                found: listed.kind.name(),
                expected: "block",
            });
        }
        if self.layout.shard_of(&block) != shard {
            tracing::warn!(
                target: target::QUERY,
                path = %path().display(),
                "ignoring a block in a shard that is not its own"
            );
            return Ok(None);
        }
        let key = block.into_key();
        Ok(match needs {
            Needs::Key => Some(Entry::from_key(key)),
            Needs::Size => match if_there(listed.stat()) {
                Ok(Some(stat)) if stat.kind == Kind::File => Some(Entry::with_size(key, stat.len)),
                Ok(None) => None,
                _ => self
                    .stat_at(&path())?
                    .map(|stat| Entry::with_size(key, stat.len)),
            },
            Needs::Value => if_there(listed.read())
                .map_err(|error| self.not_read(path(), error))?
                .map(|value| Entry::with_value(key, value)),
        })
    }
}
