//! [`Pass`]: one pass over a whole store, with several blocks at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::stream::{self, Stream, StreamExt};

use super::block_checker::{CheckTally, PART};
use super::check_walk::{CheckItem, CheckWalk};
use super::finding::Finding;
use crate::blocking;
use crate::error::{Error, Result};
use crate::maintenance::progress::{Phase, Progress, ProgressCallback};
use crate::sync::lock;

/// The number of items that a job takes from the walk at a time.
const MAX_ITEMS_PER_TURN: usize = 64;
/// The time after which a job ends. It is long compared with the time that it takes to start one.
const MAX_TIME_PER_JOB: Duration = Duration::from_millis(100);
/// The number of findings after which a job ends.
const MAX_FINDINGS_PER_JOB: usize = 1024;

/// What a pass does with each item.
pub(super) trait PassTask: Send + Sync + 'static {
    /// Returns a guard that each job holds while it runs.
    fn begin(&self) -> Result<Box<dyn Send>> {
        Ok(Box::new(()))
    }

    /// Processes an item. Returns the finding to report, if there is one.
    fn each(&self, item: CheckItem, buffer: &mut [u8]) -> Result<Option<Finding>>;

    /// Completes the work that must be done before these findings are reported.
    fn finish(&self, findings: &[Finding]) -> Result<()> {
        let _ = findings;
        Ok(())
    }
}

/// A pass in progress. Each job takes its next items from the same walk, so that all jobs end at the same
/// time, no matter in which directories the blocks are.
pub(super) struct Pass {
    task: Box<dyn PassTask>,
    walk: Mutex<CheckWalk>,
    progress: PassProgress,
    /// Whether the caller has dropped the stream of findings.
    stopped: Arc<AtomicBool>,
    done: AtomicBool,
}

/// Reports the progress of the first pass. In a later phase it reports that the first pass is done.
#[derive(Clone)]
pub(super) struct PassProgress {
    pub(super) callback: Arc<Mutex<ProgressCallback>>,
    pub(super) tally: Arc<CheckTally>,
    pub(super) total_shards: u64,
    pub(super) phase: Phase,
}

impl Pass {
    pub(super) fn new(
        task: impl PassTask,
        walk: CheckWalk,
        progress: PassProgress,
        stopped: Arc<AtomicBool>,
    ) -> Self {
        Pass {
            task: Box::new(task),
            walk: Mutex::new(walk),
            progress,
            stopped,
            done: AtomicBool::new(false),
        }
    }

    /// Runs the pass with this number of concurrent jobs, which run while the stream is polled.
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

    /// Runs one job. An error ends the pass.
    fn step(&self) -> Vec<Result<Finding>> {
        let _guard = match self.task.begin() {
            Ok(guard) => guard,
            Err(error) => return self.end_with(Vec::new(), error),
        };
        let mut found = Vec::new();
        let processed = self.process_items(&mut found);
        // Finished before anything is reported: what the stream reports as done must survive a power cut.
        let finished = self.task.finish(&found);
        let found = if finished.is_ok() {
            found.into_iter().map(Ok).collect()
        } else {
            Vec::new()
        };
        match processed
            .and(finished)
            .and_then(|()| self.report_progress())
        {
            Ok(()) => found,
            Err(error) => self.end_with(found, error),
        }
    }

    fn end_with(&self, mut found: Vec<Result<Finding>>, error: Error) -> Vec<Result<Finding>> {
        self.done.store(true, Ordering::SeqCst);
        found.push(Err(error));
        found
    }

    fn process_items(&self, found: &mut Vec<Finding>) -> Result<()> {
        let begun = Instant::now();
        let mut buffer = vec![0; PART];
        while begun.elapsed() < MAX_TIME_PER_JOB && found.len() < MAX_FINDINGS_PER_JOB {
            let items = lock(&self.walk).take(MAX_ITEMS_PER_TURN)?;
            if items.is_empty() {
                self.done.store(true, Ordering::SeqCst);
                break;
            }
            for item in items {
                if self.stopped.load(Ordering::Relaxed) {
                    self.done.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                found.extend(self.task.each(item, &mut buffer)?);
            }
        }
        Ok(())
    }

    fn report_progress(&self) -> Result<()> {
        let shards = lock(&self.walk).shards();
        self.progress.report(shards)
    }
}

impl PassProgress {
    /// Reports that a phase begins, on a thread where the callback may block.
    pub(super) async fn begin_phase(mut self, phase: Phase) -> Result<()> {
        self.phase = phase;
        blocking::run(move || self.report(0)).await
    }

    fn report(&self, shards: u64) -> Result<()> {
        let progress = Progress {
            blocks: self.tally.blocks.load(Ordering::Relaxed),
            bytes: self.tally.bytes.load(Ordering::Relaxed),
            shards: if self.phase == Phase::Blocks {
                shards
            } else {
                self.total_shards
            },
            total_shards: self.total_shards,
            phase: self.phase,
            ..Progress::default()
        };
        lock(&self.callback).report(progress)
    }
}
