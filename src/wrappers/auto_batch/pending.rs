//! Writes that are acknowledged, and not yet committed.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::key::Key;

/// How much makes a batch full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) writes: usize,
    pub(super) bytes: usize,
}

impl Limits {
    /// Whether all these writes together are at or above the limits.
    fn are_reached_by(self, all: &[&Writes]) -> bool {
        let writes: usize = all.iter().map(|writes| writes.by_key.len()).sum();
        let bytes: usize = all.iter().map(|writes| writes.bytes).sum();
        writes > 0 && (writes >= self.writes || bytes >= self.bytes)
    }
}

/// The last write of each key; `None` is a delete.
#[derive(Debug, Default)]
pub(super) struct Writes {
    by_key: BTreeMap<Key, Option<Bytes>>,
    bytes: usize,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Option<Bytes>)> {
        self.by_key.iter()
    }

    fn insert(&mut self, key: Key, value: Option<Bytes>) {
        let len = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        self.bytes += len(&value);
        if let Some(earlier) = self.by_key.insert(key, value) {
            self.bytes -= len(&earlier);
        }
    }

    /// Adds earlier writes, of keys that were not written since.
    fn add_earlier(&mut self, earlier: &Writes) {
        for (key, value) in earlier.iter() {
            if !self.by_key.contains_key(key) {
                self.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is pending.
    WithRoomLeft,
    /// It is pending, and the last one that the batch has room for.
    AndFull,
    /// There is no room until the batch is committed.
    Not,
}

/// What is pending, and what is being committed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next: Writes,
    /// The writes of the commit that is under way. One that ended without a word, in a panic or with its
    /// runtime, leaves them here.
    committing: Option<Arc<Writes>>,
    /// Whether the last commit failed. Until one succeeds all writes share the room of one batch: those of
    /// the commit that is under way may come back.
    failing: bool,
    /// The failure of a commit that nobody waited for.
    unheard: Option<Error>,
    closed: bool,
}

impl Pending {
    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    pub(super) fn set_closed(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.committing.is_none()
    }

    /// Forgets all writes.
    pub(super) fn clear(&mut self) {
        self.next = Writes::default();
        self.committing = None;
    }

    pub(super) fn keep_unheard(&mut self, error: Error) {
        self.unheard = Some(error);
    }

    pub(super) fn unheard(&mut self) -> Result<()> {
        self.unheard.take().map_or(Ok(()), Err)
    }

    pub(super) fn take(
        &mut self,
        key: &Key,
        value: Option<&Bytes>,
        limits: Limits,
    ) -> Result<Taken> {
        self.check_open()?;
        self.unheard()?;
        if self.is_full(limits) {
            return Ok(Taken::Not);
        }
        self.next.insert(key.clone(), value.cloned());
        Ok(if self.is_full(limits) {
            Taken::AndFull
        } else {
            Taken::WithRoomLeft
        })
    }

    fn is_full(&self, limits: Limits) -> bool {
        match &self.committing {
            Some(committing) if self.failing => limits.are_reached_by(&[&self.next, committing]),
            _ => limits.are_reached_by(&[&self.next]),
        }
    }

    /// The last write of the key, if it isn't committed.
    pub(super) fn written(&self, key: &Key) -> Option<&Option<Bytes>> {
        let committing = || self.committing.as_ref()?.by_key.get(key);
        self.next.by_key.get(key).or_else(committing)
    }

    /// The last write of each key that isn't committed.
    pub(super) fn snapshot(&self) -> BTreeMap<Key, Option<Bytes>> {
        let mut all = BTreeMap::new();
        for writes in self.committing.as_deref().into_iter().chain([&self.next]) {
            all.extend(
                writes
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        all
    }

    /// The writes of the next commit, `None` if there are none, or less than a full batch of these limits.
    pub(super) fn begin_commit(&mut self, full: Option<Limits>) -> Option<Arc<Writes>> {
        self.keep();
        if self.next.is_empty() || full.is_some_and(|limits| !self.is_full(limits)) {
            return None;
        }
        let writes = Arc::new(mem::take(&mut self.next));
        self.committing = Some(Arc::clone(&writes));
        Some(writes)
    }

    /// The commit succeeded: the datastore below has its writes.
    pub(super) fn forget(&mut self) {
        self.committing = None;
        self.failing = false;
    }

    /// The commit failed: its writes go into the next one.
    pub(super) fn keep(&mut self) {
        if let Some(writes) = self.committing.take() {
            self.next.add_earlier(&writes);
            self.failing = true;
        }
    }
}

pub(super) fn size(value: &Bytes) -> u64 {
    value.len() as u64
}
