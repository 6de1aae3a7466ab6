//! Writes that are not made durable. Each round begins with an empty directory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ds_flatfs::ExistingBlock;
use tokio::runtime::Runtime;

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::harness::bare_queue::QueuedFiles;
use crate::harness::comparison::{Comparison, median};
use crate::harness::contender::{Access, Contender, Operation, time};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::row::{FLOOR, Goal, LIMIT, OURS, Row};
use crate::harness::stores::{create, options};

pub(super) fn put(context: &Context, title: &str) -> Vec<Row> {
    puts(context, title, &context.env.multi)
}

pub(super) fn put_current(context: &Context, title: &str) -> Vec<Row> {
    puts(context, title, &context.env.current)
}

fn puts(context: &Context, title: &str, runtime: &Runtime) -> Vec<Row> {
    let workload = WriteWorkload::small(context, runtime, Access::Each(Operation::Put, 1));
    let rows = workload.row(title, Goal::Ratio(1.6), put_all);
    with_hop(context, runtime, rows)
}

/// Notes the time of an empty job on the blocking pool: a lone write needs one, because it may wait for the disk.
fn with_hop(context: &Context, runtime: &Runtime, mut rows: Vec<Row>) -> Vec<Row> {
    let hops: Vec<f64> = (0..context.env.rounds())
        .map(|_| time_hop(runtime))
        .collect();
    let note = format!(
        "an empty job on the blocking pool and back: {:.2} µs",
        median(&hops) * 1e6
    );
    rows.iter_mut().for_each(|row| row.add_note(&note));
    rows
}

/// Returns the time of an empty job on the blocking pool, in seconds.
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

pub(super) fn put_at_once(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload::small(
        context,
        &context.env.multi,
        Access::Each(Operation::Put, 16),
    );
    workload.row(title, Goal::Ratio(1.2), |floor, blocks| {
        floor.put_by(2, blocks);
    })
}

/// Our store has the blocks already, and only looks them up. The floor writes them.
pub(super) fn put_existing(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload {
        begins_full: true,
        ..WriteWorkload::small(context, &context.env.multi, Access::Each(Operation::Put, 1))
    };
    workload.row(title, Goal::Ratio(0.25), put_all)
}

/// The store compares the blocks, which are equal, and writes nothing. The floor writes and renames.
pub(super) fn put_over(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload {
        begins_full: true,
        existing_block: ExistingBlock::Overwrite,
        ..WriteWorkload::small(context, &context.env.multi, Access::Each(Operation::Put, 1))
    };
    workload.row(title, Goal::Ratio(1.6), put_all)
}

pub(super) fn put_large(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload::large(context, Access::Each(Operation::Put, 1));
    workload.row(title, Goal::Ratio(1.3), put_all)
}

pub(super) fn put_large_at_once(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload::large(context, Access::Each(Operation::Put, 16));
    workload.row(title, Goal::Ratio(1.1), |floor, blocks| {
        floor.put_by(2, blocks);
    })
}

pub(super) fn delete_one(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload {
        begins_full: true,
        ..WriteWorkload::small(
            context,
            &context.env.multi,
            Access::Each(Operation::Delete, 1),
        )
    };
    let rows = workload.row(title, Goal::Ratio(4.0), |floor, blocks| {
        blocks.names.iter().for_each(|name| floor.delete(name));
    });
    with_hop(context, &context.env.multi, rows)
}

pub(super) fn delete(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload {
        begins_full: true,
        ..WriteWorkload::small(
            context,
            &context.env.multi,
            Access::Each(Operation::Delete, 16),
        )
    };
    workload.row(title, Goal::Ratio(1.8), |floor, blocks| {
        blocks.by_threads(2, |name, _| floor.delete(name));
    })
}

pub(super) fn batch(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload::small(context, &context.env.multi, Access::Batch);
    workload.row(title, Goal::Ratio(1.05), |floor, blocks| {
        floor.batch_by(2, blocks);
    })
}

pub(super) fn batch_large(context: &Context, title: &str) -> Vec<Row> {
    let workload = WriteWorkload::large(context, Access::Batch);
    workload.row(title, Goal::Ratio(1.2), |floor, blocks| {
        floor.batch_by(2, blocks);
    })
}

fn put_all(floor: &Floor, blocks: &Blocks) {
    for (index, name) in blocks.names.iter().enumerate() {
        floor.put(name, &blocks.value(index));
    }
}

struct WriteWorkload<'a> {
    context: &'a Context,
    runtime: &'a Runtime,
    blocks: Arc<Blocks>,
    access: Access,
    /// Whether the stores have the blocks before the measurement.
    begins_full: bool,
    /// What our store does with blocks that are there.
    existing_block: ExistingBlock,
    rounds: usize,
}

impl<'a> WriteWorkload<'a> {
    /// Returns a workload of 4 KiB blocks and empty stores.
    fn small(context: &'a Context, runtime: &'a Runtime, access: Access) -> Self {
        WriteWorkload {
            context,
            runtime,
            blocks: Arc::new(Blocks::new(0..context.env.block_count(), 4 * KIB)),
            access,
            begins_full: false,
            existing_block: ExistingBlock::Keep,
            rounds: context.env.rounds(),
        }
    }

    /// Returns a workload of 256 KiB blocks and empty stores.
    fn large(context: &'a Context, access: Access) -> Self {
        let count = context.env.pick(2_000, 200);
        WriteWorkload {
            blocks: Arc::new(Blocks::new(0..count, 256 * KIB)),
            rounds: context.env.few_rounds(),
            ..WriteWorkload::small(context, &context.env.multi, access)
        }
    }

    fn row(&self, title: &str, goal: Goal, work: impl Fn(&Floor, &Blocks)) -> Vec<Row> {
        let mut comparison = Comparison::default();
        comparison.add(FLOOR, || self.time_floor(&work));
        comparison.add(OURS, || {
            let options = match self.is_put() && self.begins_full {
                true => options().existing_block(self.existing_block),
                false => options(),
            };
            self.time_in_new(|dir| create(self.runtime, dir, options))
        });
        // Other stores have no option to skip existing blocks.
        if !(self.is_put() && self.begins_full) {
            for kind in self.context.env.peers {
                comparison.add(kind.name, || {
                    self.time_in_new(|dir| self.runtime.block_on((kind.create)(dir)))
                });
            }
        }
        match self.access {
            Access::Each(_, 2..) => {
                comparison.add(LIMIT, || self.time_in_new(QueuedFiles::new));
            }
            Access::Batch => {
                comparison.add(LIMIT, || {
                    self.time_floor(|floor: &Floor, blocks: &Blocks| {
                        floor.batch_with_links_by(2, blocks)
                    })
                });
            }
            _ => {}
        }
        let times = comparison.run(self.rounds, self.blocks.len());
        let mut row = Row::of_comparison(title, goal, &times);
        let limit = match self.access {
            Access::Batch => "the floor with links, after which a crash can be repaired",
            _ => "the floor behind a queue, awaited by the tasks",
        };
        row.note_limit(&times, limit);
        let size = format!("{} blocks", self.blocks.len());
        vec![note_size(self.context, row, &size)]
    }

    fn is_put(&self) -> bool {
        matches!(self.access, Access::Each(Operation::Put, _))
    }

    fn time_floor(&self, work: impl Fn(&Floor, &Blocks)) -> Duration {
        let dir = self.context.env.scratch();
        let floor = Floor::new(dir.path());
        if self.begins_full {
            put_all(&floor, &self.blocks);
        }
        let begin = Instant::now();
        work(&floor, &self.blocks);
        begin.elapsed()
    }

    fn time_in_new<S: Contender>(&self, create: impl FnOnce(&Path) -> S) -> Duration {
        let dir = self.context.env.scratch();
        let store = create(dir.path());
        if self.begins_full {
            time(self.runtime, &store, &self.blocks, Access::Batch);
        }
        time(self.runtime, &store, &self.blocks, self.access)
    }
}
