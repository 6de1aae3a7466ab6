//! [`Crew`]: a few jobs on the blocking pool that share a queue: many operations a hop.
//!
//! A hop to the pool and back costs about as much as the write of a small block. So whoever comes
//! while others are at work only joins their queue.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{begin, processors, runtime};
use crate::error::{Error, Result};

/// A task that takes longer has waited for a disk, and not for a processor: then more hands help.
const SLOW: Duration = Duration::from_millis(1);
/// How long a crew that gathers waits for the next group at most.
const LONGEST_GATHERING: Duration = Duration::from_millis(5);

/// Something to be done. Dropping it undone is how its owner learns that it won't be.
pub(crate) type Task = Box<dyn FnOnce() -> Option<Answer> + Send>;

/// Tells the owner of a task how it went.
pub(crate) type Answer = Box<dyn FnOnce() + Send>;

/// A queue and the hands that work through it, on the blocking pool.
pub(crate) struct Crew<T> {
    queue: Mutex<Queue<T>>,
    /// The group that is being gathered is complete.
    gathered: Condvar,
    most_hands: usize,
    most_at_a_time: usize,
}

struct Queue<T> {
    tasks: VecDeque<T>,
    hands: usize,
    /// How many tasks a hand that gathers waits for.
    awaited: usize,
    /// How many hands only have to answer before they look for more: whoever hears an answer and comes
    /// with his next task needs not wake another thread for it.
    answering: usize,
}

impl<T> Crew<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Crew<T> {
    /// A crew whose hands take one task at a time: as many as there are processors, and up to
    /// `most_hands` where the tasks wait for a disk.
    pub(crate) fn new(most_hands: usize) -> Arc<Self> {
        Crew::with(most_hands, 1)
    }

    /// A crew of one hand, which takes all tasks that have gathered as one group, up to
    /// `most_at_a_time`. It waits a little for as many as the last time.
    pub(crate) fn of_groups(most_at_a_time: usize) -> Arc<Self> {
        Crew::with(1, most_at_a_time)
    }

    fn with(most_hands: usize, most_at_a_time: usize) -> Arc<Self> {
        Arc::new(Crew {
            queue: Mutex::new(Queue {
                tasks: VecDeque::new(),
                hands: 0,
                awaited: 0,
                answering: 0,
            }),
            gathered: Condvar::new(),
            most_hands,
            most_at_a_time,
        })
    }

    /// Gives the crew a task; `work` is what its hands do with one group, and may leave the answers to
    /// them. If the runtime shuts down
    /// before that, the task is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Runtime`] if there is no runtime.
    pub(crate) fn submit<F>(self: &Arc<Self>, task: T, work: F) -> Result<()>
    where
        F: Fn(Vec<T>) -> Vec<Answer> + Send + Clone + 'static,
    {
        // Before the others get to see the task.
        runtime()?;
        let mut queue = self.queue();
        queue.tasks.push_back(task);
        let waiting = queue.tasks.len();
        if queue.awaited == waiting {
            self.gathered.notify_one();
        }
        let needs_hand = queue.hands == 0 || waiting > queue.answering;
        if needs_hand && queue.hands < self.most_hands.min(processors()) {
            queue.hands += 1;
            drop(queue);
            self.begin_hand(work)?;
        }
        Ok(())
    }

    fn begin_hand<F>(self: &Arc<Self>, work: F) -> Result<()>
    where
        F: Fn(Vec<T>) -> Vec<Answer> + Send + Clone + 'static,
    {
        let hand = Hand {
            crew: Arc::clone(self),
            has_left: false,
        };
        begin(move || hand.work(work))
    }

    /// How many tasks wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.queue().tasks.len()
    }
}

/// One job of a crew. If it goes without having worked, or by a panic, and is the last one, so do the
/// tasks that are left.
struct Hand<T> {
    crew: Arc<Crew<T>>,
    has_left: bool,
}

impl<T> Hand<T> {
    fn work<F>(mut self, work: F)
    where
        F: Fn(Vec<T>) -> Vec<Answer> + Send + Clone + 'static,
        T: Send + 'static,
    {
        let mut last = (0, Duration::ZERO);
        while let Some(group) = self.next_group(last) {
            let (size, begun) = (group.len(), Instant::now());
            // Who waits for the tasks of a group that panics learns that they were dropped.
            let answers = catch_unwind(AssertUnwindSafe(|| work(group))).unwrap_or_default();
            last = (size, begun.elapsed());
            if last.1 > SLOW {
                self.call_for_help(&work);
            }
            self.answer(answers);
        }
    }

    /// What is to be done next; `None` if there is nothing, and the hand has left. `last` is the size
    /// of the group before, and how long it took.
    fn next_group(&mut self, last: (usize, Duration)) -> Option<Vec<T>>
    where
        T: Send + 'static,
    {
        let crew = Arc::clone(&self.crew);
        let mut queue = crew.queue();
        if last.0 > 1 {
            queue = gather(&crew, queue, last);
        }
        let count = queue.tasks.len().min(crew.most_at_a_time);
        if count == 0 {
            queue.hands -= 1;
            self.has_left = true;
            return None;
        }
        Some(queue.tasks.drain(..count).collect())
    }

    fn answer(&self, answers: Vec<Answer>) {
        if answers.is_empty() {
            return;
        }
        self.crew.queue().answering += 1;
        for answer in answers {
            // It wakes a task of somebody's runtime.
            let _ = catch_unwind(AssertUnwindSafe(answer));
        }
        self.crew.queue().answering -= 1;
    }

    fn call_for_help<F>(&self, work: &F)
    where
        F: Fn(Vec<T>) -> Vec<Answer> + Send + Clone + 'static,
        T: Send + 'static,
    {
        let mut queue = self.crew.queue();
        if queue.tasks.is_empty() || queue.hands >= self.crew.most_hands {
            return;
        }
        queue.hands += 1;
        drop(queue);
        // Without a runtime there is no help, but this hand is still here.
        let _ = self.crew.begin_hand(work.clone());
    }
}

/// Waits, but not for long, until as many tasks have come as there were in the last group.
fn gather<'a, T>(
    crew: &'a Crew<T>,
    mut queue: MutexGuard<'a, Queue<T>>,
    (size, took): (usize, Duration),
) -> MutexGuard<'a, Queue<T>> {
    let (begun, patience) = (Instant::now(), (took / 4).min(LONGEST_GATHERING));
    while queue.tasks.len() < size
        && let Some(left) = patience.checked_sub(begun.elapsed())
    {
        queue.awaited = size;
        let waited = crew.gathered.wait_timeout(queue, left);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    queue.awaited = 0;
    queue
}

impl<T> Drop for Hand<T> {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut queue = self.crew.queue();
        queue.hands -= 1;
        if queue.hands > 0 {
            return;
        }
        let abandoned = std::mem::take(&mut queue.tasks);
        drop(queue);
        drop(abandoned);
    }
}

impl Crew<Task> {
    /// Has one job done, as [`run`](super::run) has it, by a hand of the crew.
    ///
    /// # Errors
    ///
    /// The job's own, and [`Error::Runtime`] if there is no runtime, or it shuts down before the job
    /// begins.
    pub(crate) async fn run<R, F>(self: &Arc<Self>, job: F) -> Result<R>
    where
        F: FnOnce() -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<Result<R>, Box<dyn Any + Send>>>();
        let task = Box::new(move || {
            let done = catch_unwind(AssertUnwindSafe(job));
            let answer = move || drop(answer.send(done));
            Some(Box::new(answer) as Answer)
        });
        self.submit(task, work_through)?;
        match answered.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Runtime),
        }
    }

    /// Has something done that nobody waits for.
    ///
    /// # Errors
    ///
    /// [`Error::Runtime`] if there is no runtime.
    pub(crate) fn begin(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let task = Box::new(move || {
            job();
            None
        });
        self.submit(task, work_through)
    }
}

fn work_through(tasks: Vec<Task>) -> Vec<Answer> {
    tasks.into_iter().filter_map(|task| task()).collect()
}

impl<T> fmt::Debug for Crew<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt;
    use tokio::runtime::Builder;

    use super::*;

    #[tokio::test]
    async fn every_job_is_done_once_and_answers_its_own() {
        let crew = Crew::new(4);
        let jobs = (0..200).map(|number| crew.run(move || Ok(number)));
        let answers = futures::future::try_join_all(jobs).await.unwrap();
        assert_eq!(answers, (0..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_panic_reaches_who_asked_and_nobody_else() {
        let crew = Crew::new(1);
        let panicking = crew.run(|| -> Result<()> { panic!("a job") });
        let other = crew.run(|| Ok("done"));
        let panicked = AssertUnwindSafe(panicking).catch_unwind().await;
        assert!(panicked.is_err());
        assert_eq!(other.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn what_comes_while_the_hand_works_is_the_next_group() {
        let crew = Crew::of_groups(64);
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
            Vec::new()
        };
        crew.submit(0, work.clone()).unwrap();
        begun.await.unwrap();
        for task in 1..5 {
            crew.submit(task, work.clone()).unwrap();
        }
        drop((go, work));
        let groups = super::super::run(move || Ok(sizes.iter().collect::<Vec<_>>()));
        assert_eq!(groups.await.unwrap(), [vec![0], vec![1, 2, 3, 4]]);
    }

    #[test]
    fn a_job_whose_runtime_has_shut_down_is_an_error_and_leaves_nothing_behind() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let crew = Crew::new(1);
        let answer = {
            let _inside = handle.enter();
            crew.run(|| Ok(())).now_or_never().unwrap()
        };
        assert!(matches!(answer, Err(Error::Runtime)));
        assert_eq!(crew.waiting(), 0);
        let runtime = Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(crew.run(|| Ok("done"))).unwrap(), "done");
    }

    #[test]
    fn without_a_runtime_a_job_is_an_error_and_nothing_stays_in_the_queue() {
        let crew = Crew::new(1);
        let answer = crew.run(|| Ok(())).now_or_never().unwrap();
        assert!(matches!(answer, Err(Error::Runtime)));
        assert_eq!(crew.waiting(), 0);
    }
}
