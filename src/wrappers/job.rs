//! Operations of several steps, which go on when their caller's future is dropped.

use tokio::runtime::Handle;

use crate::error::{Error, Result};

/// Runs `job` as a task of its own: once begun it runs to its end, whether anybody waits or not. A panic
/// goes on in the caller.
///
/// # Errors
///
/// The job's own, and [`Error::Runtime`] if there is no runtime, or it shuts down before the job ends.
pub(super) async fn run<T: Send + 'static>(
    job: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = Handle::try_current().map_err(|_| Error::Runtime)?;
    match runtime.spawn(job).await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        },
    }
}
