//! [`Pass`]: one pass through all of a store, some blocks side by side.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{self, Stream, StreamExt};

use super::check::{PART, Tally};
use super::finding::Finding;
use super::walk::{Walk, WalkItem};
use crate::blocking;
use crate::error::{Error, Result};
use crate::maintenance::Progress;
use crate::maintenance::progress::Watcher;

/// How much is taken from the walk at a time.
const TAKEN: usize = 64;
/// A job ends after this time: long beside what it takes to begin one,
const TIME: Duration = Duration::from_millis(100);
/// or after so many findings.
const FINDINGS: usize = 1024;

/// What is done with everything that is met.
pub(super) trait Task: Send + Sync + 'static {
    /// What a job holds while it runs.
    fn begin(&self) -> Result<Box<dyn Send>> {
        Ok(Box::new(()))
    }

    /// What there is to tell about it.
    fn each(&self, met: WalkItem, buffer: &mut [u8]) -> Result<Option<Finding>>;

    /// What must be done before these are told.
    fn finish(&self, findings: &[Finding]) -> Result<()> {
        let _ = findings;
        Ok(())
    }
}

/// A pass that is under way. A job takes from the walk what it looks at next, so that all jobs end
/// at the same time, however the blocks are spread.
pub(super) struct Pass {
    task: Box<dyn Task>,
    walk: Mutex<Walk>,
    teller: Teller,
    /// Whether nobody wants to know any more.
    stopped: Arc<AtomicBool>,
    done: AtomicBool,
}

/// Tells how far the first pass is; of a later one, that the first is done.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) watcher: Arc<Mutex<Watcher>>,
    pub(super) tally: Arc<Tally>,
    pub(super) total_shards: u64,
    pub(super) is_first: bool,
}

impl Pass {
    pub(super) fn new(
        task: impl Task,
        walk: Walk,
        teller: Teller,
        stopped: Arc<AtomicBool>,
    ) -> Self {
        Pass {
            task: Box::new(task),
            walk: Mutex::new(walk),
            teller,
            stopped,
            done: AtomicBool::new(false),
        }
    }

    /// What is found, by so many jobs side by side. They run while the stream is polled.
    pub(super) fn run(self, jobs: usize) -> impl Stream<Item = Result<Finding>> + Send {
        stream::unfold(Arc::new(self), |pass| async move {
            let job = Arc::clone(&pass);
            let has_more = !pass.done.load(Ordering::SeqCst);
            has_more.then(|| (blocking::run(move || Ok(job.step())), pass))
        })
        .buffer_unordered(jobs)
        .flat_map(|found| match found {
            Ok(found) => stream::iter(found),
            Err(error) => stream::iter(vec![Err(error)]),
        })
    }

    /// One job. An error ends the pass.
    fn step(&self) -> Vec<Result<Finding>> {
        let _held = match self.task.begin() {
            Ok(held) => held,
            Err(error) => return self.end_with(Vec::new(), error),
        };
        let mut found = Vec::new();
        let looked = self.look(&mut found);
        let finished = self.task.finish(&found);
        let found = if finished.is_ok() {
            found.into_iter().map(Ok).collect()
        } else {
            Vec::new()
        };
        match looked.and(finished).and_then(|()| self.tell()) {
            Ok(()) => found,
            Err(error) => self.end_with(found, error),
        }
    }

    fn end_with(&self, mut found: Vec<Result<Finding>>, error: Error) -> Vec<Result<Finding>> {
        self.done.store(true, Ordering::SeqCst);
        found.push(Err(error));
        found
    }

    fn look(&self, found: &mut Vec<Finding>) -> Result<()> {
        let begun = Instant::now();
        let mut buffer = vec![0; PART];
        while begun.elapsed() < TIME && found.len() < FINDINGS {
            let met = lock(&self.walk).take(TAKEN)?;
            if met.is_empty() {
                self.done.store(true, Ordering::SeqCst);
                break;
            }
            for met in met {
                if self.stopped.load(Ordering::Relaxed) {
                    self.done.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                found.extend(self.task.each(met, &mut buffer)?);
            }
        }
        Ok(())
    }

    fn tell(&self) -> Result<()> {
        let shards = lock(&self.walk).shards();
        self.teller.tell(shards)
    }
}

impl Teller {
    fn tell(&self, shards: u64) -> Result<()> {
        let progress = Progress {
            blocks: self.tally.blocks.load(Ordering::Relaxed),
            bytes: self.tally.bytes.load(Ordering::Relaxed),
            shards: if self.is_first {
                shards
            } else {
                self.total_shards
            },
            total_shards: self.total_shards,
        };
        lock(&self.watcher).tell(progress)
    }
}

/// Nothing that holds these locks can leave them half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
