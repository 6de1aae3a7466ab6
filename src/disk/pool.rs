//! The only door to tokio's blocking pool.

use crate::error::{Error, Result};

/// Runs one job on the blocking pool. Once it has begun it runs to its end, whether its future is
/// still there or not, so it must own what it needs.
///
/// A panic of the job goes on in the caller.
///
/// # Errors
///
/// The job's own, and [`Error::Runtime`] if the runtime shuts down before the job begins.
pub(crate) async fn run<T, F>(job: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let running = tokio::task::spawn_blocking(job);
    match running.await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        },
    }
}

/// Begins a job that nobody waits for. Without a runtime it runs here and now.
pub(crate) fn detach(job: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            drop(runtime.spawn_blocking(job));
        }
        Err(_) => job(),
    }
}
