//! Reads of single blocks.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::program::bench::{Bench, KIB};
use crate::program::race::{Race, Times, median};
use crate::program::row::{FLOOR, Goal, OURS, Row};
use crate::program::stores::Filled;
use crate::program::subject::{Job, Verb, time};

pub(super) fn get(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, Goal::Ratio(1.0), &bench.multi, Verb::Get, 1)
}

pub(super) fn get_current(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, Goal::Ratio(1.0), &bench.current, Verb::Get, 1)
}

/// With what two plain threads take: nobody can be faster than the processors are side by side.
pub(super) fn get_at_once(bench: &Bench, title: &str) -> Vec<Row> {
    let mut rows = row(bench, title, Goal::Ratio(0.6), &bench.multi, Verb::Get, 16);
    let Filled { blocks, floor, .. } = bench.filled();
    let rounds: Vec<f64> = (0..bench.rounds())
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

pub(super) fn has(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, Goal::Ratio(1.3), &bench.multi, Verb::Has, 1)
}

pub(super) fn has_current(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, Goal::Ratio(1.3), &bench.current, Verb::Has, 1)
}

pub(super) fn get_size(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, Goal::Ratio(1.3), &bench.multi, Verb::Size, 1)
}

pub(super) fn has_not(bench: &Bench, title: &str) -> Vec<Row> {
    let runtime = &bench.multi;
    row(bench, title, Goal::Ratio(0.9), runtime, Verb::HasNot, 1)
}

pub(super) fn has_not_current(bench: &Bench, title: &str) -> Vec<Row> {
    let runtime = &bench.current;
    row(bench, title, Goal::Ratio(0.9), runtime, Verb::HasNot, 1)
}

pub(super) fn get_large(bench: &Bench, title: &str) -> Vec<Row> {
    let count = bench.pick(1_000, 200);
    let filled = Filled::new(bench, count, 256 * KIB);
    let times = race(bench, &filled, &bench.multi, Verb::Get, 1);
    vec![Row::of_race(title, Goal::Ratio(1.2), &times)]
}

pub(super) fn get_many(bench: &Bench, title: &str) -> Vec<Row> {
    many(bench, title, Goal::Ratio(1.0), Job::GetMany, Verb::Get)
}

pub(super) fn has_many(bench: &Bench, title: &str) -> Vec<Row> {
    many(bench, title, Goal::Ratio(1.3), Job::HasMany, Verb::Has)
}

/// All blocks of a store by one call. Only ours has such a call.
fn many(bench: &Bench, title: &str, goal: Goal, job: Job, verb: Verb) -> Vec<Row> {
    let Filled {
        blocks,
        floor,
        ours,
        ..
    } = bench.filled();
    let mut race = Race::default();
    race.enter(FLOOR, || {
        let begin = Instant::now();
        read_all(floor, blocks, verb);
        begin.elapsed()
    });
    race.enter(OURS, || time(&bench.multi, ours, blocks, job));
    let times = race.run(bench.rounds(), blocks.len());
    let size = format!("{} blocks", blocks.len());
    vec![note_size(bench, Row::of_race(title, goal, &times), &size)]
}

fn row(
    bench: &Bench,
    title: &str,
    goal: Goal,
    runtime: &Runtime,
    verb: Verb,
    tasks: usize,
) -> Vec<Row> {
    let filled = bench.filled();
    let times = race(bench, filled, runtime, verb, tasks);
    let row = Row::of_race(title, goal, &times);
    let size = format!("{} blocks", filled.blocks.len());
    vec![note_size(bench, row, &size)]
}

fn race(bench: &Bench, filled: &Filled, runtime: &Runtime, verb: Verb, tasks: usize) -> Times {
    let blocks = match verb {
        Verb::HasNot => &filled.absent,
        _ => &filled.blocks,
    };
    let mut race = Race::default();
    race.enter(FLOOR, || {
        let begin = Instant::now();
        read_all(&filled.floor, blocks, verb);
        begin.elapsed()
    });
    let job = Job::Each(verb, tasks);
    race.enter(OURS, || time(runtime, &filled.ours, blocks, job));
    if verb != Verb::Size {
        for (name, peer) in &filled.peers {
            race.enter(name, || time(runtime, peer, blocks, job));
        }
    }
    race.run(bench.rounds(), blocks.len())
}

fn read_all(floor: &Floor, blocks: &Arc<Blocks>, verb: Verb) {
    for name in &blocks.names {
        match verb {
            Verb::Get => assert_eq!(black_box(floor.get(name)).len(), blocks.size()),
            Verb::HasNot => assert!(!floor.has(name)),
            _ => assert!(floor.has(name)),
        }
    }
}
