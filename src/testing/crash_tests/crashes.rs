//! The crashes that a test tries, and [`CrashCounts`]: how many of them the store has survived.

use std::fmt;
use std::io::{self, Write as _};

use crate::testing::fault_disk::DataLoss;

/// Returns what the kill of a process and power cuts may destroy, `cuts` of them at random, different for
/// each `seed`.
pub(super) fn data_losses(seed: u64, cuts: u64) -> impl Iterator<Item = DataLoss> {
    let some = (0..cuts).map(move |cut| DataLoss::SomeUnflushed(seed * 1000 + cut));
    [DataLoss::None, DataLoss::AllUnflushed]
        .into_iter()
        .chain(some)
}

/// The number of crashes that a test has tried.
#[derive(Debug, Default)]
pub(super) struct CrashCounts {
    pub(super) crash_points: u64,
    pub(super) kills: u64,
    pub(super) power_cuts: u64,
}

impl CrashCounts {
    pub(super) fn survived(&mut self, loss: DataLoss) {
        match loss {
            DataLoss::None => self.kills += 1,
            DataLoss::AllUnflushed | DataLoss::SomeUnflushed(_) => self.power_cuts += 1,
        }
    }

    pub(super) fn add(&mut self, other: &CrashCounts) {
        self.crash_points += other.crash_points;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
    }

    /// Prints the counts to the standard error directly, because the test harness captures what
    /// `println!` prints in a test that passes. A check that fails panics, so the counts of lost and torn
    /// writes are always 0.
    pub(super) fn print(&self, what: &str) {
        writeln!(io::stderr(), "{what}: {self}").unwrap();
    }
}

impl fmt::Display for CrashCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrashCounts {
            crash_points,
            kills,
            power_cuts,
        } = self;
        write!(
            f,
            "{crash_points} crash points tried, {kills} kills and {power_cuts} power cuts survived, torn 0, lost 0"
        )
    }
}
