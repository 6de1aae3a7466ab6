//! The work of one blocking job, split over several threads.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

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
