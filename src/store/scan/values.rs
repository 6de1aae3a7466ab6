//! The values of entries that were only listed. Values that the page cache has are read on the caller's
//! task while the next entries are listed; from the first one that it does not have, values are read from
//! the disk, many in one job.
//!
//! A value that is read where it is used needs no fresh memory: the allocator reuses that of the last
//! one. Values that a job reads ahead need fresh memory, which costs as much as reading small ones.

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
const MAX_WANTED_KEYS: usize = 128;

/// Whether a query looks for values in memory first. It stops at the first one that isn't there: the
/// values of a store that doesn't fit into memory are better read where they are listed.
#[derive(Clone, Debug)]
pub(super) struct InMemory(Arc<AtomicBool>);

impl InMemory {
    pub(super) fn of(store: &Store) -> Self {
        InMemory(Arc::new(AtomicBool::new(
            store.blocks.cached().is_available(),
        )))
    }

    pub(super) fn is_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn give_up(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Adds the values to entries, in the same order. An entry whose block has gone is left out.
pub(super) fn with_values(
    store: &Arc<Store>,
    entries: EntryStream,
    in_memory: InMemory,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let reader = ValueReader {
        store: Arc::clone(store),
        in_memory,
        entries: entries.peekable(),
        wanted: VecDeque::new(),
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

/// A query that reads values, and where it is.
struct ValueReader {
    store: Arc<Store>,
    in_memory: InMemory,
    entries: Peekable<EntryStream>,
    /// The entries whose values are to be read from the disk.
    wanted: VecDeque<Entry>,
    found: vec::IntoIter<Result<Entry>>,
}

impl ValueReader {
    /// Returns the next entry; an error ends the stream.
    async fn next(&mut self) -> Result<Option<Result<Entry>>> {
        loop {
            if let Some(item) = self.found.next() {
                return Ok(Some(item));
            }
            if !self.wanted.is_empty() {
                self.look_up().await?;
                continue;
            }
            let entry = match self.entries.next().await {
                Some(Ok(entry)) if entry.value.is_none() => entry,
                item => return Ok(item),
            };
            if self.in_memory.is_likely() {
                // A task that finds everything in memory would never let others run.
                tokio::task::consume_budget().await;
                self.store.lifecycle.check_open()?;
                match self
                    .store
                    .blocks
                    .cached()
                    .value(&BlockKey::new(&entry.key)?)
                {
                    Lookup::Found(value) => {
                        return Ok(Some(Ok(Entry::with_value(entry.key, value))));
                    }
                    Lookup::Absent => continue,
                    Lookup::Unknown => self.in_memory.give_up(),
                }
            }
            self.want(entry);
        }
    }

    /// Notes the entries whose values are to be read from the disk: this one, and those behind it that are
    /// already listed.
    fn want(&mut self, entry: Entry) {
        let lacks_value =
            |item: &Result<Entry>| item.as_ref().is_ok_and(|entry| entry.value.is_none());
        self.wanted.push_back(entry);
        while self.wanted.len() < MAX_WANTED_KEYS
            && let Some(Some(Ok(entry))) = Pin::new(&mut self.entries)
                .next_if(lacks_value)
                .now_or_never()
        {
            self.wanted.push_back(entry);
        }
    }

    /// Reads the values of the noted entries from the disk, as many as one job may read.
    async fn look_up(&mut self) -> Result<()> {
        let store = Arc::clone(&self.store);
        let mut wanted = mem::take(&mut self.wanted);
        let (found, wanted) = run(&self.store, move || {
            let mut job = ScanJob::begin(Needs::Value, wanted.len());
            while !job.is_enough()
                && let Some(entry) = wanted.pop_front()
            {
                job.add(store.with_value(entry));
            }
            Ok((job.found, wanted))
        })
        .await?;
        self.found = found.into_iter();
        self.wanted = wanted;
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
