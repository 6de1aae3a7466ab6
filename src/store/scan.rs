//! Queries: a walk through the shard directories, some hundred entries a job.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::iter;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, MaybeDone, maybe_done};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::Store;
use crate::disk::{Kind, Listed, Listing, if_there, pool};
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
/// How many keys are collected to read their values.
const KEYS: usize = 128;

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
        return look_up(store, keys).fuse().boxed();
    }
    query::apply(query, walk(store, needs))
}

/// All entries of the store, each with as much as is needed.
pub(crate) fn walk(
    store: &Arc<Store>,
    needs: Needs,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let walk = Walk {
        store: Arc::clone(store),
        needs,
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
    let step = async move { run_with(permit, &store, move || walk.step()).await };
    let mut step = Box::pin(maybe_done(step.boxed()));
    // Whether it is done at once doesn't matter: it has begun.
    let _ = futures::poll!(step.as_mut());
    Ahead::Step(step)
}

async fn step(walk: Walk) -> Stepped {
    let store = Arc::clone(&walk.store);
    run(&store, move || walk.step()).await
}

/// Reads the values of keys that were found before. One that has gone meanwhile is left out.
fn look_up(
    store: &Arc<Store>,
    keys: EntryStream,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let begin = (Arc::clone(store), keys.fuse(), VecDeque::new());
    stream::unfold(Some(begin), |rest| async move {
        let (store, mut keys, mut wanted) = rest?;
        while wanted.len() < KEYS
            && let Some(item) = keys.next().await
        {
            wanted.push_back(item);
        }
        if wanted.is_empty() {
            return None;
        }
        let reader = Arc::clone(&store);
        let read = run(&store, move || {
            Ok((read_some(&reader, &mut wanted), wanted))
        })
        .await;
        let (found, rest) = match read {
            Ok((found, wanted)) => (found, Some((store, keys, wanted))),
            Err(error) => (vec![Err(error)], None),
        };
        Some((stream::iter(found), rest))
    })
    .flatten()
}

fn read_some(store: &Store, wanted: &mut VecDeque<Result<Entry>>) -> Vec<Result<Entry>> {
    let mut found = Vec::new();
    let mut bytes = 0;
    while bytes < BYTES
        && let Some(item) = wanted.pop_front()
    {
        let read = item.and_then(|entry| {
            let block = BlockKey::new(&entry.key)?;
            store.entry(block, Needs::Value)
        });
        found.extend(read.transpose());
        bytes += size_of_last(&found);
    }
    found
}

fn size_of_last(found: &[Result<Entry>]) -> u64 {
    match found.last() {
        Some(Ok(entry)) if entry.value.is_some() => entry.size.unwrap_or(0),
        _ => 0,
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
    held: Option<OwnedSemaphorePermit>,
    /// The rest of the root, once it is listed.
    shards: Option<Listing>,
    /// The shard that is being read, and the rest of it.
    current: Option<(String, Listing)>,
}

impl Walk {
    /// Some entries, and where it goes on unless that was all.
    fn step(mut self) -> Result<(Vec<Result<Entry>>, Option<Self>)> {
        let begun = Instant::now();
        let mut found = Vec::new();
        let mut bytes = 0;
        while found.len() < ENTRIES && bytes < BYTES && begun.elapsed() < TIME {
            let Some((shard, listing)) = &mut self.current else {
                match self.next_shard()? {
                    Some(Ok(current)) => self.current = Some(current),
                    Some(Err(error)) => found.push(Err(error)),
                    None => return Ok((found, None)),
                }
                continue;
            };
            match listing.next() {
                Some(Ok(listed)) => {
                    let entry = self.store.listed_entry(shard, &listed, self.needs);
                    found.extend(entry.transpose());
                    bytes += size_of_last(&found);
                }
                Some(Err(error)) => {
                    let dir = self.store.layout.at_root(shard);
                    found.push(Err(Error::io("list", dir, error)));
                    self.current = None;
                }
                None => self.current = None,
            }
        }
        Ok((found, Some(self)))
    }

    /// The next shard directory with its entries, or why it can't be read.
    fn next_shard(&mut self) -> Result<Option<Result<(String, Listing)>>> {
        let root = self.store.layout.root().to_owned();
        if self.shards.is_none() {
            let listing = self.list(root.clone())?;
            self.shards = Some(listing);
        }
        while let Some(listed) = self.shards.as_mut().and_then(Iterator::next) {
            let listed = listed.map_err(|error| Error::io("list", &root, error))?;
            let Some(shard) = shard_name(&listed) else {
                warn_unless_known(&root, &listed.name);
                continue;
            };
            let dir = root.join(&shard);
            return Ok(Some(match listed.kind {
                Kind::Dir => self.list(dir).map(|listing| (shard, listing)),
                kind => Err(Error::Unexpected {
                    path: dir,
                    found: kind.name(),
                    expected: "directory",
                }),
            }));
        }
        Ok(None)
    }

    /// Lists a directory; one that has gone is empty.
    fn list(&self, dir: PathBuf) -> Result<Listing> {
        let listing = if_there(self.store.disk.list(&dir));
        let listing = listing.map_err(|error| Error::io("list", dir, error))?;
        let listing = listing.unwrap_or_else(|| Box::new(iter::empty()));
        if self.held.is_some() {
            return Ok(listing);
        }
        let all: Vec<_> = listing.collect();
        Ok(Box::new(all.into_iter()))
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
    fn listed_entry(&self, shard: &str, listed: &Listed, needs: Needs) -> Result<Option<Entry>> {
        let path = || self.layout.at_root(shard).join(&listed.name);
        let Some(block) = BlockKey::of_file(&listed.name) else {
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
        if needs == Needs::Key {
            return Ok(Some(Entry::from_key(block.into_key())));
        }
        self.entry_at(path(), block, needs)
    }

    /// A block as an entry; `None` if it isn't there.
    fn entry(&self, block: BlockKey, needs: Needs) -> Result<Option<Entry>> {
        let shard = self.layout.shard_of(&block);
        if !self.shards.is_there(&*self.disk, &self.layout, &shard)? {
            return Ok(None);
        }
        self.entry_at(self.layout.block(&block), block, needs)
    }

    fn entry_at(&self, path: PathBuf, block: BlockKey, needs: Needs) -> Result<Option<Entry>> {
        let key = block.into_key();
        Ok(match needs {
            Needs::Key => Some(Entry::from_key(key)),
            Needs::Size => self
                .stat_at(&path)?
                .map(|stat| Entry::with_size(key, stat.len)),
            Needs::Value => self
                .read_at(path)?
                .map(|value| Entry::with_value(key, value)),
        })
    }
}
