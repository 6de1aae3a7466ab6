//! [`Pace`]: how many jobs read blocks at the same time.

use std::time::{Duration, Instant};

use crate::blocking;

/// The number of jobs if they wait for a disk, and for a datastore without blocking reads, where each has up to 8 blocks
/// in memory.
const MAX_JOBS: usize = 8;
/// The maximum number of blocks with which a job begins if it waits for a disk. It reads all of them.
const MAX_BLOCKS: usize = 32;
/// The same limit if it does not wait: about as many cached blocks as it reads in [`MAX_TIME`].
const MAX_CACHED_BLOCKS: usize = 128;
/// A read that takes longer has waited for a disk and not for a processor.
const SLOW_READ: Duration = Duration::from_millis(1);
/// How long a job works until it returns. A job that is longer has less overhead; one that is shorter shares its
/// links with others earlier.
const MAX_TIME: Duration = Duration::from_millis(2);
/// The same limit while other jobs have nothing to do until it returns.
const MAX_TIME_OF_FEW: Duration = Duration::from_micros(200);

/// Decides how many jobs run at the same time, and how long they are.
#[derive(Debug)]
pub(super) struct Pace {
    waits: bool,
}

/// The time that one job has taken.
#[derive(Debug)]
pub(super) struct JobTime {
    begun: Instant,
    max: Duration,
    took: Duration,
    reads: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        // Until it is known, as for a datastore that has to wait.
        Pace { waits: true }
    }

    /// Returns the maximum number of jobs that run at the same time.
    pub(super) fn max_jobs(&self) -> usize {
        match self.waits {
            true => MAX_JOBS,
            // One more, so that a processor whose job ends has another one at once.
            false => (blocking::processors() + 1).min(MAX_JOBS),
        }
    }

    /// Returns the maximum number of blocks with which a job begins.
    pub(super) fn max_blocks(&self) -> usize {
        match self.waits {
            true => MAX_BLOCKS,
            false => MAX_CACHED_BLOCKS,
        }
    }

    /// Learns from the job that was the last to end. `None` for reads that do not block.
    pub(super) fn note(&mut self, time: Option<&JobTime>) {
        self.waits = time.is_none_or(JobTime::has_waited);
    }
}

impl JobTime {
    /// Begins a job. `is_awaited` if others wait for its links.
    pub(super) fn begin(is_awaited: bool) -> Self {
        JobTime {
            begun: Instant::now(),
            max: match is_awaited {
                true => MAX_TIME_OF_FEW,
                false => MAX_TIME,
            },
            took: Duration::ZERO,
            reads: 0,
        }
    }

    /// Counts a read. Returns whether the job should go on.
    pub(super) fn count(&mut self) -> bool {
        self.reads += 1;
        self.took = self.begun.elapsed();
        self.took < self.max
    }

    fn has_waited(&self) -> bool {
        self.took > SLOW_READ * self.reads
    }
}
