//! Reads of single blocks.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::harness::cached_calls::CachedCalls;
use crate::harness::comparison::{Comparison, Times, median};
use crate::harness::contender::{Access, Operation, time};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::row::{FLOOR, Goal, LIMIT, OURS, Row};
use crate::harness::stores::FilledStores;

/// What the limit of a read does.
const CACHED_CALLS: &str = "a plain loop of the calls that never wait for a disk";

pub(super) fn get(context: &Context, title: &str) -> Vec<Row> {
    row(
        context,
        title,
        Goal::Ratio(0.85),
        &context.env.multi,
        Operation::Get,
        1,
    )
}

pub(super) fn get_current(context: &Context, title: &str) -> Vec<Row> {
    row(
        context,
        title,
        Goal::Ratio(1.0),
        &context.env.current,
        Operation::Get,
        1,
    )
}

/// Notes the time of two plain threads, which is the limit of what two processors can do.
pub(super) fn get_at_once(context: &Context, title: &str) -> Vec<Row> {
    let mut rows = row(
        context,
        title,
        Goal::Ratio(0.5),
        &context.env.multi,
        Operation::Get,
        16,
    );
    let FilledStores { blocks, floor, .. } = context.filled();
    let rounds: Vec<f64> = (0..context.env.rounds())
        .map(|_| {
            let begin = Instant::now();
            blocks.by_threads(2, |name, _| {
                black_box(floor.get(name));
            });
            begin.elapsed().as_secs_f64() / blocks.len() as f64
        })
        .collect();
    let note = format!("two plain threads: {:.2} µs", median(&rounds) * 1e6);
    rows.iter_mut().for_each(|row| row.add_note(&note));
    rows
}

pub(super) fn has(context: &Context, title: &str) -> Vec<Row> {
    row(
        context,
        title,
        Goal::Ratio(1.3),
        &context.env.multi,
        Operation::Has,
        1,
    )
}

pub(super) fn has_current(context: &Context, title: &str) -> Vec<Row> {
    row(
        context,
        title,
        Goal::Ratio(1.3),
        &context.env.current,
        Operation::Has,
        1,
    )
}

pub(super) fn get_size(context: &Context, title: &str) -> Vec<Row> {
    row(
        context,
        title,
        Goal::Ratio(1.3),
        &context.env.multi,
        Operation::Size,
        1,
    )
}

pub(super) fn has_absent(context: &Context, title: &str) -> Vec<Row> {
    let runtime = &context.env.multi;
    row(
        context,
        title,
        Goal::Ratio(0.9),
        runtime,
        Operation::HasAbsent,
        1,
    )
}

pub(super) fn has_absent_current(context: &Context, title: &str) -> Vec<Row> {
    let runtime = &context.env.current;
    row(
        context,
        title,
        Goal::Ratio(0.9),
        runtime,
        Operation::HasAbsent,
        1,
    )
}

pub(super) fn get_large(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.pick(1_000, 200);
    let filled = FilledStores::new(&context.env, count, 256 * KIB);
    let times = comparison(context, &filled, &context.env.multi, Operation::Get, 1);
    let mut row = Row::of_comparison(title, Goal::Ratio(1.15), &times);
    row.note_limit(&times, CACHED_CALLS);
    vec![row]
}

pub(super) fn get_many(context: &Context, title: &str) -> Vec<Row> {
    many(
        context,
        title,
        Goal::Ratio(1.0),
        Access::GetMany,
        Operation::Get,
    )
}

pub(super) fn has_many(context: &Context, title: &str) -> Vec<Row> {
    many(
        context,
        title,
        Goal::Ratio(1.3),
        Access::HasMany,
        Operation::Has,
    )
}

/// Reads all blocks of a store with one call, which other stores do not have.
fn many(
    context: &Context,
    title: &str,
    goal: Goal,
    access: Access,
    operation: Operation,
) -> Vec<Row> {
    let FilledStores {
        blocks,
        floor,
        ours,
        ..
    } = context.filled();
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let begin = Instant::now();
        read_all(floor, blocks, operation);
        begin.elapsed()
    });
    comparison.add(OURS, || time(&context.env.multi, ours, blocks, access));
    let times = comparison.run(context.env.rounds(), blocks.len());
    let size = format!("{} blocks", blocks.len());
    vec![note_size(
        context,
        Row::of_comparison(title, goal, &times),
        &size,
    )]
}

pub(super) fn has_never_asked(context: &Context, title: &str) -> Vec<Row> {
    never_asked(context, title, Operation::HasAbsent)
}

pub(super) fn get_never_asked(context: &Context, title: &str) -> Vec<Row> {
    never_asked(context, title, Operation::GetAbsent)
}

/// Looks up absent blocks, each of them once, so that no cache of the kernel has its name.
fn never_asked(context: &Context, title: &str, operation: Operation) -> Vec<Row> {
    static NEXT: AtomicUsize = AtomicUsize::new(1 << 40);
    let FilledStores {
        floor,
        ours,
        peers,
        blocks,
        ..
    } = context.filled();
    let count = blocks.len();
    let fresh = || {
        let first = NEXT.fetch_add(count, Ordering::Relaxed);
        Arc::new(Blocks::new(first..first + count, 0))
    };
    let access = Access::Each(operation, 1);
    let runtime = &context.env.multi;
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let blocks = fresh();
        let begin = Instant::now();
        read_all(floor, &blocks, operation);
        begin.elapsed()
    });
    comparison.add(OURS, || time(runtime, ours, &fresh(), access));
    for (name, peer) in peers {
        comparison.add(name, || time(runtime, peer, &fresh(), access));
    }
    let times = comparison.run(context.env.rounds(), count);
    vec![Row::of_comparison(title, Goal::Ratio(0.35), &times)]
}

pub(super) fn has_forgotten(context: &Context, title: &str) -> Vec<Row> {
    forgotten(context, title, Operation::Has)
}

pub(super) fn get_forgotten(context: &Context, title: &str) -> Vec<Row> {
    forgotten(context, title, Operation::Get)
}

/// Reads blocks that are not in the kernel's caches.
fn forgotten(context: &Context, title: &str, operation: Operation) -> Vec<Row> {
    // Such a read takes a job on the blocking pool, and then the disk.
    const GOAL: Goal = Goal::Ratio(f64::INFINITY);
    if !empty_caches() {
        return vec![Row::skipped(
            title,
            GOAL,
            "emptying the kernel's caches needs root",
        )];
    }
    let FilledStores {
        floor,
        ours,
        blocks,
        ..
    } = context.filled();
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        empty_caches();
        let begin = Instant::now();
        read_all(floor, blocks, operation);
        begin.elapsed()
    });
    comparison.add(OURS, || {
        empty_caches();
        time(&context.env.multi, ours, blocks, Access::Each(operation, 1))
    });
    let times = comparison.run(context.env.few_rounds(), blocks.len());
    vec![Row::of_comparison(title, GOAL, &times)]
}

/// Empties the kernel's caches of names, inodes and file contents.
fn empty_caches() -> bool {
    // What is not written back yet can't be dropped.
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

fn row(
    context: &Context,
    title: &str,
    goal: Goal,
    runtime: &Runtime,
    operation: Operation,
    tasks: usize,
) -> Vec<Row> {
    let filled = context.filled();
    let times = comparison(context, filled, runtime, operation, tasks);
    let mut row = Row::of_comparison(title, goal, &times);
    row.note_limit(&times, CACHED_CALLS);
    let size = format!("{} blocks", filled.blocks.len());
    vec![note_size(context, row, &size)]
}

fn comparison(
    context: &Context,
    filled: &FilledStores,
    runtime: &Runtime,
    operation: Operation,
    tasks: usize,
) -> Times {
    let blocks = match operation {
        Operation::HasAbsent => &filled.absent,
        _ => &filled.blocks,
    };
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let begin = Instant::now();
        read_all(&filled.floor, blocks, operation);
        begin.elapsed()
    });
    let access = Access::Each(operation, tasks);
    comparison.add(OURS, || time(runtime, &filled.ours, blocks, access));
    if tasks == 1 && matches!(operation, Operation::Get | Operation::Has | Operation::Size) {
        let calls = CachedCalls::over(filled.floor.root());
        comparison.add(LIMIT, move || {
            let begin = Instant::now();
            for name in &blocks.names {
                let size = match operation {
                    Operation::Get => calls.get(name),
                    _ => calls.size(name),
                };
                assert_eq!(size, blocks.size());
            }
            begin.elapsed()
        });
    }
    if operation != Operation::Size {
        for (name, peer) in &filled.peers {
            comparison.add(name, || time(runtime, peer, blocks, access));
        }
    }
    comparison.run(context.env.rounds(), blocks.len())
}

fn read_all(floor: &Floor, blocks: &Arc<Blocks>, operation: Operation) {
    for name in &blocks.names {
        match operation {
            Operation::Get => assert_eq!(black_box(floor.get(name)).len(), blocks.size()),
            Operation::HasAbsent => assert!(!floor.has(name)),
            Operation::GetAbsent => assert!(floor.get_absent(name)),
            _ => assert!(floor.has(name)),
        }
    }
}
