//! [`run`]: operations of several steps that continue when the future of their caller is dropped.

use tokio::runtime::Handle;

use crate::error::{Error, Result};

/// Runs `operation` in a task of its own, which runs to its end even if the returned future is dropped. A panic is
/// resumed in the caller.
///
/// # Errors
///
/// Fails with the error of the operation, and with [`Error::Runtime`] if there is no runtime or it shuts down before
/// the operation ends.
pub(crate) async fn run<T: Send + 'static>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = Handle::try_current().map_err(|_| Error::Runtime)?;
    match runtime.spawn(operation).await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        },
    }
}
