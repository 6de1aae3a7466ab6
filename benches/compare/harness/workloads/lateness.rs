//! How late a timer of a millisecond fires while 16 tasks put blocks: what other tasks of the runtime notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::Blocks;
use crate::harness::contender::{Access, Contender, Operation, time};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::plain_files::{Calls, PlainFiles};
use crate::harness::row::{Goal, Row, Unit};
use crate::harness::stores::{create, options};

const PERIOD: Duration = Duration::from_millis(1);
const GOAL: Goal = Goal::AtMost(3e-3);

pub(super) fn beside_small(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.block_count();
    row(context, title, &Arc::new(Blocks::new(0..count, 4 * KIB)))
}

pub(super) fn beside_large(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.pick(2_000, 400);
    row(context, title, &Arc::new(Blocks::new(0..count, 256 * KIB)))
}

/// The floor makes the same calls in the task.
fn row(context: &Context, title: &str, blocks: &Arc<Blocks>) -> Vec<Row> {
    let runtime = &context.env.multi;
    let plain = |calls| {
        Lateness::beside(context, blocks, || {
            let dir = context.env.scratch();
            (PlainFiles::new(dir.path(), calls), dir)
        })
    };
    let in_place = plain(Calls::InPlace);
    let tokio_fs = plain(Calls::TokioFs);
    let ours = Lateness::beside(context, blocks, || {
        let dir = context.env.scratch();
        (create(runtime, dir.path(), options()), dir)
    });
    let mut row = Row::new(title, GOAL, Unit::Time).figures(Some(in_place.p99()), ours.p99());
    row.add_note(&format!(
        "p99; p50 and max: ours {}, in the task {}, tokio::fs {} (p99 {})",
        ours.show(),
        in_place.show(),
        tokio_fs.show(),
        millis(tokio_fs.p99()),
    ));
    for kind in context.env.peers {
        let peer = Lateness::beside(context, blocks, || {
            let dir = context.env.scratch();
            (runtime.block_on((kind.create)(dir.path())), dir)
        });
        row.peers.push((kind.name, peer.p99()));
    }
    vec![row]
}

/// How late the timer was, in seconds, in ascending order.
struct Lateness(Vec<f64>);

impl Lateness {
    /// Measures the timer while blocks are put into several new stores.
    fn beside<S: Contender, D>(
        context: &Context,
        blocks: &Arc<Blocks>,
        create: impl Fn() -> (S, D),
    ) -> Self {
        let mut all = Vec::new();
        for _ in 0..context.env.few_rounds() {
            let (store, _dir) = create();
            let stop = Arc::new(AtomicBool::new(false));
            let timer = context.env.multi.spawn(run_timer(Arc::clone(&stop)));
            let access = Access::Each(Operation::Put, 16);
            time(&context.env.multi, &store, blocks, access);
            stop.store(true, Ordering::Relaxed);
            all.extend(context.env.multi.block_on(timer).expect("a timer"));
        }
        all.sort_by(f64::total_cmp);
        Lateness(all)
    }

    fn p99(&self) -> f64 {
        self.at(0.99)
    }

    fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.0.get(index).copied().unwrap_or(0.0)
    }

    fn show(&self) -> String {
        format!("{} … {}", millis(self.at(0.5)), millis(self.at(1.0)))
    }
}

fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

async fn run_timer(stop: Arc<AtomicBool>) -> Vec<f64> {
    let mut late = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + PERIOD;
        tokio::time::sleep_until(due.into()).await;
        late.push(due.elapsed().as_secs_f64());
    }
    late
}
