//! The values of entries that were only listed. Values in the page cache are read in the caller's task while
//! the next entries are listed. From the first value that is not cached, values are read from the disk, many
//! in one job.
//!
//! A value that is read just before it is used needs no fresh memory: the allocator reuses the memory of the
//! last one. Values that a job reads ahead need fresh memory, which costs as much as reading a small value.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec;

use futures::FutureExt;
use futures::stream::{self, Peekable, Stream, StreamExt};

use super::{ScanJob, run};
use crate::error::Result;
use crate::format::BlockKey;
use crate::query::{Entry, EntryStream, Needs};
use crate::store::Store;
use crate::store::blocks::Lookup;

/// The number of keys that are collected before their values are read from the disk.
const MAX_UNCACHED_KEYS: usize = 128;

/// Whether a query tries cached reads of values first. It stops doing so at the first value that is not
/// cached: if a store doesn't fit into memory, it is faster to read the values where they are listed.
#[derive(Clone, Debug)]
pub(super) struct CacheHint(Arc<AtomicBool>);

impl CacheHint {
    pub(super) fn of(store: &Store) -> Self {
        CacheHint(Arc::new(AtomicBool::new(
            store.blocks.cached().is_available(),
        )))
    }

    pub(super) fn is_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set_uncached(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Adds the values to entries, in the same order. An entry whose block no longer exists is left out.
pub(super) fn with_values(
    store: &Arc<Store>,
    entries: EntryStream,
    cache_hint: CacheHint,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let reader = ValueReader {
        store: Arc::clone(store),
        cache_hint,
        entries: entries.peekable(),
        uncached: VecDeque::new(),
        found: Vec::new().into_iter(),
    };
    stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(item) => Some((item?, Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// A query that reads values, and its position.
struct ValueReader {
    store: Arc<Store>,
    cache_hint: CacheHint,
    entries: Peekable<EntryStream>,
    /// The entries whose values are to be read from the disk.
    uncached: VecDeque<Entry>,
    found: vec::IntoIter<Result<Entry>>,
}

impl ValueReader {
    /// Returns the next entry. An error ends the stream.
    async fn next(&mut self) -> Result<Option<Result<Entry>>> {
        loop {
            if let Some(item) = self.found.next() {
                return Ok(Some(item));
            }
            if !self.uncached.is_empty() {
                self.look_up().await?;
                continue;
            }
            let entry = match self.entries.next().await {
                Some(Ok(entry)) if entry.value.is_none() => entry,
                item => return Ok(item),
            };
            if self.cache_hint.is_likely() {
                // Without this, a task whose reads are all cached would never yield to other tasks.
                tokio::task::consume_budget().await;
                self.store.lifecycle.check_open()?;
                // The presence filter isn't asked: the block was just listed.
                let block = BlockKey::new(&entry.key)?;
                match self.store.blocks.cached().value(&block) {
                    Lookup::Found(value) => {
                        return Ok(Some(Ok(Entry::with_value(entry.key, value))));
                    }
                    Lookup::Excluded | Lookup::Absent => continue,
                    Lookup::Unknown => self.cache_hint.set_uncached(),
                }
            }
            self.collect_uncached(entry);
        }
    }

    /// Notes the entries whose values are to be read from the disk: this one, and those after it that are
    /// already listed.
    fn collect_uncached(&mut self, entry: Entry) {
        let lacks_value =
            |item: &Result<Entry>| item.as_ref().is_ok_and(|entry| entry.value.is_none());
        self.uncached.push_back(entry);
        while self.uncached.len() < MAX_UNCACHED_KEYS
            && let Some(Some(Ok(entry))) = Pin::new(&mut self.entries)
                .next_if(lacks_value)
                .now_or_never()
        {
            self.uncached.push_back(entry);
        }
    }

    /// Reads the values of the noted entries from the disk, as many as one job may read.
    async fn look_up(&mut self) -> Result<()> {
        let store = Arc::clone(&self.store);
        let mut uncached = mem::take(&mut self.uncached);
        let (found, uncached) = run(&self.store, move || {
            let mut job = ScanJob::begin(Needs::Value, uncached.len());
            while !job.is_enough()
                && let Some(entry) = uncached.pop_front()
            {
                job.add(store.with_value(entry));
            }
            Ok((job.found, uncached))
        })
        .await?;
        self.found = found.into_iter();
        self.uncached = uncached;
        Ok(())
    }
}

impl Store {
    fn with_value(&self, entry: Entry) -> Result<Option<Entry>> {
        let value = self.blocks.read(&BlockKey::new(&entry.key)?)?;
        if value.is_none() {
            self.blocks.cached().check_absence()?;
        }
        Ok(value.map(|value| Entry::with_value(entry.key, value)))
    }
}
