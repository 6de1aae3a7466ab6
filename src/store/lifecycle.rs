//! [`Lifecycle`]: whether a store accepts calls, the work that runs in it, and its lock.

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
    /// All running work. A close waits for it.
    work: TaskTracker,
    /// Held by a writer until the close.
    lock: Mutex<Option<StoreLock>>,
    background: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl Lifecycle {
    /// Creates the lifecycle of an open store. With a lock it is open for writing, without one read-only.
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

    /// Begins work that only reads, and returns its token. The work ends when the token is dropped.
    pub(crate) fn begin_read(&self) -> Result<TaskTrackerToken> {
        // The token is taken first: a close sets the flag and then waits, so either the close waits for this
        // token, or this call sees the flag.
        let token = self.work.token();
        self.check_open()?;
        Ok(token)
    }

    /// Begins work that writes, and returns its token. The work ends when the token is dropped.
    pub(crate) fn begin_write(&self) -> Result<TaskTrackerToken> {
        let token = self.begin_read()?;
        self.check_writable()?;
        Ok(token)
    }

    /// Begins a clean-up, and returns its token. It is not refused while the store is being closed: the close
    /// waits for a clean-up that begins before all other work has ended.
    pub(crate) fn begin_clean_up(&self) -> TaskTrackerToken {
        self.work.token()
    }

    /// Refuses new work from now on, and waits for running work.
    pub(super) async fn refuse_and_wait(&self) {
        // The flag is set before the wait: see `begin_read`.
        self.closed.store(true, Ordering::SeqCst);
        self.work.close();
        self.work.wait().await;
    }

    /// Returns the writer's lock, which a close takes out and drops at its end. If it is gone, there is
    /// nothing left to close.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<StoreLock>> {
        lock(&self.lock)
    }

    /// Runs a task until it ends, or the store is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = AbortOnDropHandle::new(tokio::spawn(task));
        lock(&self.background).push(task);
    }
}
