//! Single jobs on tokio's blocking pool, and the work of one job, split over several threads.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use tokio::runtime::Handle;
use tracing::Span;

use crate::error::{Error, Result};

/// Runs one job on the blocking pool. A job that has started runs to its end, even if the future is
/// dropped, so it must own what it needs. What it logs is in the span of the caller.
///
/// # Errors
///
/// Returns the error of the job, or [`Error::Runtime`] if there is no runtime or it shuts down before the
/// job starts.
///
/// # Panics
///
/// If the job panics, the panic resumes in the caller.
pub(crate) async fn run<T, F>(job: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let runtime = runtime()?;
    let span = Span::current();
    #[expect(clippy::disallowed_methods, reason = "only this module may call it")]
    let running = runtime.spawn_blocking(move || span.in_scope(job));
    match running.await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        },
    }
}

/// Starts a job and doesn't wait for it. If the runtime shuts down first, the job is dropped without
/// having run.
pub(super) fn start(runtime: &Handle, job: impl FnOnce() + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "only this module may call it")]
    drop(runtime.spawn_blocking(job));
}

/// Starts a job on a new thread, for tasks of one runtime whose worker was a job of another one. If no thread can
/// be started, the job is dropped without having run.
pub(super) fn start_thread(job: impl FnOnce() + Send + 'static) {
    drop(thread::Builder::new().spawn(job));
}

/// Starts a job and doesn't wait for it. Without a runtime the job runs on this thread.
pub(crate) fn detach(job: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) => {
            #[expect(clippy::disallowed_methods, reason = "only this module may call it")]
            drop(runtime.spawn_blocking(job));
        }
        Err(_) => job(),
    }
}

/// Returns whether there is a blocking pool.
pub(crate) fn is_available() -> bool {
    Handle::try_current().is_ok()
}

/// Returns the current runtime.
///
/// # Errors
///
/// Returns [`Error::Runtime`] if there is none.
pub(super) fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|_| Error::Runtime)
}

/// Splits `items` into chunks and processes these in parallel: the first chunk on this thread, each of the
/// others on a thread of its own. Returns the results in the order of the chunks.
///
/// It blocks, so it is called only from jobs on the blocking pool. If a thread can't be started, this thread
/// processes its chunk too.
pub(crate) fn parallel_chunks<T, R>(
    items: &[T],
    chunk_size: usize,
    process: impl Fn(&[T]) -> R + Sync,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    let process = &process;
    thread::scope(|scope| {
        let mut chunks = items.chunks(chunk_size);
        let own = chunks.next().unwrap_or_default();
        let others: Vec<_> = chunks
            .map(|chunk| {
                let spawned = thread::Builder::new().spawn_scoped(scope, move || process(chunk));
                spawned.map_err(|_| chunk)
            })
            .collect();
        let mut results = vec![process(own)];
        results.extend(others.into_iter().map(|other| match other {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(chunk) => process(chunk),
        }));
        results
    })
}

/// Returns the number of processors that this process may use.
pub(crate) fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, Into::into))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn without_a_runtime_a_job_fails_and_does_not_panic() {
        let done = run(|| Ok(())).now_or_never();
        assert!(matches!(done, Some(Err(Error::Runtime))));
    }

    #[tokio::test]
    async fn a_job_that_has_started_runs_to_its_end_when_its_future_is_dropped() {
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
