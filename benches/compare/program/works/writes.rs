//! Writes that nobody makes durable. Each round begins with an empty directory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ds_flatfs::ExistingBlock;
use tokio::runtime::Runtime;

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::program::bench::{Bench, KIB};
use crate::program::race::{Race, median};
use crate::program::row::{FLOOR, Goal, OURS, Row};
use crate::program::stores::{create, options};
use crate::program::subject::{Job, Subject, Verb, time};

pub(super) fn put(bench: &Bench, title: &str) -> Vec<Row> {
    puts(bench, title, &bench.multi)
}

pub(super) fn put_current(bench: &Bench, title: &str) -> Vec<Row> {
    puts(bench, title, &bench.current)
}

/// With what the way to the blocking pool and back takes: a put has to go it, since it may wait for a disk.
fn puts(bench: &Bench, title: &str, runtime: &Runtime) -> Vec<Row> {
    let contest = Contest::small(bench, runtime, Job::Each(Verb::Put, 1));
    let mut rows = contest.row(title, Goal::Ratio(1.6), put_all);
    let hops: Vec<f64> = (0..bench.rounds()).map(|_| time_hop(runtime)).collect();
    let note = format!(
        "an empty job on the blocking pool and back: {:.2} µs",
        median(&hops) * 1e6
    );
    rows.iter_mut().for_each(|row| row.add_note(&note));
    rows
}

/// In seconds.
fn time_hop(runtime: &Runtime) -> f64 {
    const HOPS: u32 = 5_000;
    let task = runtime.spawn(async {
        let begin = Instant::now();
        for _ in 0..HOPS {
            tokio::task::spawn_blocking(|| ()).await.expect("a job");
        }
        begin.elapsed()
    });
    let time = runtime.block_on(task).expect("a task");
    time.as_secs_f64() / f64::from(HOPS)
}

pub(super) fn put_at_once(bench: &Bench, title: &str) -> Vec<Row> {
    let contest = Contest::small(bench, &bench.multi, Job::Each(Verb::Put, 16));
    contest.row(title, Goal::Ratio(1.15), |floor, blocks| {
        floor.put_by(2, blocks);
    })
}

/// Our store has the blocks, and finds that. The floor is that of a put, which writes them.
pub(super) fn put_kept(bench: &Bench, title: &str) -> Vec<Row> {
    let contest = Contest {
        begins_full: true,
        ..Contest::small(bench, &bench.multi, Job::Each(Verb::Put, 1))
    };
    contest.row(title, Goal::Ratio(0.25), put_all)
}

pub(super) fn delete(bench: &Bench, title: &str) -> Vec<Row> {
    let contest = Contest {
        begins_full: true,
        ..Contest::small(bench, &bench.multi, Job::Each(Verb::Delete, 16))
    };
    contest.row(title, Goal::Ratio(1.2), |floor, blocks| {
        blocks.names.iter().for_each(|name| floor.delete(name));
    })
}

pub(super) fn batch(bench: &Bench, title: &str) -> Vec<Row> {
    let contest = Contest::small(bench, &bench.multi, Job::Batch);
    contest.row(title, Goal::Ratio(1.2), |floor, blocks| {
        floor.batch_by(2, blocks);
    })
}

pub(super) fn batch_large(bench: &Bench, title: &str) -> Vec<Row> {
    let count = bench.pick(2_000, 200);
    let contest = Contest {
        blocks: Arc::new(Blocks::new(0..count, 256 * KIB)),
        rounds: bench.few_rounds(),
        ..Contest::small(bench, &bench.multi, Job::Batch)
    };
    contest.row(title, Goal::Ratio(1.2), |floor, blocks| {
        floor.batch_by(2, blocks);
    })
}

fn put_all(floor: &Floor, blocks: &Blocks) {
    for (index, name) in blocks.names.iter().enumerate() {
        floor.put(name, &blocks.value(index));
    }
}

struct Contest<'a> {
    bench: &'a Bench,
    runtime: &'a Runtime,
    blocks: Arc<Blocks>,
    job: Job,
    /// Whether the stores have the blocks before the work begins.
    begins_full: bool,
    rounds: usize,
}

impl<'a> Contest<'a> {
    /// Of 4 KiB blocks and empty stores.
    fn small(bench: &'a Bench, runtime: &'a Runtime, job: Job) -> Self {
        Contest {
            bench,
            runtime,
            blocks: Arc::new(Blocks::new(0..bench.many(), 4 * KIB)),
            job,
            begins_full: false,
            rounds: bench.rounds(),
        }
    }

    fn row(&self, title: &str, goal: Goal, work: impl Fn(&Floor, &Blocks)) -> Vec<Row> {
        let mut race = Race::default();
        race.enter(FLOOR, || self.time_floor(&work));
        race.enter(OURS, || {
            let keep = self.is_put() && self.begins_full;
            let options = match keep {
                true => options().existing_block(ExistingBlock::Keep),
                false => options(),
            };
            self.time_in_new(|dir| create(self.runtime, dir, options))
        });
        // They have no such policy.
        if !(self.is_put() && self.begins_full) {
            for kind in self.bench.peers {
                race.enter(kind.name, || {
                    self.time_in_new(|dir| self.runtime.block_on((kind.create)(dir)))
                });
            }
        }
        let times = race.run(self.rounds, self.blocks.len());
        let row = Row::of_race(title, goal, &times);
        let size = format!("{} blocks", self.blocks.len());
        vec![note_size(self.bench, row, &size)]
    }

    fn is_put(&self) -> bool {
        matches!(self.job, Job::Each(Verb::Put, _))
    }

    fn time_floor(&self, work: impl Fn(&Floor, &Blocks)) -> Duration {
        let dir = self.bench.scratch();
        let floor = Floor::new(dir.path());
        if self.begins_full && !self.is_put() {
            put_all(&floor, &self.blocks);
        }
        let begin = Instant::now();
        work(&floor, &self.blocks);
        begin.elapsed()
    }

    fn time_in_new<S: Subject>(&self, create: impl FnOnce(&Path) -> S) -> Duration {
        let dir = self.bench.scratch();
        let store = create(dir.path());
        if self.begins_full {
            time(self.runtime, &store, &self.blocks, Job::Batch);
        }
        time(self.runtime, &store, &self.blocks, self.job)
    }
}
