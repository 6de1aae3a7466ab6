//! [`Work`]: what the jobs of one tool have in common.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::progress::{Progress, Watcher};
use super::skipped::{SkipReason, SkippedSome};
use crate::error::{Error, Result};

/// How far a tool is, what it keeps, and whether it is to stop.
#[derive(Debug)]
pub(super) struct Work {
    stopped: AtomicBool,
    told: Mutex<Told>,
    kept: Mutex<SkippedSome>,
}

#[derive(Debug)]
struct Told {
    progress: Progress,
    watcher: Watcher,
}

impl Work {
    pub(super) fn new(watcher: Watcher) -> Arc<Self> {
        let progress = Progress::default();
        Arc::new(Work {
            stopped: AtomicBool::new(false),
            told: Mutex::new(Told { progress, watcher }),
            kept: Mutex::default(),
        })
    }

    /// Lets all jobs end at their next step.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// # Errors
    ///
    /// [`Error::Stopped`] if the tool is to stop.
    pub(super) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        Ok(())
    }

    /// Takes a change of the progress in, and tells it.
    pub(super) fn advance(&self, change: impl FnOnce(&mut Progress)) -> Result<()> {
        let mut told = lock(&self.told);
        change(&mut told.progress);
        let progress = told.progress;
        told.watcher.tell(progress)
    }

    pub(super) fn progress(&self) -> Progress {
        lock(&self.told).progress
    }

    pub(super) fn keep(&self, path: PathBuf, why: SkipReason) {
        lock(&self.kept).add(path, why);
    }

    /// What was kept since this was last called.
    pub(super) fn take_kept(&self) -> SkippedSome {
        std::mem::take(&mut lock(&self.kept))
    }
}

/// Nothing that holds these locks can leave them half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the work when the future goes that waits for it.
#[derive(Debug)]
#[must_use = "the work stops when this is dropped"]
pub(super) struct StopOnDrop(pub(super) Arc<Work>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
