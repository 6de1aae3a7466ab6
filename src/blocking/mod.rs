//! The only door to tokio's blocking pool.

mod work_queue;

pub(crate) use self::work_queue::{Crew, Task};

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use tokio::runtime::Handle;
use tracing::Span;

use crate::error::{Error, Result};

/// Runs one job on the blocking pool. Once it has begun it runs to its end, whether its future is
/// still there or not, so it must own what it needs. What it reports is in the span of its caller.
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
    let runtime = runtime()?;
    let span = Span::current();
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let running = runtime.spawn_blocking(move || span.in_scope(job));
    match running.await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        },
    }
}

/// Begins a job, which may also be dropped without having run if the runtime shuts down.
///
/// # Errors
///
/// [`Error::Runtime`] if there is no runtime.
fn begin(job: impl FnOnce() + Send + 'static) -> Result<()> {
    let runtime = runtime()?;
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    drop(runtime.spawn_blocking(job));
    Ok(())
}

fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|_| Error::Runtime)
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

/// Has a job on the blocking pool done in shares of so many items, side by side: the first by this
/// thread, each of the others by one of its own. The answers are in the order of the shares.
pub(crate) fn parallel_chunks<T, R>(
    items: &[T],
    share: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    let work = &work;
    thread::scope(|scope| {
        let mut shares = items.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| {
                let spawned = thread::Builder::new().spawn_scoped(scope, move || work(share));
                spawned.map_err(|_| share)
            })
            .collect();
        let mut done = vec![work(own)];
        done.extend(others.into_iter().map(|other| match other {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(share) => work(share),
        }));
        done
    })
}

pub(crate) fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, Into::into))
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
