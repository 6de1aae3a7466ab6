//! [`Reporter`]: reports the progress of a tool that works in the caller's task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::progress::{Progress, ProgressCallback};
use crate::blocking;
use crate::error::{Error, Result};
use crate::sync::lock;

/// The progress so far. The callback may block, so it runs on the blocking pool, and not for every block.
#[derive(Debug)]
pub(super) struct Reporter {
    progress: Mutex<Progress>,
    last_report: Mutex<Option<Instant>>,
    callback: Arc<Mutex<ProgressCallback>>,
    /// Whether there is a callback.
    is_watched: bool,
    is_stopped: AtomicBool,
}

impl Reporter {
    pub(super) fn new(callback: ProgressCallback) -> Self {
        Reporter {
            progress: Mutex::default(),
            last_report: Mutex::default(),
            is_watched: !callback.is_none(),
            callback: Arc::new(Mutex::new(callback)),
            is_stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Changes the progress, and reports it if the last report was some time ago.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stopped`] once the callback has asked the tool to stop.
    pub(super) async fn advance(&self, change: impl FnOnce(&mut Progress)) -> Result<()> {
        const INTERVAL: Duration = Duration::from_millis(50);
        change(&mut lock(&self.progress));
        let is_due = {
            let mut last = lock(&self.last_report);
            let is_due = last.is_none_or(|last| last.elapsed() >= INTERVAL);
            if is_due {
                *last = Some(Instant::now());
            }
            is_due
        };
        if is_due {
            self.report().await?;
        }
        self.check()
    }

    /// Reports the progress now.
    ///
    /// # Errors
    ///
    /// As for [`advance`](Reporter::advance).
    pub(super) async fn report(&self) -> Result<()> {
        if !self.is_watched {
            return Ok(());
        }
        let (progress, callback) = (*lock(&self.progress), Arc::clone(&self.callback));
        let reported = blocking::run(move || lock(&callback).report(progress)).await;
        if matches!(reported, Err(Error::Stopped)) {
            self.is_stopped.store(true, Ordering::Relaxed);
        }
        reported
    }

    /// # Errors
    ///
    /// Returns [`Error::Stopped`] if the tool is to stop.
    pub(super) fn check(&self) -> Result<()> {
        match self.is_stopped.load(Ordering::Relaxed) {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    }
}
