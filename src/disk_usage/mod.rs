//! The space that a store takes: a [`UsageTracker`] that follows every change, its checkpoint on disk, and the
//! count that makes it exact again after a crash.
//!
//! It is what go-ds-flatfs counts: the sizes of the files and directories of the store, with its root and
//! `.temp` themselves, but without what is in `.temp`.

pub(crate) mod cache;
mod change;
mod count;
mod dir_sizes;
#[cfg(feature = "verify")]
mod moves;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, RwLock};

use tokio::sync::Notify;

pub(crate) use self::change::Change;
use self::change::signed;
use self::count::RunningCount;
pub(crate) use self::count::{count_all, count_dir, count_overhead};
use self::dir_sizes::DirSizes;
use crate::datastore::{Accuracy, DiskUsage};
use crate::disk::{Disk, if_there};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout, TEMP};
use crate::sync::{lock, read};

/// The disk usage of an open store.
///
/// For a count that runs at the same time, a step on disk and its change of the figure are atomic: steps run
/// in [`track`](UsageTracker::track), and the count adds nothing while they run. So it neither misses a change
/// nor counts it twice.
#[derive(Debug)]
pub(crate) struct UsageTracker {
    bytes: AtomicI64,
    accuracy: Mutex<Accuracy>,
    /// Whether the system may remove a file, or may have removed one, without a step of this session.
    is_uncertain: AtomicBool,
    /// The running count. A step that changes the store locks it for reading, the count itself for writing.
    count: RwLock<Option<Mutex<RunningCount>>>,
    dirs: DirSizes,
    /// The figure at the last checkpoint.
    checkpointed: AtomicI64,
    checkpoint_due: Notify,
}

impl UsageTracker {
    /// Creates a tracker that continues from this figure.
    pub(crate) fn new(figure: DiskUsage) -> Self {
        UsageTracker {
            bytes: AtomicI64::new(signed(figure.bytes)),
            accuracy: Mutex::new(figure.accuracy),
            is_uncertain: AtomicBool::new(false),
            count: RwLock::new(None),
            dirs: DirSizes::default(),
            checkpointed: AtomicI64::new(signed(figure.bytes)),
            checkpoint_due: Notify::new(),
        }
    }

    /// Returns the current figure.
    pub(crate) fn figure(&self) -> DiskUsage {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let accuracy = match *lock(&self.accuracy) {
            // A directory of unknown size may have grown.
            Accuracy::Exact if self.dirs.has_gaps.load(Ordering::SeqCst) || self.is_uncertain() => {
                Accuracy::Approximate
            }
            accuracy => accuracy,
        };
        DiskUsage::new(u64::try_from(bytes).unwrap_or(0), accuracy)
    }

    /// Notes that the system may remove a file after its delete has failed. No count of this session is exact from
    /// then on.
    pub(crate) fn note_uncertain(&self) {
        self.is_uncertain.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_uncertain.load(Ordering::SeqCst)
    }

    /// Waits until the figure has changed by more than a twentieth since the last checkpoint, or until one is
    /// [requested](UsageTracker::request_checkpoint).
    pub(crate) async fn checkpoint_due(&self) {
        self.checkpoint_due.notified().await;
    }

    /// Returns the current figure, which the caller is about to save.
    pub(crate) fn checkpoint(&self) -> DiskUsage {
        let figure = self.figure();
        self.checkpointed
            .store(signed(figure.bytes), Ordering::Relaxed);
        figure
    }

    fn check_whether_due(&self, bytes: i64) {
        let last = self.checkpointed.load(Ordering::Relaxed);
        if bytes.abs_diff(last) > last.unsigned_abs() / 20 {
            self.request_checkpoint();
        }
    }

    /// Runs a step that changes one block in a shard directory, and adds the change to the figure.
    pub(crate) fn track(
        &self,
        shard: &str,
        block: &BlockKey,
        step: impl FnOnce() -> Result<Change>,
    ) -> Result<()> {
        let record = |count: &mut RunningCount, change| {
            count.record_file(shard, &block.file_name(), change);
        };
        self.apply(&[shard], step, record)
    }

    /// Runs a step that removes blocks from a shard directory, and subtracts their sizes from the figure. The step returns
    /// those that it has removed, each with its size.
    pub(crate) fn track_removals<'b>(
        &self,
        shard: &str,
        step: impl FnOnce() -> Vec<(&'b BlockKey, u64)>,
    ) -> Vec<(&'b BlockKey, u64)> {
        // Held as in `apply`.
        let counting = read(&self.count);
        let removed = step();
        // Without a removal the directory may not exist: to mark a directory of unknown size leaves a gap.
        if removed.is_empty() {
            return removed;
        }
        self.dirs.mark(shard);
        let sizes = removed.iter().map(|(_, size)| *size);
        let bytes = self.add(-signed(sizes.fold(0, u64::saturating_add)));
        if let Some(count) = counting.as_ref() {
            let mut count = lock(count);
            for (block, size) in &removed {
                count.record_file(shard, &block.file_name(), Change::removed(*size));
            }
        }
        drop(counting);
        self.check_whether_due(bytes);
        removed
    }

    /// Runs a step that creates a shard directory, and adds its size to the figure. The step returns `None` if
    /// the directory exists already.
    pub(crate) fn track_dir(
        &self,
        shard: &str,
        step: impl FnOnce() -> Result<Option<u64>>,
    ) -> Result<()> {
        let create = || {
            let size = step()?;
            if let Some(size) = size {
                // Noted before `apply` marks the directory: to mark a directory of unknown size leaves a gap.
                self.dirs.note_new(shard, size);
            }
            Ok(Change::new_file(size.unwrap_or(0)))
        };
        let record = |count: &mut RunningCount, change| count.record_new_dir(shard, change);
        self.apply(&[shard, ROOT], create, record)
    }

    /// Notes the size of a shard directory at its first lookup in a session.
    pub(crate) fn note_dir(&self, shard: &str, size: u64) {
        self.dirs.note(shard, size);
    }

    /// Notes the sizes of the root and of `.temp`, before anything in them changes.
    pub(crate) fn note_own_dirs(&self, disk: &dyn Disk, layout: &Layout) -> Result<()> {
        for dir in [ROOT, TEMP] {
            self.dirs.note(dir, dir_size(disk, layout, dir)?);
        }
        Ok(())
    }

    /// Returns whether directories have changed since the last [refresh](UsageTracker::refresh_dirs).
    pub(crate) fn is_refresh_due(&self) -> bool {
        self.dirs.is_due.load(Ordering::SeqCst)
    }

    /// Adds the growth of the directories that have changed to the figure.
    pub(crate) fn refresh_dirs(&self, disk: &dyn Disk, layout: &Layout) -> Result<()> {
        // Every write changes `.temp`.
        self.dirs.mark_if_known(TEMP);
        let growth = self.dirs.refresh(|dir| dir_size(disk, layout, dir))?;
        self.add(growth);
        Ok(())
    }

    fn apply(
        &self,
        dirs: &[&str],
        step: impl FnOnce() -> Result<Change>,
        record: impl FnOnce(&mut RunningCount, Change),
    ) -> Result<()> {
        // Held from before the step until its change is recorded: a count that begins or adds a file in between could
        // see the file after the step, and the change would then be added a second time.
        let counting = read(&self.count);
        let change = step()?;
        // Marked even if the figure does not change: a new directory may have the size 0, and its parent
        // grows.
        dirs.iter().for_each(|dir| self.dirs.mark(dir));
        if change == Change::NONE {
            return Ok(());
        }
        let delta = change.delta();
        let bytes = self.add(delta);
        if let Some(count) = counting.as_ref() {
            record(&mut lock(count), change);
        }
        drop(counting);
        self.check_whether_due(bytes);
        Ok(())
    }

    /// Adds to the figure, and returns the new one. It saturates, because a few sparse files are enough for an
    /// overflow.
    fn add(&self, delta: i64) -> i64 {
        let add = |bytes: i64| Some(bytes.saturating_add(delta));
        let before = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        before.unwrap_or_else(|bytes| bytes).saturating_add(delta)
    }

    /// Requests a checkpoint, however little has changed.
    pub(crate) fn request_checkpoint(&self) {
        self.checkpoint_due.notify_one();
    }

    /// Replaces the figure with one that was counted while nothing changed.
    pub(crate) fn set(&self, figure: DiskUsage) {
        self.dirs.clear();
        self.bytes.store(signed(figure.bytes), Ordering::Relaxed);
        *lock(&self.accuracy) = figure.accuracy;
    }
}

/// The name of the root in [`DirSizes`].
const ROOT: &str = "";

/// Returns the size of a directory, or 0 if it no longer exists.
fn dir_size(disk: &dyn Disk, layout: &Layout, dir: &str) -> Result<u64> {
    match dir {
        ROOT => size(disk, layout.root()),
        dir => size(disk, &layout.at_root(dir)),
    }
}

/// Returns the size of what is at a path, or 0 if nothing is.
fn size(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let found = if_there(disk.stat(path));
    let found = found.map_err(|error| Error::io("read the size of", path, error))?;
    Ok(found.map_or(0, |stat| stat.len))
}
