//! [`GroupQueue`]: a queue whose only worker takes all waiting tasks as one group.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime;

use super::pool;
use crate::error::Result;
use crate::sync::lock;

/// The maximum time for which a group waits for more tasks.
const MAX_BATCHING_DELAY: Duration = Duration::from_millis(5);

/// A queue of tasks that one worker, a job on the blocking pool, takes in groups. The worker ends when the
/// queue is empty.
#[derive(Debug)]
pub(crate) struct GroupQueue<T> {
    state: Mutex<GroupQueueState<T>>,
    /// Notified when the queue has as many tasks as the worker waits for.
    is_full: Condvar,
    max_group: usize,
}

#[derive(Debug)]
struct GroupQueueState<T> {
    /// Each task with the runtime from which it was submitted.
    tasks: VecDeque<(runtime::Id, T)>,
    has_worker: bool,
    /// The number of tasks that the worker waits for; 0 if it isn't waiting.
    awaited: usize,
}

/// The size of a group, and how long its work took.
type GroupTime = (usize, Duration);

impl<T: Send + 'static> GroupQueue<T> {
    /// Creates a queue whose groups have up to `max_group` tasks.
    pub(crate) fn new(max_group: usize) -> Arc<Self> {
        Arc::new(GroupQueue {
            state: Mutex::new(GroupQueueState {
                tasks: VecDeque::new(),
                has_worker: false,
                awaited: 0,
            }),
            is_full: Condvar::new(),
            max_group,
        })
    }

    /// Adds a task to the queue. If the queue has no worker, starts one that calls `work` with each group. If the
    /// runtime shuts down first, the task is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Runtime`](crate::error::Error::Runtime) if there is no runtime; the task is dropped.
    pub(crate) fn submit(
        self: &Arc<Self>,
        task: T,
        work: impl Fn(Vec<T>) + Send + 'static,
    ) -> Result<()> {
        // Looked up before the task is added: after an error the task must not run, and the worker of another
        // runtime could take it.
        let runtime = pool::runtime()?;
        let mut state = lock(&self.state);
        state.tasks.push_back((runtime.id(), task));
        if state.awaited == state.tasks.len() {
            self.is_full.notify_one();
        }
        if state.has_worker {
            return Ok(());
        }
        state.has_worker = true;
        drop(state);
        let worker = Worker {
            queue: Arc::clone(self),
            work: Some(work),
            runtime: Some(runtime.id()),
            has_left: false,
        };
        pool::start(&runtime, move || worker.run());
        Ok(())
    }

    /// Waits until the queue has as many tasks as the last group had: their callers are likely to come
    /// back. The wait is bounded by a quarter of the time that the last group took.
    fn delay<'a>(
        &'a self,
        mut state: MutexGuard<'a, GroupQueueState<T>>,
        (size, took): GroupTime,
    ) -> MutexGuard<'a, GroupQueueState<T>> {
        let (begun, delay) = (Instant::now(), (took / 4).min(MAX_BATCHING_DELAY));
        while state.tasks.len() < size
            && let Some(left) = delay.checked_sub(begun.elapsed())
        {
            state.awaited = size;
            let waited = self.is_full.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.awaited = 0;
        state
    }

    /// Returns the number of tasks in the queue.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.state).tasks.len()
    }
}

/// The worker. If its runtime shuts down before the worker runs, the tasks of that runtime are dropped, and a new
/// thread runs those of other runtimes.
struct Worker<T: Send + 'static, W: Fn(Vec<T>) + Send + 'static> {
    queue: Arc<GroupQueue<T>>,
    /// `None` once the worker runs.
    work: Option<W>,
    /// The runtime whose job this is, or `None` on a thread.
    runtime: Option<runtime::Id>,
    has_left: bool,
}

impl<T: Send + 'static, W: Fn(Vec<T>) + Send + 'static> Worker<T, W> {
    fn run(mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        let mut last = (0, Duration::ZERO);
        while let Some(group) = self.next_group(last) {
            let (size, begun) = (group.len(), Instant::now());
            // A panic drops the tasks of the group, which reports a failure to their callers. The next group runs.
            let _ = catch_unwind(AssertUnwindSafe(|| work(group)));
            last = (size, begun.elapsed());
        }
    }

    /// Returns the next group. If the queue is empty, returns `None`, and the queue has no worker from then on.
    fn next_group(&mut self, last: GroupTime) -> Option<Vec<T>> {
        let queue = &*self.queue;
        let mut state = lock(&queue.state);
        if last.0 > 1 {
            state = queue.delay(state, last);
        }
        let count = state.tasks.len().min(queue.max_group);
        // Set under the same lock as the check for an empty queue: a task that is submitted in between would
        // otherwise rely on a worker that is about to end.
        if count == 0 {
            state.has_worker = false;
            self.has_left = true;
            return None;
        }
        let group = state.tasks.drain(..count);
        Some(group.map(|(_, task)| task).collect())
    }
}

impl<T: Send + 'static, W: Fn(Vec<T>) + Send + 'static> Drop for Worker<T, W> {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut state = lock(&self.queue.state);
        let tasks = mem::take(&mut state.tasks);
        let (abandoned, others) = match (self.runtime, &self.work) {
            (Some(own), Some(_)) => tasks.into_iter().partition(|(runtime, _)| *runtime == own),
            _ => (tasks, VecDeque::new()),
        };
        state.tasks = others;
        state.has_worker = !state.tasks.is_empty();
        let worker = state.has_worker.then(|| Worker {
            queue: Arc::clone(&self.queue),
            work: self.work.take(),
            runtime: None,
            has_left: false,
        });
        // The tasks are dropped after the lock is released: the drop of a task may wake a caller that submits
        // another one.
        drop(state);
        drop(abandoned);
        if let Some(worker) = worker {
            pool::start_thread(move || worker.run());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn tasks_that_arrive_while_the_worker_is_busy_are_the_next_group() {
        let queue = GroupQueue::new(64);
        let (groups, sizes) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let (began, begun) = oneshot::channel();
        let began = Arc::new(Mutex::new(Some(began)));
        let work = move |group: Vec<u8>| {
            if let Some(began) = began.lock().unwrap().take() {
                began.send(()).unwrap();
                let _ = gone.lock().unwrap().recv();
            }
            groups.send(group).unwrap();
        };
        queue.submit(0, work.clone()).unwrap();
        begun.await.unwrap();
        for task in 1..5 {
            queue.submit(task, work.clone()).unwrap();
        }
        drop((go, work));
        let groups = super::super::run(move || Ok(sizes.iter().collect::<Vec<_>>()));
        assert_eq!(groups.await.unwrap(), [vec![0], vec![1, 2, 3, 4]]);
    }

    #[test]
    fn tasks_of_other_runtimes_run_if_the_runtime_of_the_worker_shuts_down() {
        let [gone, alive] = [(); 2].map(|()| Builder::new_current_thread().build().unwrap());
        let queue = GroupQueue::new(64);
        let (groups, sizes) = mpsc::channel();
        let work = move |group: Vec<&'static str>| groups.send(group).unwrap();
        lock(&queue.state).has_worker = true;
        let worker = Worker {
            queue: Arc::clone(&queue),
            work: Some(work.clone()),
            runtime: Some(gone.handle().id()),
            has_left: false,
        };
        for (runtime, task) in [(&gone, "gone"), (&alive, "alive")] {
            let _inside = runtime.enter();
            queue.submit(task, work.clone()).unwrap();
        }
        drop(work);
        // A runtime that shuts down drops its jobs like this.
        drop(worker);
        assert_eq!(sizes.iter().collect::<Vec<_>>(), [vec!["alive"]]);
        assert_eq!(queue.waiting(), 0);
    }
}
