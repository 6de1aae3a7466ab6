//! The only door to tokio's blocking pool.

use tokio::runtime::Handle;

use crate::error::{Error, Result};

/// Runs one job on the blocking pool. Once it has begun it runs to its end, whether its future is
/// still there or not, so it must own what it needs.
///
/// A panic of the job goes on in the caller.
///
/// # Errors
///
/// The job's own, and [`Error::Runtime`] if there is no runtime, or it shuts down before the job
/// begins.
pub(crate) async fn run<T, F>(job: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let runtime = Handle::try_current().map_err(|_| Error::Runtime)?;
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let running = runtime.spawn_blocking(job);
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
    match Handle::try_current() {
        Ok(runtime) => {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            drop(runtime.spawn_blocking(job));
        }
        Err(_) => job(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn without_a_runtime_a_job_is_an_error_and_no_panic() {
        let done = run(|| Ok(())).now_or_never();
        assert!(matches!(done, Some(Err(Error::Runtime))));
    }

    #[tokio::test]
    async fn a_job_that_has_begun_runs_to_its_end_when_nobody_waits() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let mut job = Box::pin(run(move || {
            let _ = gone.recv();
            let _ = sender.send("done");
            Ok(())
        }));
        assert!(job.as_mut().now_or_never().is_none());
        drop(job);
        drop(go);
        assert_eq!(receiver.await, Ok("done"));
    }
}
