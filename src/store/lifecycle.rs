//! [`Lifecycle`]: whether a store accepts calls, the work that runs in it, and its lock.

use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::OwnedSemaphorePermit;
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

    /// Begins work that only reads. It ends when the guard is dropped.
    pub(crate) fn begin_read<H>(
        &self,
        handle: H,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<WorkGuard<H>> {
        // The token is taken first: a close sets the flag and then waits, so either the close waits for this
        // token, or this call sees the flag.
        let guard = self.guard(handle, permit);
        self.check_open()?;
        Ok(guard)
    }

    /// Begins work that writes. It ends when the guard is dropped.
    pub(crate) fn begin_write<H>(
        &self,
        handle: H,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<WorkGuard<H>> {
        let guard = self.begin_read(handle, permit)?;
        self.check_writable()?;
        Ok(guard)
    }

    /// Begins a clean-up. It is not refused while the store is being closed: the close waits for a clean-up that begins
    /// before all other work has ended.
    pub(crate) fn begin_clean_up<H>(&self, handle: H) -> WorkGuard<H> {
        self.guard(handle, None)
    }

    fn guard<H>(&self, handle: H, permit: Option<OwnedSemaphorePermit>) -> WorkGuard<H> {
        WorkGuard {
            handle,
            _permit: permit,
            _token: self.work.token(),
        }
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

/// A handle to a store, or something that has one, or `()` for work that borrows the store, with the right to use it: the permit to have a file open,
/// if the work needs one, and the token that a close waits for.
///
/// A job moves the guard into itself, and has no other handle to the store.
#[derive(Debug)]
#[must_use = "a close doesn't wait for work whose guard is dropped"]
pub(crate) struct WorkGuard<H> {
    // Fields are dropped in the order of their declaration, and the token must be the last one: when a close has
    // waited for it, no job has a handle to the store. A handle that was dropped later could be the last one, and
    // would keep the store's directory open although the caller has closed and dropped the store.
    handle: H,
    _permit: Option<OwnedSemaphorePermit>,
    _token: TaskTrackerToken,
}

impl<H> Deref for WorkGuard<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handle
    }
}
