//! [`BreakpointGuard`]: operations that match a breakpoint wait until the test removes it.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::watch;

use super::{DiskOp, FaultDisk};

type BreakpointPredicate = Box<dyn Fn(DiskOp, &Path) -> bool + Send>;

/// The breakpoints that are set on a disk.
#[derive(Default)]
pub(super) struct Breakpoints {
    breakpoints: BTreeMap<u64, Breakpoint>,
    last_id: u64,
}

struct Breakpoint {
    matches: BreakpointPredicate,
    arrived: watch::Sender<usize>,
}

impl Breakpoints {
    pub(super) fn add(&mut self, matches: BreakpointPredicate) -> (u64, watch::Receiver<usize>) {
        let (arrived, arrivals) = watch::channel(0);
        self.last_id += 1;
        self.breakpoints
            .insert(self.last_id, Breakpoint { matches, arrived });
        (self.last_id, arrivals)
    }

    fn remove(&mut self, id: u64) {
        self.breakpoints.remove(&id);
    }

    /// Records that an operation has arrived, and returns the breakpoints that it has to wait for.
    pub(super) fn arrive(&self, op: DiskOp, path: &Path) -> Vec<u64> {
        let breakpoints = self.breakpoints.iter();
        let matching = breakpoints.filter(|(_, breakpoint)| (breakpoint.matches)(op, path));
        let arrived =
            matching.inspect(|(_, breakpoint)| breakpoint.arrived.send_modify(|count| *count += 1));
        arrived.map(|(id, _)| *id).collect()
    }

    /// Returns whether one of these breakpoints is still set.
    pub(super) fn any_set(&self, ids: &[u64]) -> bool {
        ids.iter().any(|id| self.breakpoints.contains_key(id))
    }
}

/// A breakpoint that is set until this guard is dropped.
#[must_use = "the waiting operations continue when this is dropped"]
#[derive(Debug)]
pub(crate) struct BreakpointGuard {
    pub(super) disk: FaultDisk,
    pub(super) id: u64,
    pub(super) arrivals: watch::Receiver<usize>,
}

impl BreakpointGuard {
    /// Waits until an operation has arrived at the breakpoint.
    pub(crate) async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until this number of operations has arrived at the breakpoint.
    pub(crate) async fn reached_by(&self, operations: usize) {
        let mut arrivals = self.arrivals.clone();
        let arrived = arrivals.wait_for(|arrived| *arrived >= operations).await;
        arrived.expect("a breakpoint exists as long as its guard");
    }

    /// Returns how many operations have arrived at the breakpoint.
    pub(crate) fn arrived(&self) -> usize {
        *self.arrivals.borrow()
    }
}

impl Drop for BreakpointGuard {
    fn drop(&mut self) {
        self.disk.state().breakpoints.remove(self.id);
        self.disk.shared.breakpoint_removed.notify_all();
    }
}
