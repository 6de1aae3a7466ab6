//! Steps that another program prevents for a moment.
//!
//! A virus scanner, an indexer or a backup may have a file open without the share flags that a step needs. And
//! before Windows 10, and on other file systems than NTFS, a file that is open cannot be replaced at all, and one
//! that was removed keeps its name until its last handle is closed.

use std::cell::Cell;
use std::io;
use std::thread;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION, WIN32_ERROR,
};

use crate::observe;

/// How long a step is retried in all, or several steps [with one bound](with_one_bound).
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How long a read that is denied access is retried. It may be denied permanently, and a walk over a store could
/// find many such files.
const MAX_WAIT_TO_READ: Duration = Duration::from_millis(100);

thread_local! {
    /// How long the steps of this thread that have one bound have waited; `None` if each has its own.
    static WAITED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs steps that are retried for [`MAX_WAIT`] in all. Each is tried at least once.
pub(in crate::disk) fn with_one_bound<T>(steps: impl FnOnce() -> T) -> T {
    /// Also after a panic the next steps of the thread have bounds of their own.
    struct Reset(Option<Duration>);

    impl Drop for Reset {
        fn drop(&mut self) {
            WAITED.set(self.0);
        }
    }

    let _reset = Reset(WAITED.replace(Some(Duration::ZERO)));
    steps()
}

/// Makes a step that creates, replaces or removes something.
pub(super) fn retry_change<T>(step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry(step, MAX_WAIT, pause)
}

/// Makes a step that reads.
pub(super) fn retry_read<T>(step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry(step, MAX_WAIT_TO_READ, pause)
}

fn pause(delay: Duration) {
    #[cfg(test)]
    super::tests::run_before_pause();
    thread::sleep(delay);
}

pub(super) fn retry<T>(
    mut step: impl FnMut() -> io::Result<T>,
    max_wait_if_denied: Duration,
    sleep: impl Fn(Duration),
) -> io::Result<T> {
    const MAX_DELAY: Duration = Duration::from_millis(64);
    let mut delay = Duration::from_millis(1);
    let shared = WAITED.get();
    let mut waited = shared.unwrap_or_default();
    loop {
        let error = match step() {
            Err(error) => error,
            done => return done,
        };
        let is_shared = is_error(&error, &[ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION]);
        if !is_shared && !is_error(&error, &[ERROR_ACCESS_DENIED]) {
            return Err(error);
        }
        let max_wait = if is_shared {
            MAX_WAIT
        } else {
            max_wait_if_denied
        };
        if waited >= max_wait {
            return Err(InUse { error, is_shared }.into());
        }
        observe::file_retry();
        sleep(delay);
        waited += delay;
        WAITED.set(shared.map(|_| waited));
        delay = MAX_DELAY.min(delay * 2);
    }
}

/// Returns whether this is one of these errors of Windows.
pub(super) fn is_error(error: &io::Error, codes: &[WIN32_ERROR]) -> bool {
    let code = error.raw_os_error().and_then(|code| code.try_into().ok());
    code.is_some_and(|code| codes.contains(&code))
}

/// A step that was still prevented when the time for retries was over.
#[derive(Debug, thiserror::Error)]
#[error("{}", if *is_shared {
    "another program has the file open"
} else {
    "another program has the file open, or the access is denied"
})]
struct InUse {
    #[source]
    error: io::Error,
    is_shared: bool,
}

impl From<InUse> for io::Error {
    fn from(in_use: InUse) -> Self {
        let kind = if in_use.is_shared {
            io::ErrorKind::ResourceBusy
        } else {
            io::ErrorKind::PermissionDenied
        };
        io::Error::new(kind, in_use)
    }
}
