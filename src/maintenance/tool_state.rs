//! [`ToolState`]: what the jobs of one run of a tool share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::progress::{Phase, Progress, ProgressCallback};
use super::skipped::{SkipReason, SkippedList};
use crate::error::{Error, Result};
use crate::sync::lock;

/// The progress of a tool, what it has skipped, and whether it is to stop.
#[derive(Debug)]
pub(super) struct ToolState {
    stopped: AtomicBool,
    progress: Mutex<ReportedProgress>,
    skipped: Mutex<SkippedList>,
}

#[derive(Debug)]
struct ReportedProgress {
    progress: Progress,
    callback: ProgressCallback,
}

impl ToolState {
    pub(super) fn new(callback: ProgressCallback) -> Arc<Self> {
        let progress = Progress::default();
        Arc::new(ToolState {
            stopped: AtomicBool::new(false),
            progress: Mutex::new(ReportedProgress { progress, callback }),
            skipped: Mutex::default(),
        })
    }

    /// Makes all jobs stop at their next step.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// # Errors
    ///
    /// Returns [`Error::Stopped`] if the tool is to stop.
    pub(super) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        Ok(())
    }

    /// Changes the progress and reports it.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stopped`] if the callback asks the tool to stop. The change is made anyway.
    pub(super) fn advance(&self, change: impl FnOnce(&mut Progress)) -> Result<()> {
        let mut reported = lock(&self.progress);
        change(&mut reported.progress);
        let progress = reported.progress;
        reported.callback.report(progress)
    }

    /// Reports that the tool begins a phase.
    #[cfg(feature = "dag")]
    pub(super) fn enter(&self, phase: Phase) -> Result<()> {
        self.advance(|progress| {
            *progress = Progress {
                phase,
                ..Progress::default()
            };
        })
    }

    /// Reports that the tool has processed all blocks. From here on it completes its work even if the callback asks it
    /// to stop.
    pub(super) fn report_closing(&self) {
        let _ = self.advance(|progress| progress.phase = Phase::Closing);
    }

    pub(super) fn progress(&self) -> Progress {
        lock(&self.progress).progress
    }

    /// Notes an entry that the tool leaves where it is.
    pub(super) fn skip(&self, path: PathBuf, reason: SkipReason) {
        lock(&self.skipped).add(path, reason);
    }

    /// Takes the entries that were skipped since the last call.
    pub(super) fn take_skipped(&self) -> SkippedList {
        std::mem::take(&mut lock(&self.skipped))
    }
}

/// Stops the jobs of a tool when the future that waits for them is dropped.
#[derive(Debug)]
#[must_use = "the jobs stop when this is dropped"]
pub(super) struct StopOnDrop(pub(super) Arc<ToolState>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
