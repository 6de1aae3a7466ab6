//! [`WorkQueue`]: many small tasks for each job on the blocking pool.
//!
//! A round trip to the pool costs about as much as the write of a small block. So a task that arrives
//! while workers are running only joins their queue.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use super::completions::{Completion, Completions, deliver};
use super::pool::{self, processors};
use crate::error::{Error, Result};
use crate::sync::lock;

/// A task that takes longer has waited for a disk and not for a processor, so more workers help.
const SLOW_TASK: Duration = Duration::from_millis(1);

/// A task of the queue. If it is dropped before it has run, its caller gets an error.
enum Task {
    /// Its caller waits for the result.
    Awaited(Box<dyn FnOnce() -> Completion + Send>),
    /// No caller waits for it.
    Background(Box<dyn FnOnce() + Send>),
}

/// A queue of tasks, and the workers that run them. Each worker is a job on the blocking pool.
///
/// There are at most as many workers as processors, but up to `max_workers` if the tasks wait for a disk. A
/// worker ends when the queue is empty.
pub(crate) struct WorkQueue {
    state: Mutex<WorkQueueState>,
    completions: Arc<Completions>,
    max_workers: usize,
}

#[derive(Default)]
struct WorkQueueState {
    /// Each task with the runtime from which it was submitted.
    tasks: VecDeque<(runtime::Id, Task)>,
    workers: usize,
    /// The number of results that workers are delivering. While at most this many tasks are queued, which probably
    /// come from the callers that are woken, no worker is started: the delivering workers take these tasks. Starting
    /// another one costs more than most tasks, and a slow task starts one.
    completing: usize,
}

impl WorkQueue {
    pub(crate) fn new(max_workers: usize) -> Arc<Self> {
        Arc::new(WorkQueue {
            state: Mutex::default(),
            completions: Arc::default(),
            max_workers,
        })
    }

    /// Runs one task on a worker and returns its result.
    ///
    /// # Errors
    ///
    /// Returns the error of the task, or [`Error::Runtime`] if there is no runtime or it shuts down before the
    /// task starts.
    ///
    /// # Panics
    ///
    /// If the task panics, the panic resumes in the caller.
    pub(crate) async fn run<R, F>(self: &Arc<Self>, task: F) -> Result<R>
    where
        F: FnOnce() -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<Result<R>, Box<dyn Any + Send>>>();
        self.submit(Task::Awaited(Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(task));
            Box::new(move || drop(sender.send(result)))
        })))?;
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        }
    }

    /// Starts a task on a worker and doesn't wait for it. If the runtime shuts down first, the task is
    /// dropped without having run.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Runtime`] if there is no runtime; the task is dropped.
    pub(crate) fn start(self: &Arc<Self>, task: impl FnOnce() + Send + 'static) -> Result<()> {
        self.submit(Task::Background(Box::new(task)))
    }

    fn submit(self: &Arc<Self>, task: Task) -> Result<()> {
        // Looked up before the task is added: after an error the task must not run, and a worker of another
        // runtime could take it.
        let runtime = pool::runtime()?;
        let mut state = lock(&self.state);
        state.tasks.push_back((runtime.id(), task));
        let needs_worker = state.workers == 0 || state.tasks.len() > state.completing;
        if needs_worker && state.workers < self.max_workers.min(processors()) {
            state.workers += 1;
            drop(state);
            self.start_worker(&runtime);
        }
        Ok(())
    }

    /// Starts a worker, which the caller has already counted.
    fn start_worker(self: &Arc<Self>, runtime: &Handle) {
        let worker = Worker {
            queue: Arc::clone(self),
            runtime: Some(runtime.id()),
            has_left: false,
        };
        pool::start(runtime, move || worker.run());
    }

    /// Returns the number of tasks in the queue.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        lock(&self.state).tasks.len()
    }
}

impl Task {
    fn run(self) -> Option<Completion> {
        match self {
            Task::Awaited(task) => Some(task()),
            Task::Background(task) => {
                task();
                None
            }
        }
    }
}

/// One worker. If its runtime shuts down before the worker runs, and it is the last one, the tasks of that runtime
/// are dropped, and a new thread runs those of other runtimes.
struct Worker {
    queue: Arc<WorkQueue>,
    /// The runtime whose job this is, or `None` on a thread.
    runtime: Option<runtime::Id>,
    has_left: bool,
}

impl Worker {
    fn run(mut self) {
        while let Some(task) = self.next_task() {
            if let Task::Background(_) = task {
                // The writes of a batch can keep this worker busy for long: a held result would wait for the watcher.
                self.deliver(self.queue.completions.take());
            }
            let begun = Instant::now();
            let completion = catch_unwind(AssertUnwindSafe(|| task.run()));
            if begun.elapsed() > SLOW_TASK {
                self.scale_up();
            }
            if let Ok(Some(completion)) = completion {
                self.deliver(self.queue.completions.add(completion));
            }
        }
    }

    /// Returns the next task, or `None` if the queue is empty. This worker is then no longer counted.
    fn next_task(&mut self) -> Option<Task> {
        let mut are_delivered = false;
        loop {
            let mut state = lock(&self.queue.state);
            if let Some((_, task)) = state.tasks.pop_front() {
                let is_next_awaited = matches!(state.tasks.front(), Some((_, Task::Awaited(_))));
                drop(state);
                if is_next_awaited {
                    self.queue.completions.allow();
                }
                return Some(task);
            }
            // Counted under the same lock as the check for an empty queue: a task that is submitted in between would
            // otherwise rely on a worker that is about to end.
            if are_delivered {
                state.workers -= 1;
                self.has_left = true;
                return None;
            }
            drop(state);
            // Other workers deliver the results that they add meanwhile.
            self.deliver(self.queue.completions.take());
            are_delivered = true;
        }
    }

    fn deliver(&self, completions: Vec<Completion>) {
        if completions.is_empty() {
            return;
        }
        let count = completions.len();
        // Counted before the callers are woken, because they may submit their next tasks at once.
        lock(&self.queue.state).completing += count;
        deliver(completions);
        lock(&self.queue.state).completing -= count;
    }

    fn scale_up(&self) {
        let mut state = lock(&self.queue.state);
        if state.tasks.is_empty() || state.workers >= self.queue.max_workers {
            return;
        }
        // Without a runtime no other worker can be started, but this one continues.
        let Ok(runtime) = pool::runtime() else {
            return;
        };
        state.workers += 1;
        drop(state);
        self.queue.start_worker(&runtime);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut state = lock(&self.queue.state);
        state.workers -= 1;
        if state.workers > 0 {
            return;
        }
        let tasks = mem::take(&mut state.tasks);
        let (abandoned, others) = match self.runtime {
            Some(own) => tasks.into_iter().partition(|(runtime, _)| *runtime == own),
            None => (tasks, VecDeque::new()),
        };
        state.tasks = others;
        let worker = (!state.tasks.is_empty()).then(|| Worker {
            queue: Arc::clone(&self.queue),
            runtime: None,
            has_left: false,
        });
        state.workers += usize::from(worker.is_some());
        // The tasks are dropped after the lock is released: the drop of a task may submit another one.
        drop(state);
        drop(abandoned);
        if let Some(worker) = worker {
            pool::start_thread(move || worker.run());
        }
    }
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;

    use futures::FutureExt;
    use tokio::runtime::Builder;

    use super::*;

    #[tokio::test]
    async fn every_job_runs_once_and_returns_its_own_result() {
        let queue = WorkQueue::new(4);
        let jobs = (0..200).map(|number| queue.run(move || Ok(number)));
        let results = futures::future::try_join_all(jobs).await.unwrap();
        assert_eq!(results, (0..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_of_its_job_and_no_other() {
        let queue = WorkQueue::new(1);
        let panicking = queue.run(|| -> Result<()> { panic!("a job") });
        let other = queue.run(|| Ok("done"));
        let panicked = AssertUnwindSafe(panicking).catch_unwind().await;
        assert!(panicked.is_err());
        assert_eq!(other.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn a_result_is_not_held_back_while_the_next_task_waits_for_a_disk() {
        let queue = WorkQueue::new(1);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let completions = Arc::clone(&queue.completions);
        let mut first = Box::pin(queue.run(move || Ok(gone.recv().is_err())));
        let mut second = Box::pin(queue.run(move || {
            while !completions.are_watched() {
                // The watcher leaves when no tasks wait.
                completions.allow();
                std::thread::yield_now();
            }
            Ok(())
        }));
        let mut third = Box::pin(queue.run(move || {
            let waited = ended.recv_timeout(Duration::from_secs(60));
            Ok(waited == Err(RecvTimeoutError::Disconnected))
        }));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(go);
        assert!(first.await.unwrap());
        second.await.unwrap();
        drop(end);
        assert!(third.await.unwrap());
    }

    #[tokio::test]
    async fn a_result_is_not_held_back_while_writes_of_a_batch_wait() {
        let queue = WorkQueue::new(1);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let completions = Arc::clone(&queue.completions);
        completions.hold();
        let mut first = Box::pin(queue.run(move || Ok(gone.recv().is_err())));
        assert!(first.as_mut().now_or_never().is_none());
        let (sender, held) = oneshot::channel();
        queue
            .start(move || sender.send(completions.held()).unwrap())
            .unwrap();
        drop(go);
        assert_eq!(held.await, Ok(0));
        assert!(first.await.unwrap());
    }

    #[test]
    fn a_job_whose_runtime_has_shut_down_fails_and_leaves_nothing_in_the_queue() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let queue = WorkQueue::new(1);
        let result = {
            let _inside = handle.enter();
            queue.run(|| Ok(())).now_or_never().unwrap()
        };
        assert!(matches!(result, Err(Error::Runtime)));
        assert_eq!(queue.waiting(), 0);
        let runtime = Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(queue.run(|| Ok("done"))).unwrap(), "done");
    }

    #[test]
    fn without_a_runtime_a_job_fails_and_leaves_nothing_in_the_queue() {
        let queue = WorkQueue::new(1);
        let result = queue.run(|| Ok(())).now_or_never().unwrap();
        assert!(matches!(result, Err(Error::Runtime)));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn tasks_of_other_runtimes_run_if_the_runtime_of_the_last_worker_shuts_down() {
        let [gone, alive] = [(); 2].map(|()| Builder::new_current_thread().build().unwrap());
        let queue = WorkQueue::new(1);
        lock(&queue.state).workers = 1;
        let worker = Worker {
            queue: Arc::clone(&queue),
            runtime: Some(gone.handle().id()),
            has_left: false,
        };
        let (done, results) = std::sync::mpsc::channel();
        for (runtime, task) in [(&gone, "gone"), (&alive, "alive")] {
            let done = done.clone();
            let _inside = runtime.enter();
            queue.start(move || done.send(task).unwrap()).unwrap();
        }
        drop(done);
        // A runtime that shuts down drops its jobs like this.
        drop(worker);
        assert_eq!(results.iter().collect::<Vec<_>>(), ["alive"]);
        while lock(&queue.state).workers > 0 {
            std::thread::yield_now();
        }
        assert_eq!(alive.block_on(queue.run(|| Ok("done"))).unwrap(), "done");
    }
}
