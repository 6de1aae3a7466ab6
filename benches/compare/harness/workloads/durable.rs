//! Durable writes, and the journal commits that they cause.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ds_flatfs::Durability;

use crate::common::{Blocks, Floor};
use crate::harness::comparison::{Comparison, median};
use crate::harness::contender::{Access, Operation, time};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::fs_journal::FsJournal;
use crate::harness::row::{FLOOR, Goal, LIMIT, OURS, Row, Unit};
use crate::harness::stores::{create, options};

/// The goals as a multiple of the floor and as journal commits per block.
struct Goals(f64, f64);

pub(super) fn batch(context: &Context, title: &str) -> Vec<Row> {
    let blocks = Arc::new(Blocks::new(0..3_000, 4 * KIB));
    rows(
        context,
        title,
        Goals(0.3, 0.01),
        &blocks,
        Access::Batch,
        |floor, blocks| floor.batch_durably_by(2, blocks),
    )
}

pub(super) fn put(context: &Context, title: &str) -> Vec<Row> {
    let blocks = Arc::new(Blocks::new(0..context.env.pick(3_000, 1_000), 4 * KIB));
    let access = Access::Each(Operation::Put, 16);
    let floor = |floor: &Floor, blocks: &Blocks| floor.put_durably_by(16, blocks);
    rows(context, title, Goals(0.8, 0.2), &blocks, access, floor)
}

fn rows(
    context: &Context,
    title: &str,
    Goals(ratio, commits): Goals,
    blocks: &Arc<Blocks>,
    access: Access,
    floor: impl Fn(&Floor, &Blocks),
) -> Vec<Row> {
    let journal = FsJournal::of(context.env.dir());
    let (by_floor, by_ours) = (
        CommitCounter::new(journal.as_ref()),
        CommitCounter::new(journal.as_ref()),
    );
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let dir = context.env.scratch();
        let files = Floor::new(dir.path());
        by_floor.during(|| {
            let begin = Instant::now();
            floor(&files, blocks);
            begin.elapsed()
        })
    });
    comparison.add(OURS, || {
        let dir = context.env.scratch();
        let options = options().durability(Durability::EveryWrite);
        let store = create(&context.env.multi, dir.path(), options);
        by_ours.during(|| time(&context.env.multi, &store, blocks, access))
    });
    comparison.add(LIMIT, || {
        let dir = context.env.scratch();
        let files = Floor::new(dir.path());
        let begin = Instant::now();
        files.put_durably_with_names_by(16, blocks);
        begin.elapsed()
    });
    let times = comparison.run(context.env.few_rounds(), blocks.len());
    let mut timed = Row::of_comparison(title, Goal::Ratio(ratio), &times);
    timed.note_limit(
        &times,
        "16 threads that flush the names as well, as the store does",
    );
    let title = format!("{title}: journal commits per block");
    let goal = Goal::AtMost(commits);
    let counted = match (by_floor.median(), by_ours.median()) {
        (Some(floor), Some(ours)) => {
            let per_block = |commits: f64| commits / blocks.len() as f64;
            Row::new(&title, goal, Unit::Number).figures(Some(per_block(floor)), per_block(ours))
        }
        _ => Row::skipped(&title, goal, "no ext4 journal with visible commits here"),
    };
    vec![timed, counted]
}

/// Counts the commits of the journal in each round.
struct CommitCounter<'a> {
    journal: Option<&'a FsJournal>,
    rounds: RefCell<Vec<f64>>,
}

impl<'a> CommitCounter<'a> {
    fn new(journal: Option<&'a FsJournal>) -> Self {
        CommitCounter {
            journal,
            rounds: RefCell::default(),
        }
    }

    fn during(&self, work: impl FnOnce() -> Duration) -> Duration {
        let commits = || self.journal.and_then(FsJournal::commits);
        let before = commits();
        let time = work();
        if let (Some(before), Some(after)) = (before, commits()) {
            let mut rounds = self.rounds.borrow_mut();
            rounds.push(after.saturating_sub(before) as f64);
        }
        time
    }

    fn median(&self) -> Option<f64> {
        let rounds = self.rounds.borrow();
        (!rounds.is_empty()).then(|| median(&rounds))
    }
}
