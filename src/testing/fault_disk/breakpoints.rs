//! [`Held`]: operations that wait until a test lets them go.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::watch;

use super::{FaultDisk, Op};

type Matches = Box<dyn Fn(Op, &Path) -> bool + Send>;

/// Which operations are to wait.
#[derive(Default)]
pub(super) struct Holds {
    holds: BTreeMap<u64, Hold>,
    last_id: u64,
}

struct Hold {
    matches: Matches,
    arrived: watch::Sender<usize>,
}

impl Holds {
    pub(super) fn add(&mut self, matches: Matches) -> (u64, watch::Receiver<usize>) {
        let (arrived, arrivals) = watch::channel(0);
        self.last_id += 1;
        self.holds.insert(self.last_id, Hold { matches, arrived });
        (self.last_id, arrivals)
    }

    fn release(&mut self, id: u64) {
        self.holds.remove(&id);
    }

    /// Notes that an operation has arrived, and says which holds it has to wait for.
    pub(super) fn arrive(&self, op: Op, path: &Path) -> Vec<u64> {
        let holds = self.holds.iter();
        let holds = holds.filter(|(_, hold)| (hold.matches)(op, path));
        let arrived = holds.inspect(|(_, hold)| hold.arrived.send_modify(|count| *count += 1));
        arrived.map(|(id, _)| *id).collect()
    }

    pub(super) fn hold_back(&self, arrived_at: &[u64]) -> bool {
        arrived_at.iter().any(|id| self.holds.contains_key(id))
    }
}

/// Holds operations back until it is dropped.
#[must_use = "the operations are let go when this is dropped"]
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) disk: FaultDisk,
    pub(super) id: u64,
    pub(super) arrivals: watch::Receiver<usize>,
}

impl Held {
    /// Waits until an operation has arrived here.
    pub(crate) async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until this many operations have arrived here.
    pub(crate) async fn reached_by(&self, operations: usize) {
        let mut arrivals = self.arrivals.clone();
        let arrived = arrivals.wait_for(|arrived| *arrived >= operations).await;
        arrived.expect("a hold is there as long as its guard");
    }

    /// How many operations have arrived here.
    pub(crate) fn arrived(&self) -> usize {
        *self.arrivals.borrow()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.state().holds.release(self.id);
        self.disk.shared.released.notify_all();
    }
}
