//! [`Lifecycle`]: whether a store takes calls, and what runs and is held while it does.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::blocks::Blocks;
use crate::disk::LockGuard;
use crate::error::{Error, Result};
use crate::sync::lock;

/// The writer's lock on a store.
type StoreLock = Box<dyn LockGuard>;

/// Whether a store is open, closed or poisoned, the work that runs in it, and its lock.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    blocks: Arc<Blocks>,
    read_only: bool,
    closed: AtomicBool,
    /// Everything that runs. The close waits for it.
    work: TaskTracker,
    /// Held by a writer until the close.
    lock: Mutex<Option<StoreLock>>,
    background: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl Lifecycle {
    /// A store with a lock is open for writing, one without is open read-only.
    pub(super) fn new(blocks: Arc<Blocks>, lock: Option<StoreLock>) -> Self {
        Lifecycle {
            blocks,
            read_only: lock.is_none(),
            closed: AtomicBool::new(false),
            work: TaskTracker::new(),
            lock: Mutex::new(lock),
            background: Mutex::default(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        Ok(())
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.read_only {
            let path = self.blocks.layout().root().to_owned();
            return Err(Error::ReadOnly { path });
        }
        self.blocks.flusher().check()
    }

    /// The token of work that only reads, until it is dropped.
    pub(crate) fn begin_read(&self) -> Result<TaskTrackerToken> {
        // The token first: a close sets the flag and then waits, so either it waits for this token or this
        // sees the flag.
        let token = self.work.token();
        self.check_open()?;
        Ok(token)
    }

    /// The token of work that writes, until it is dropped.
    pub(crate) fn begin_write(&self) -> Result<TaskTrackerToken> {
        let token = self.begin_read()?;
        self.check_writable()?;
        Ok(token)
    }

    /// The token of a clean-up. It is not refused while the store is being closed: the close waits for it
    /// if it begins before the rest of the work has ended.
    pub(crate) fn begin_clean_up(&self) -> TaskTrackerToken {
        self.work.token()
    }

    /// Refuses new work from now on, and waits for what runs.
    pub(super) async fn refuse_and_wait(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.work.close();
        self.work.wait().await;
    }

    /// The lock, to be taken out and dropped at the end of a close. Who finds it gone has nothing to close.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<StoreLock>> {
        lock(&self.lock)
    }

    /// Runs a task until it ends, or the store is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = AbortOnDropHandle::new(tokio::spawn(task));
        lock(&self.background).push(task);
    }
}
