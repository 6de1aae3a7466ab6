//! [`WriteBuffer`]: writes that are acknowledged, but not yet committed.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::key::Key;

/// The size at which a batch is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) writes: usize,
    pub(super) bytes: usize,
}

impl BatchLimits {
    /// Returns whether all these writes together reach a limit.
    fn are_reached_by(self, all: &[&WriteSet]) -> bool {
        let writes: usize = all.iter().map(|writes| writes.by_key.len()).sum();
        let bytes: usize = all.iter().map(|writes| writes.bytes).sum();
        writes > 0 && (writes >= self.writes || bytes >= self.bytes)
    }
}

/// The last write of each key; `None` is a delete.
#[derive(Debug, Default)]
pub(super) struct WriteSet {
    by_key: BTreeMap<Key, Option<Bytes>>,
    bytes: usize,
}

impl WriteSet {
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

    /// Adds earlier writes, except those of keys that have a later write here.
    fn add_earlier(&mut self, earlier: &WriteSet) {
        for (key, value) in earlier.iter() {
            if !self.by_key.contains_key(key) {
                self.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The result of adding a write to the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The write was added, and the batch is not full.
    WithRoomLeft,
    /// The write was added, and the batch is full.
    NowFull,
    /// The write was not added, because the batch is full until a commit succeeds.
    NoRoom,
}

/// The writes of the next commit and of the running one.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer {
    next: WriteSet,
    /// The writes of the running commit. They stay here if it ends without reporting, by a panic or because its
    /// runtime shuts down.
    committing: Option<Arc<WriteSet>>,
    /// Whether the last commit failed. Until one succeeds, all writes together share the limits of one batch, because
    /// the writes of the running commit may be returned to the next one.
    failing: bool,
    /// The error of a commit that no caller waited for.
    unreported: Option<Error>,
    closed: bool,
}

impl WriteBuffer {
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

    /// Drops all writes.
    pub(super) fn clear(&mut self) {
        self.next = WriteSet::default();
        self.committing = None;
    }

    /// Stores the error of a commit for the next caller.
    pub(super) fn set_unreported(&mut self, error: Error) {
        self.unreported = Some(error);
    }

    /// Returns the error of a commit that was not reported yet, once.
    pub(super) fn take_unreported(&mut self) -> Result<()> {
        self.unreported.take().map_or(Ok(()), Err)
    }

    /// Adds a write, unless the batch is full.
    pub(super) fn add(
        &mut self,
        key: &Key,
        value: Option<&Bytes>,
        limits: BatchLimits,
    ) -> Result<Added> {
        self.check_open()?;
        self.take_unreported()?;
        if self.is_full(limits) {
            return Ok(Added::NoRoom);
        }
        self.next.insert(key.clone(), value.cloned());
        Ok(if self.is_full(limits) {
            Added::NowFull
        } else {
            Added::WithRoomLeft
        })
    }

    fn is_full(&self, limits: BatchLimits) -> bool {
        match &self.committing {
            Some(committing) if self.failing => limits.are_reached_by(&[&self.next, committing]),
            _ => limits.are_reached_by(&[&self.next]),
        }
    }

    /// Returns the last write of the key that is not committed.
    pub(super) fn last_write(&self, key: &Key) -> Option<&Option<Bytes>> {
        let committing = || self.committing.as_ref()?.by_key.get(key);
        self.next.by_key.get(key).or_else(committing)
    }

    /// Returns the last write of each key that is not committed.
    pub(super) fn snapshot(&self) -> BTreeMap<Key, Option<Bytes>> {
        let mut all = BTreeMap::new();
        for writes in self.committing.as_deref().into_iter().chain([&self.next]) {
            let writes = writes.iter();
            all.extend(writes.map(|(key, value)| (key.clone(), value.clone())));
        }
        all
    }

    /// Begins a commit and returns its writes, or `None` if there is nothing to commit. With limits, there is nothing
    /// to commit before the batch is full.
    pub(super) fn begin_commit(&mut self, if_full: Option<BatchLimits>) -> Option<Arc<WriteSet>> {
        // A commit that ended without reporting has left its writes.
        self.commit_failed();
        if self.next.is_empty() || if_full.is_some_and(|limits| !self.is_full(limits)) {
            return None;
        }
        let writes = Arc::new(mem::take(&mut self.next));
        self.committing = Some(Arc::clone(&writes));
        Some(writes)
    }

    /// Drops the writes of the running commit, which the inner datastore now has.
    pub(super) fn commit_succeeded(&mut self) {
        self.committing = None;
        self.failing = false;
    }

    /// Returns the writes of the running commit to the next one.
    pub(super) fn commit_failed(&mut self) {
        if let Some(writes) = self.committing.take() {
            self.next.add_earlier(&writes);
            self.failing = true;
        }
    }
}

pub(super) fn size(value: &Bytes) -> u64 {
    value.len() as u64
}
