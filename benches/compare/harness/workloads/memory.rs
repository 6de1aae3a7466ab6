//! Peak memory. The floor is the peak of a process that only opens and closes the store.

use crate::harness::context::Context;
use crate::harness::environment::MIB;
use crate::harness::peak_memory::{MemoryTask, peak};
use crate::harness::row::{Goal, Row, Unit};

/// The difference between two runs of the same task. A store with all keys in memory would need much more.
const SLACK: f64 = (4 * MIB) as f64;

pub(super) fn batch(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.pick(4_000, 400);
    let goal = Goal::AtMost((16 * MIB + 24 * MIB) as f64);
    if let Err(why) = context
        .env
        .check_space(((count + 256) * MIB) as u64, count as u64 + 2_000)
    {
        return vec![Row::skipped(title, goal, why)];
    }
    let dir = context.env.scratch();
    let root = dir.path().join("flatfs");
    let idle = peak(MemoryTask::Idle, &root, 0);
    let ours = peak(MemoryTask::Batch, &root, count);
    let row = Row::new(title, goal, Unit::Bytes).figures(Some(idle), ours);
    vec![super::note_size(context, row, &format!("{count} × 1 MiB"))]
}

pub(super) fn listing(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.pick(1_000_000, 100_000);
    let goal = Goal::AtMost((32 * MIB) as f64);
    let (small, large) = match (context.planted(10_000), context.planted(count)) {
        (Ok(small), Ok(large)) => (small, large),
        (Err(why), _) | (_, Err(why)) => return vec![Row::skipped(title, goal, why)],
    };
    let idle = peak(MemoryTask::Idle, &small.root, 0);
    let few = peak(MemoryTask::List, &small.root, 10_000);
    let many = peak(MemoryTask::List, &large.root, count);
    let size = format!("{count} keys");
    let all = Row::new(title, goal, Unit::Bytes).figures(Some(idle), many);
    let goal = Goal::AtMost(few + SLACK);
    let grown = Row::new(&format!("{title}: growth"), goal, Unit::Bytes)
        .grown(few, many)
        .note("compared with our own listing of 10,000");
    vec![super::note_size(context, all, &size), grown]
}
