//! [`Faults`]: the crash and the failures that a test has scheduled, and the count of the steps.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::{DiskOp, FaultDisk};

type RefusalRule = Box<dyn FnMut(DiskOp, &Path) -> Option<io::ErrorKind> + Send>;

/// The faults that are scheduled on a disk.
#[derive(Default)]
pub(super) struct Faults {
    /// The number of steps that have been tried.
    steps: u64,
    /// The machine is dead once this number of steps has been tried.
    crash_at: Option<u64>,
    failures: BTreeMap<u64, io::ErrorKind>,
    refusals: BTreeMap<u64, RefusalRule>,
    last_refusal: u64,
}

impl Faults {
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn crash_after(&mut self, steps: u64) {
        self.crash_at = Some(self.steps + steps);
    }

    pub(super) fn fail_after(&mut self, steps: u64, kind: io::ErrorKind) {
        self.failures.insert(self.steps + steps + 1, kind);
    }

    pub(super) fn refuse(&mut self, refuses: RefusalRule) -> u64 {
        self.last_refusal += 1;
        self.refusals.insert(self.last_refusal, refuses);
        self.last_refusal
    }

    fn stop_refusing(&mut self, refusal: u64) {
        self.refusals.remove(&refusal);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.crash_at.is_some_and(|step| self.steps >= step)
    }

    pub(super) fn check_alive(&self) -> io::Result<()> {
        if self.is_dead() {
            return Err(io::Error::other("the machine has crashed"));
        }
        Ok(())
    }

    /// Checks that an operation that changes nothing is not refused.
    pub(super) fn permit(&mut self, op: DiskOp, path: &Path) -> io::Result<()> {
        let mut refusals = self.refusals.values_mut();
        match refusals.find_map(|refuses| refuses(op, path)) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    /// Counts a step that is about to be done, and fails if the step is to fail.
    pub(super) fn step(&mut self, op: DiskOp, path: &Path) -> io::Result<()> {
        self.steps += 1;
        if let Some(kind) = self.failures.remove(&self.steps) {
            return Err(kind.into());
        }
        self.permit(op, path)
    }
}

/// Makes operations fail until this guard is dropped.
#[must_use = "the disk accepts the operations again when this is dropped"]
pub(crate) struct Refusal {
    pub(super) disk: FaultDisk,
    pub(super) id: u64,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").finish_non_exhaustive()
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.disk.state().faults.stop_refusing(self.id);
    }
}
