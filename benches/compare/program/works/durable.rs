//! Writes that survive a power cut, and what they ask of the journal.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ds_flatfs::Durability;

use crate::common::{Blocks, Floor};
use crate::program::bench::{Bench, KIB};
use crate::program::journal::Journal;
use crate::program::race::{Race, median};
use crate::program::row::{FLOOR, Goal, OURS, Row, Unit};
use crate::program::stores::{create, options};
use crate::program::subject::{Job, Verb, time};

/// How many times the floor, and how many journal commits a block.
struct Goals(f64, f64);

pub(super) fn batch(bench: &Bench, title: &str) -> Vec<Row> {
    let blocks = Arc::new(Blocks::new(0..3_000, 4 * KIB));
    rows(
        bench,
        title,
        Goals(0.45, 0.01),
        &blocks,
        Job::Batch,
        |floor, blocks| {
            floor.batch_durably_by(2, blocks);
        },
    )
}

pub(super) fn put(bench: &Bench, title: &str) -> Vec<Row> {
    let blocks = Arc::new(Blocks::new(0..bench.pick(3_000, 1_000), 4 * KIB));
    let job = Job::Each(Verb::Put, 16);
    rows(
        bench,
        title,
        Goals(0.6, 0.3),
        &blocks,
        job,
        |floor, blocks| {
            floor.put_durably_by(16, blocks);
        },
    )
}

fn rows(
    bench: &Bench,
    title: &str,
    Goals(ratio, commits): Goals,
    blocks: &Arc<Blocks>,
    job: Job,
    floor: impl Fn(&Floor, &Blocks),
) -> Vec<Row> {
    let journal = Journal::of(bench.dir());
    let (by_floor, by_ours) = (Count::new(journal.as_ref()), Count::new(journal.as_ref()));
    let mut race = Race::default();
    race.enter(FLOOR, || {
        let dir = bench.scratch();
        let place = Floor::new(dir.path());
        by_floor.during(|| {
            let begin = Instant::now();
            floor(&place, blocks);
            begin.elapsed()
        })
    });
    race.enter(OURS, || {
        let dir = bench.scratch();
        let options = options().durability(Durability::EveryWrite);
        let store = create(&bench.multi, dir.path(), options);
        by_ours.during(|| time(&bench.multi, &store, blocks, job))
    });
    let times = race.run(bench.few_rounds(), blocks.len());
    let timed = Row::of_race(title, Goal::Ratio(ratio), &times);
    let title = format!("{title}: journal commits a block");
    let goal = Goal::AtMost(commits);
    let counted = match (by_floor.median(), by_ours.median()) {
        (Some(floor), Some(ours)) => {
            let a_block = |commits: f64| commits / blocks.len() as f64;
            Row::new(&title, goal, Unit::Number).figures(Some(a_block(floor)), a_block(ours))
        }
        _ => Row::skipped(&title, goal, "no journal of an ext4 to be watched here"),
    };
    vec![timed, counted]
}

/// The commits of the journal in each round.
struct Count<'a> {
    journal: Option<&'a Journal>,
    rounds: RefCell<Vec<f64>>,
}

impl<'a> Count<'a> {
    fn new(journal: Option<&'a Journal>) -> Self {
        Count {
            journal,
            rounds: RefCell::default(),
        }
    }

    fn during(&self, work: impl FnOnce() -> Duration) -> Duration {
        let commits = || self.journal.and_then(Journal::commits);
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
