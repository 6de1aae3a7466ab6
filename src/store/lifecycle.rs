//! A store's life after it was opened: the checks before every operation, the work in the
//! background, and the close.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use super::{FlatFs, Store, Target};
use crate::blocking;
use crate::datastore::DiskUsage;
use crate::disk::{LockGuard, Publish, if_there};
use crate::disk_usage::{self, UsageTracker};
use crate::error::{Error, Result};
use crate::format::UNCLEAN;
use crate::observe::{Operation, target};

/// Whether the store is open, who is at work in it, and what it holds while it is open.
#[derive(Debug)]
pub(super) struct Lifecycle {
    closed: AtomicBool,
    /// Everything that is under way. The close waits for it.
    work: TaskTracker,
    /// Held by a writer until the close.
    lock: Mutex<Option<Box<dyn LockGuard>>>,
    /// Whether the disk usage was taken over from a session that didn't close, or from nowhere, and
    /// is not counted yet.
    usage_is_stale: AtomicBool,
    background: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl Lifecycle {
    /// `lock` is what a writer has; `None` is a life of reading only.
    pub(super) fn new(lock: Option<Box<dyn LockGuard>>, usage_is_stale: bool) -> Self {
        Lifecycle {
            closed: AtomicBool::new(false),
            work: TaskTracker::new(),
            lock: Mutex::new(lock),
            usage_is_stale: AtomicBool::new(usage_is_stale),
            background: Mutex::new(Vec::new()),
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl FlatFs {
    /// Waits for what is under way, makes everything durable, writes the disk usage down (if it is not
    /// known yet, after a count of a second at most) and releases the lock. Every later call on this handle or on a clone says [`Error::Closed`]; closing again
    /// is no error.
    ///
    /// Batches that are not committed are lost; so are queries, which end with [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::FlushFailed`] or [`Error::CommitIncomplete`] if something could not be
    /// written. The store is closed and its lock released all the same. That there is no space to write
    /// the disk usage down is no error: the next open counts it.
    ///
    /// # Cancel safety
    ///
    /// From the first poll on the store takes no more calls. If the future is dropped while it waits
    /// for other work, call it again, or leave the rest to the last handle's drop: that loses
    /// nothing, but the next open counts the disk usage anew.
    pub async fn close(&self) -> Result<()> {
        let path = self.path().display();
        let span = tracing::info_span!(target: target::STORE, "close", %path);
        let close = self.wait_and_close().instrument(span);
        if self.store.life.is_closed() {
            return close.await;
        }
        let operation = Operation::begin("close");
        operation.end(close.await)
    }

    async fn wait_and_close(&self) -> Result<()> {
        let life = &self.store.life;
        life.closed.store(true, Ordering::SeqCst);
        life.work.close();
        life.work.wait().await;
        let store = Arc::clone(&self.store);
        blocking::run(move || store.close()).await
    }
}

impl Store {
    /// What an operation that only reads holds while it runs.
    pub(crate) fn begin_read(&self) -> Result<TaskTrackerToken> {
        let token = self.life.work.token();
        // The close sets the flag before it waits, so either it waits for this token or this sees
        // the flag.
        self.check_open()?;
        Ok(token)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.life.is_closed() {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// What an operation that writes holds while it runs.
    pub(crate) fn begin_write(&self) -> Result<TaskTrackerToken> {
        let token = self.begin_read()?;
        self.check_writable()?;
        Ok(token)
    }

    /// What a clean-up holds while it runs. It is not refused while the store is being closed, which
    /// waits for it if it begins before the rest of the work has ended.
    pub(crate) fn begin_clean_up(&self) -> TaskTrackerToken {
        self.life.work.token()
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.options.read_only {
            let path = self.layout.root().to_owned();
            return Err(Error::ReadOnly { path });
        }
        self.flush_failed().map_or(Ok(()), Err)
    }

    /// Whether a flush has failed, so that nobody can tell what is durable.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.flush_failed().is_some()
    }

    /// Begins the work in the background.
    pub(super) fn begin_background(self: &Arc<Self>) {
        if self.options.read_only {
            return;
        }
        let mut background = self
            .life
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let checkpoints = checkpoint(Arc::downgrade(self), Arc::clone(&self.meter));
        background.push(AbortOnDropHandle::new(tokio::spawn(checkpoints)));
        if self.usage_is_stale() {
            let count = recount(Arc::downgrade(self));
            background.push(AbortOnDropHandle::new(tokio::spawn(count)));
        }
    }

    /// The steps of a close, when no work is under way any more.
    pub(crate) fn close(&self) -> Result<()> {
        // Kept to the end: a second close waits here until the first one is done.
        let mut held = self
            .life
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(lock) = held.take() else {
            return Ok(());
        };
        if let Some(error) = self.flush_failed() {
            return Err(error);
        }
        let finished = self.finish_commits();
        if !self.options.durability.syncs_writes() {
            self.flush(&[Target::All])?;
        }
        finished?;
        self.count_quickly();
        if !self.usage_is_stale() {
            match self.write_usage(Publish::Durably) {
                // The mark stays, so nothing is lost but the time for a count.
                Err(error) if error.is_full() => {
                    tracing::warn!(target: target::STORE, %error, "the disk usage will be counted at the next open");
                }
                written => {
                    written?;
                    self.remove_unclean_mark()?;
                }
            }
        }
        drop(lock);
        let path = self.layout.root().display();
        tracing::debug!(target: target::STORE, %path, "closed");
        Ok(())
    }

    /// Counts a disk usage that is stale, if that takes no longer than a second: sessions that are too
    /// short for the count in the background would leave it stale for ever.
    fn count_quickly(&self) {
        const LONGEST: Duration = Duration::from_secs(1);
        if !self.usage_is_stale() {
            return;
        }
        let begun = Instant::now();
        let stop = || begun.elapsed() > LONGEST;
        match disk_usage::count_all(&*self.disk, &self.layout, stop) {
            Ok(Some(figure)) => self.set_counted_usage(figure),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(target: target::STORE, %error, "the disk usage will be counted at the next open")
            }
        }
    }

    /// Takes over a figure that was counted while nothing changed.
    pub(crate) fn set_counted_usage(&self, figure: DiskUsage) {
        self.meter.set(figure);
        self.life.usage_is_stale.store(false, Ordering::SeqCst);
    }

    /// Has the disk usage counted anew, by the close or the next open: blocks have gone, or were found to be
    /// other than they were when they were counted.
    pub(crate) fn mark_usage_stale(&self) {
        self.life.usage_is_stale.store(true, Ordering::SeqCst);
    }

    /// Counts directories for some milliseconds.
    fn count_some(&self, dirs: &mut impl Iterator<Item = String>) -> Result<()> {
        const LONG: Duration = Duration::from_millis(5);
        let begun = Instant::now();
        let stop = || self.life.is_closed();
        while begun.elapsed() < LONG
            && let Some(dir) = dirs.next()
        {
            disk_usage::count_dir(&self.meter, &*self.disk, &self.layout, &dir, stop)?;
        }
        Ok(())
    }

    fn remove_unclean_mark(&self) -> Result<()> {
        let mark = self.layout.at_root(UNCLEAN);
        if_there(self.disk.remove_file(&mark)).map_err(|error| Error::io("remove", mark, error))?;
        Ok(())
    }

    /// While it is, the figure is not written down: go-ds-flatfs would trust it for ever.
    fn usage_is_stale(&self) -> bool {
        self.life.usage_is_stale.load(Ordering::SeqCst)
    }

    fn write_usage(&self, how: Publish) -> Result<()> {
        let figure = self.meter.checkpoint();
        let temp = self.next_temp_file();
        disk_usage::cache::write(&*self.disk, &self.layout, &temp, figure, how)
    }
}

/// Writes the disk usage down whenever it has changed much.
async fn checkpoint(store: Weak<Store>, meter: Arc<UsageTracker>) {
    loop {
        meter.checkpoint_due().await;
        let Some(store) = store.upgrade() else {
            return;
        };
        let Ok(work) = store.begin_write() else {
            return;
        };
        if store.usage_is_stale() {
            continue;
        }
        let written = blocking::run(move || {
            let _work = work;
            store.write_usage(Publish::Lazily)
        });
        if let Err(error) = written.await {
            tracing::warn!(target: target::STORE, %error, "cannot write the disk usage down");
        }
    }
}

/// Counts the disk usage, some directories a job, until it is done or the store is closed.
async fn recount(store: Weak<Store>) {
    if let Err(error) = try_recount(Weak::clone(&store)).await {
        if let Some(store) = store.upgrade() {
            store.meter.abandon_count();
        }
        tracing::warn!(target: target::STORE, %error, "cannot count the disk usage; the next open will try again");
    }
}

async fn try_recount(weak: Weak<Store>) -> Result<()> {
    let Some(store) = weak.upgrade() else {
        return Ok(());
    };
    let dirs = blocking::run(move || store.meter.begin_count(&*store.disk, &store.layout)).await?;
    let mut dirs = dirs.into_iter();
    while dirs.len() > 0 {
        let Some(store) = weak.upgrade() else {
            return Ok(());
        };
        let permit = store.file_permit().await?;
        dirs = blocking::run(move || {
            let _permit = permit;
            store.count_some(&mut dirs)?;
            Ok(dirs)
        })
        .await?;
    }
    if let Some(store) = weak.upgrade()
        && !store.life.is_closed()
    {
        store.meter.finish_count();
        store.life.usage_is_stale.store(false, Ordering::SeqCst);
        store.meter.ask_for_checkpoint();
    }
    Ok(())
}
