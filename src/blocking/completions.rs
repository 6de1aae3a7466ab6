//! [`Completions`]: the results of tasks, held back for a moment so that several callers are woken together.
//!
//! Waking a thread of the runtime costs about as much as a small write. While more tasks with callers wait, the callers
//! of the first few therefore get their results together. The next task may wait for a disk, so a watcher delivers what
//! is held once per millisecond, and nothing is held without a watcher.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::pool;
use crate::sync::lock;

/// The maximum number of results that are held. More would hardly save anything: in a prototype, 8 took 0.6 context
/// switches per operation, and 1 took 1.8.
const MAX_HELD: usize = 8;
/// The time between two deliveries of the watcher, and so the longest time that a result is held.
const WATCH_INTERVAL: Duration = Duration::from_millis(1);
/// The maximum number of deliveries of a watcher. A runtime that shuts down waits for its watcher, and tasks may come
/// from other runtimes without end.
const MAX_WATCHES: u32 = 100;

/// Sends the result of a task to its caller.
pub(super) type Completion = Box<dyn FnOnce() + Send>;

/// The results that are held.
#[derive(Default)]
pub(super) struct Completions {
    state: Mutex<CompletionsState>,
}

#[derive(Default)]
struct CompletionsState {
    held: Vec<Completion>,
    /// Whether the watcher was started.
    has_watcher: bool,
    /// Whether the watcher runs. It doesn't while the blocking pool has no free thread.
    is_watched: bool,
    /// Whether tasks have waited since the last delivery of the watcher or, before it runs, whether tasks wait now.
    is_needed: bool,
}

impl Completions {
    /// Adds the result of a task. Returns the results to deliver now. Before the worker ends or runs a task that has no
    /// caller, it [takes](Self::take) the results that are held.
    pub(super) fn add(&self, completion: Completion) -> Vec<Completion> {
        let mut state = lock(&self.state);
        state.held.push(completion);
        if state.is_watched && state.held.len() < MAX_HELD {
            return Vec::new();
        }
        mem::take(&mut state.held)
    }

    /// Returns all results that are held.
    pub(super) fn take(&self) -> Vec<Completion> {
        let mut state = lock(&self.state);
        // A watcher that has not started yet would find nothing to deliver, and only occupy a thread of the pool. One
        // that runs stays, because the pause may be short.
        if !state.is_watched {
            state.is_needed = false;
        }
        mem::take(&mut state.held)
    }

    /// Lets results be held, because more tasks with callers wait.
    pub(super) fn allow(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.is_needed = true;
        if state.has_watcher {
            return;
        }
        // Without a runtime nothing is held.
        let Ok(runtime) = pool::runtime() else {
            return;
        };
        state.has_watcher = true;
        drop(state);
        let watcher = Watcher {
            completions: Arc::clone(self),
            watches: 0,
            has_left: false,
        };
        pool::start(&runtime, move || watcher.run());
    }

    /// Returns whether results may be held now.
    #[cfg(test)]
    pub(super) fn are_watched(&self) -> bool {
        lock(&self.state).is_watched
    }

    /// Lets results be held without a watcher, so that nothing else delivers them.
    #[cfg(test)]
    pub(super) fn hold(&self) {
        let mut state = lock(&self.state);
        (state.has_watcher, state.is_watched) = (true, true);
    }

    /// Returns the number of results that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        lock(&self.state).held.len()
    }
}

/// Sends these results.
pub(super) fn deliver(completions: Vec<Completion>) {
    for completion in completions {
        // This wakes a task of the caller's runtime, and may panic there.
        let _ = catch_unwind(AssertUnwindSafe(completion));
    }
}

/// Delivers what is held while a task waits for a disk. It ends when no more tasks wait, or after a while; the next task
/// then starts another one.
struct Watcher {
    completions: Arc<Completions>,
    /// The number of deliveries.
    watches: u32,
    has_left: bool,
}

impl Watcher {
    fn run(mut self) {
        self.begin();
        while !self.has_left {
            thread::sleep(WATCH_INTERVAL);
            deliver(self.take());
        }
    }

    /// Lets results be held, if tasks still wait.
    fn begin(&mut self) {
        let mut state = lock(&self.completions.state);
        self.has_left = !state.is_needed;
        (state.is_watched, state.has_watcher) = (state.is_needed, state.is_needed);
    }

    fn take(&mut self) -> Vec<Completion> {
        self.watches += 1;
        let mut state = lock(&self.completions.state);
        // Under the same lock as the last delivery: a result that is added later must not be held.
        if !mem::take(&mut state.is_needed) || self.watches >= MAX_WATCHES {
            self.has_left = true;
            (state.is_watched, state.has_watcher) = (false, false);
        }
        mem::take(&mut state.held)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // The runtime has shut down before the watcher ran.
        if !self.has_left {
            lock(&self.completions.state).has_watcher = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(completions: &Completions) -> usize {
        completions.add(Box::new(|| ())).len()
    }

    fn watcher(completions: &Arc<Completions>) -> Watcher {
        Watcher {
            completions: Arc::clone(completions),
            watches: 0,
            has_left: false,
        }
    }

    #[test]
    fn results_are_held_only_while_they_are_watched() {
        let completions = Completions::default();
        assert_eq!(add(&completions), 1);
        lock(&completions.state).is_watched = true;
        assert_eq!(add(&completions), 0);
        assert_eq!(completions.take().len(), 1);
        assert_eq!(add(&completions), 0);
        lock(&completions.state).is_watched = false;
        assert_eq!(add(&completions), 2);
    }

    #[test]
    fn eight_results_are_due_together() {
        let completions = Completions::default();
        lock(&completions.state).is_watched = true;
        let due: Vec<usize> = (0..9).map(|_| add(&completions)).collect();
        assert_eq!(due, [0, 0, 0, 0, 0, 0, 0, 8, 0]);
    }

    #[test]
    fn the_watcher_leaves_when_no_tasks_wait_and_holds_nothing_back() {
        let completions = Arc::new(Completions::default());
        let mut watcher = watcher(&completions);
        lock(&completions.state).is_needed = true;
        watcher.begin();
        assert_eq!(add(&completions), 0);
        assert_eq!(watcher.take().len(), 1);
        assert!(!watcher.has_left);
        assert_eq!(add(&completions), 0);
        assert_eq!(watcher.take().len(), 1);
        assert!(watcher.has_left);
        assert_eq!(add(&completions), 1);
    }

    #[test]
    fn a_watcher_that_starts_after_the_last_task_leaves_at_once() {
        let completions = Arc::new(Completions::default());
        let mut watcher = watcher(&completions);
        lock(&completions.state).is_needed = true;
        assert_eq!(completions.take().len(), 0);
        watcher.begin();
        assert!(watcher.has_left);
        assert_eq!(add(&completions), 1);
    }

    #[test]
    fn a_watcher_leaves_after_a_while_although_tasks_wait() {
        let completions = Arc::new(Completions::default());
        let mut watcher = watcher(&completions);
        lock(&completions.state).is_needed = true;
        watcher.begin();
        while !watcher.has_left {
            assert!(watcher.watches < MAX_WATCHES);
            lock(&completions.state).is_needed = true;
            assert_eq!(add(&completions), 0);
            assert_eq!(watcher.take().len(), 1);
        }
        assert_eq!(add(&completions), 1);
    }
}
