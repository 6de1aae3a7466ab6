//! Peak memory. The floor is what a process takes that opens the store and does nothing.

use crate::program::bench::{Bench, MIB};
use crate::program::memory::{Task, peak};
use crate::program::row::{Goal, Row, Unit};

/// What two runs of the same may differ by; a store that kept its keys would take much more.
const SLACK: f64 = (4 * MIB) as f64;

pub(super) fn batch(bench: &Bench, title: &str) -> Vec<Row> {
    let count = bench.pick(4_000, 400);
    let goal = Goal::AtMost((16 * MIB + 24 * MIB) as f64);
    if let Err(why) = bench.check_room(((count + 256) * MIB) as u64, count as u64 + 2_000) {
        return vec![Row::skipped(title, goal, why)];
    }
    let dir = bench.scratch();
    let root = dir.path().join("flatfs");
    let idle = peak(Task::Idle, &root, 0);
    let ours = peak(Task::Batch, &root, count);
    let row = Row::new(title, goal, Unit::Bytes).figures(Some(idle), ours);
    vec![super::note_size(bench, row, &format!("{count} × 1 MiB"))]
}

pub(super) fn listing(bench: &Bench, title: &str) -> Vec<Row> {
    let count = bench.pick(1_000_000, 100_000);
    let goal = Goal::AtMost((32 * MIB) as f64);
    let (small, large) = match (bench.planted(10_000), bench.planted(count)) {
        (Ok(small), Ok(large)) => (small, large),
        (Err(why), _) | (_, Err(why)) => return vec![Row::skipped(title, goal, why)],
    };
    let idle = peak(Task::Idle, &small.root, 0);
    let few = peak(Task::List, &small.root, 10_000);
    let many = peak(Task::List, &large.root, count);
    let size = format!("{count} keys");
    let all = Row::new(title, goal, Unit::Bytes).figures(Some(idle), many);
    let goal = Goal::AtMost(few + SLACK);
    let grown = Row::new(&format!("{title}: growth"), goal, Unit::Bytes)
        .grown(few, many)
        .note("beside our own listing of 10,000");
    vec![super::note_size(bench, all, &size), grown]
}
