//! [`Faults`]: what is to go wrong, and the count of the steps.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::{FaultDisk, Op};

type Refuses = Box<dyn FnMut(Op, &Path) -> Option<io::ErrorKind> + Send>;

/// What is to go wrong on a disk.
#[derive(Default)]
pub(super) struct Faults {
    /// How many steps have been tried.
    steps: u64,
    /// With this many steps tried the machine is dead.
    crash_at: Option<u64>,
    failures: BTreeMap<u64, io::ErrorKind>,
    refusals: BTreeMap<u64, Refuses>,
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

    pub(super) fn refuse(&mut self, refuses: Refuses) -> u64 {
        self.last_refusal += 1;
        self.refusals.insert(self.last_refusal, refuses);
        self.last_refusal
    }

    fn accept(&mut self, refusal: u64) {
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

    /// Whether an operation may be done that changes nothing.
    pub(super) fn permit(&mut self, op: Op, path: &Path) -> io::Result<()> {
        let mut refusals = self.refusals.values_mut();
        match refusals.find_map(|refuses| refuses(op, path)) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    /// Counts a step that is about to be done, and says whether it may be.
    pub(super) fn step(&mut self, op: Op, path: &Path) -> io::Result<()> {
        self.steps += 1;
        if let Some(kind) = self.failures.remove(&self.steps) {
            return Err(kind.into());
        }
        self.permit(op, path)
    }
}

/// Makes operations fail until it is dropped.
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
        self.disk.state().faults.accept(self.id);
    }
}
