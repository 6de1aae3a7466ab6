//! [`compute`]: long computations, which run on tokio's blocking pool so that Ctrl-C works while they run.

use anyhow::Context as _;

/// Work on up to this many bytes takes less time than the user or another task would notice.
const MAX_INLINE: usize = 64 << 10;

/// Runs `work` on a block of `len` bytes, on the blocking pool if the block is large.
///
/// # Errors
///
/// Fails if the work panics or the runtime shuts down.
///
/// # Cancel safety
///
/// If the future is dropped, work that has started runs to its end, and its result is dropped.
pub(crate) async fn compute<T: Send + 'static>(
    len: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    if len <= MAX_INLINE {
        return Ok(work());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the library's blocking pool is for its own work"
    )]
    let job = tokio::task::spawn_blocking(work);
    job.await.context("a computation did not complete")
}
