//! [`WorkGuard`]: what a job holds while it works in a store.

use std::ops::{Deref, DerefMut};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A handle to a store, or something that has one, with the right to use it: the permit to have a file open,
/// if the job needs one, and the token that a close waits for.
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

impl<H> WorkGuard<H> {
    pub(crate) fn new(
        handle: H,
        permit: Option<OwnedSemaphorePermit>,
        token: TaskTrackerToken,
    ) -> Self {
        WorkGuard {
            handle,
            _permit: permit,
            _token: token,
        }
    }
}

impl<H> Deref for WorkGuard<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handle
    }
}

impl<H> DerefMut for WorkGuard<H> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.handle
    }
}
