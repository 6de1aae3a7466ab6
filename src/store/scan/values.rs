//! The values of entries that were only listed: from memory as long as that has them, here and now and
//! beside the listing of the next ones, else from the disk, many in one job.
//!
//! A value that is read where it is used needs no fresh memory: the next one takes the place of the
//! last one. Those that a job reads ahead do, which costs as much as to read small ones.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec;

use futures::FutureExt;
use futures::stream::{self, Peekable, Stream, StreamExt};

use super::{Part, run};
use crate::error::Result;
use crate::format::BlockKey;
use crate::query::{Entry, EntryStream, Needs};
use crate::store::Store;
use crate::store::blocks::Lookup;

/// How many keys are kept to ask the disk for their values.
const KEYS: usize = 128;

/// Whether a query looks for values in memory first. From the first one on that isn't there it doesn't:
/// those of a store that doesn't fit into memory are better read where they are listed.
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

/// The entries with their values, in the same order. One whose block has gone is left out.
pub(super) fn with_values(
    store: &Arc<Store>,
    entries: EntryStream,
    in_memory: InMemory,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let rest = Rest {
        store: Arc::clone(store),
        in_memory,
        entries: entries.peekable(),
        wanted: VecDeque::new(),
        found: Vec::new().into_iter(),
    };
    stream::unfold(Some(rest), |rest| async move {
        let mut rest = rest?;
        match rest.next().await {
            Ok(item) => Some((item?, Some(rest))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Rest {
    store: Arc<Store>,
    in_memory: InMemory,
    entries: Peekable<EntryStream>,
    /// What the disk is to be asked for.
    wanted: VecDeque<Entry>,
    found: vec::IntoIter<Result<Entry>>,
}

impl Rest {
    /// The next entry, or why there can be no more.
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

    /// Notes what the disk is to be asked for: this entry, and those behind it that are listed by now.
    fn want(&mut self, entry: Entry) {
        let lacks_value =
            |item: &Result<Entry>| item.as_ref().is_ok_and(|entry| entry.value.is_none());
        self.wanted.push_back(entry);
        while self.wanted.len() < KEYS
            && let Some(Some(Ok(entry))) = Pin::new(&mut self.entries)
                .next_if(lacks_value)
                .now_or_never()
        {
            self.wanted.push_back(entry);
        }
    }

    /// Asks the disk for as much as one job may read.
    async fn look_up(&mut self) -> Result<()> {
        let store = Arc::clone(&self.store);
        let mut wanted = mem::take(&mut self.wanted);
        let (found, wanted) = run(&self.store, move || {
            let mut part = Part::begin(Needs::Value, wanted.len());
            while !part.is_enough()
                && let Some(entry) = wanted.pop_front()
            {
                part.add(store.with_value(entry));
            }
            Ok((part.found, wanted))
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
