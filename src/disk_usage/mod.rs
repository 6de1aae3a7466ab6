//! How much space the store takes: a [`UsageTracker`] that follows every change, its checkpoint on disk,
//! and the count that makes it exact again after a crash.
//!
//! What counts is what go-ds-flatfs counts: the sizes of the files and directories of the store, its
//! root and `.temp` themselves included, but not what is in `.temp`.

pub(crate) mod cache;
mod count;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, RwLock};

use tokio::sync::Notify;

use self::count::Count;
pub(crate) use self::count::{count_dir, count_overhead};
use crate::datastore::{Accuracy, DiskUsage};
use crate::disk::Disk;
use crate::error::Result;
use crate::format::{BlockKey, Layout};
use crate::sync::{lock, read, write};

/// The running figure.
///
/// A step on disk and its entry in the figure are one for a count that runs meanwhile: steps go
/// through [`track`](UsageTracker::track), which keeps the count from taking anything over while they run. So
/// the count neither misses a change nor takes it twice.
#[derive(Debug)]
pub(crate) struct UsageTracker {
    bytes: AtomicI64,
    accuracy: Mutex<Accuracy>,
    count: RwLock<Option<Mutex<Count>>>,
    /// The figure of the last checkpoint.
    checkpointed: AtomicI64,
    checkpoint_due: Notify,
}

/// What a step did to one file or directory: its size before and after, 0 for absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl Change {
    pub(crate) const NONE: Change = Change {
        before: 0,
        after: 0,
    };

    pub(crate) fn new_file(after: u64) -> Self {
        Change { before: 0, after }
    }

    pub(crate) fn removed(before: u64) -> Self {
        Change { before, after: 0 }
    }

    fn delta(self) -> i64 {
        signed(self.after) - signed(self.before)
    }
}

/// Sizes of files fit: the operating system counts them in an `i64` too.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl UsageTracker {
    /// A meter that goes on from this figure.
    pub(crate) fn new(figure: DiskUsage) -> Self {
        UsageTracker {
            bytes: AtomicI64::new(signed(figure.bytes)),
            accuracy: Mutex::new(figure.accuracy),
            count: RwLock::new(None),
            checkpointed: AtomicI64::new(signed(figure.bytes)),
            checkpoint_due: Notify::new(),
        }
    }

    /// The figure now.
    pub(crate) fn figure(&self) -> DiskUsage {
        let bytes = self.bytes.load(Ordering::Relaxed);
        DiskUsage::new(u64::try_from(bytes).unwrap_or(0), *lock(&self.accuracy))
    }

    /// Waits until the figure has changed by more than a twentieth since the last checkpoint, or
    /// somebody [asks](UsageTracker::ask_for_checkpoint) for one.
    pub(crate) async fn checkpoint_due(&self) {
        self.checkpoint_due.notified().await;
    }

    /// The figure now, which is about to be written down.
    pub(crate) fn checkpoint(&self) -> DiskUsage {
        let figure = self.figure();
        self.checkpointed
            .store(signed(figure.bytes), Ordering::Relaxed);
        figure
    }

    fn look_whether_due(&self, bytes: i64) {
        let last = self.checkpointed.load(Ordering::Relaxed);
        if bytes.abs_diff(last) > last.unsigned_abs() / 20 {
            self.ask_for_checkpoint();
        }
    }

    /// Runs a step that changes one block in a shard directory, and takes the change into the
    /// figure.
    pub(crate) fn track(
        &self,
        shard: &str,
        block: &BlockKey,
        step: impl FnOnce() -> Result<Change>,
    ) -> Result<()> {
        self.take_in(step, |count, change| count.block(shard, block, change))
    }

    /// Runs a step that moves a block's file of `size` bytes from one directory to another.
    #[cfg(feature = "verify")]
    pub(crate) fn track_move(
        &self,
        (from, to): (&str, &str),
        block: &BlockKey,
        size: u64,
        step: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let moved = Change {
            before: size,
            after: size,
        };
        self.take_in(
            || step().map(|()| moved),
            |count, _| {
                count.block(from, block, Change::removed(size));
                count.block(to, block, Change::new_file(size));
            },
        )
    }

    /// Runs a step that makes a shard directory, and takes it into the figure.
    pub(crate) fn track_dir(&self, step: impl FnOnce() -> Result<Change>) -> Result<()> {
        self.take_in(step, Count::new_dir)
    }

    fn take_in(
        &self,
        step: impl FnOnce() -> Result<Change>,
        enter: impl FnOnce(&mut Count, Change),
    ) -> Result<()> {
        let counting = read(&self.count);
        let change = step()?;
        if change == Change::NONE {
            return Ok(());
        }
        let delta = change.delta();
        let bytes = self.add(delta);
        if let Some(count) = counting.as_ref() {
            enter(&mut lock(count), change);
        }
        drop(counting);
        self.look_whether_due(bytes);
        Ok(())
    }

    /// Adds to the figure, and returns the new one. It saturates: a few sparse files are enough for a
    /// sum that no number can hold.
    fn add(&self, delta: i64) -> i64 {
        let add = |bytes: i64| Some(bytes.saturating_add(delta));
        let before = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        before.unwrap_or_else(|bytes| bytes).saturating_add(delta)
    }

    /// Begins to count, and answers the directories that are still to be counted with
    /// [`count_dir`]. Until [`finish_count`](UsageTracker::finish_count) the figure goes on from what it
    /// was.
    pub(crate) fn begin_count(&self, disk: &dyn Disk, layout: &Layout) -> Result<Vec<String>> {
        let mut counting = write(&self.count);
        let count = Count::begin(disk, layout)?;
        let dirs = count.pending();
        *counting = Some(Mutex::new(count));
        Ok(dirs)
    }

    /// Takes over what was counted.
    pub(crate) fn finish_count(&self) {
        let mut counting = write(&self.count);
        if let Some(count) = counting.take() {
            let total = lock(&count).total();
            self.bytes.store(total, Ordering::Relaxed);
            *lock(&self.accuracy) = Accuracy::Exact;
        }
    }

    /// Gives up what was counted so far, which would take in every change for nothing.
    pub(crate) fn abandon_count(&self) {
        let mut counting = write(&self.count);
        *counting = None;
    }

    /// Whether a count is under way.
    #[cfg(test)]
    pub(crate) fn is_counting(&self) -> bool {
        let counting = read(&self.count);
        counting.is_some()
    }

    /// Asks for a checkpoint, however little has changed.
    pub(crate) fn ask_for_checkpoint(&self) {
        self.checkpoint_due.notify_one();
    }

    /// Takes over what was counted while nothing changed.
    pub(crate) fn set(&self, figure: DiskUsage) {
        self.bytes.store(signed(figure.bytes), Ordering::Relaxed);
        *lock(&self.accuracy) = figure.accuracy;
    }

    /// Lets the count take a step while no change is under way; `None` if there is no count.
    fn step<T>(&self, step: impl FnOnce(&mut Count) -> T) -> Option<T> {
        let counting = write(&self.count);
        counting.as_ref().map(|count| step(&mut lock(count)))
    }
}

/// Counts a store while nobody else uses it.
///
/// `None` if it was told to stop.
pub(crate) fn count_all(
    disk: &dyn Disk,
    layout: &Layout,
    stop: impl Fn() -> bool,
) -> Result<Option<DiskUsage>> {
    let meter = UsageTracker::new(DiskUsage::new(0, Accuracy::Unknown));
    for dir in meter.begin_count(disk, layout)? {
        count_dir(&meter, disk, layout, &dir, &stop)?;
        if stop() {
            return Ok(None);
        }
    }
    meter.finish_count();
    Ok(Some(meter.figure()))
}
