//! The cost of operations in a large store compared with a small one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ds_flatfs::Datastore;

use crate::common::{Blocks, Floor};
use crate::harness::comparison::Comparison;
use crate::harness::contender::{Access, Operation, time};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::row::{Goal, Row, Unit};
use crate::harness::stores::{PROBES, PlantedStore};

const SMALL: usize = PROBES;
const LARGE: usize = 1_000_000;
const GOAL: Goal = Goal::Ratio(1.3);

/// The floor of these rows is our own small store. The note says how the plain loop grows.
pub(super) fn all(context: &Context, title: &str) -> Vec<Row> {
    if context.env.quick {
        return vec![Row::skipped(title, GOAL, "not part of a quick run")];
    }
    let (small, large) = match (context.planted(SMALL), context.planted(LARGE)) {
        (Ok(small), Ok(large)) => (small, large),
        (Err(reason), _) | (_, Err(reason)) => return vec![Row::skipped(title, GOAL, reason)],
    };
    let small = SizedStore::new(context, &small);
    let large = SizedStore::new(context, &large);
    let rows = [
        ("get", Operation::Get),
        ("has", Operation::Has),
        ("put", Operation::Put),
    ]
    .map(|(name, operation)| {
        row(
            context,
            &format!("{title}: {name}"),
            operation,
            &small,
            &large,
        )
    });
    for sized in [small, large] {
        context
            .env
            .multi
            .block_on(sized.store.close())
            .expect("a close");
    }
    rows.into()
}

struct SizedStore {
    store: Arc<dyn Datastore>,
    floor: Floor,
    probes: Arc<Blocks>,
    new: Arc<Blocks>,
}

impl SizedStore {
    fn new(context: &Context, planted: &PlantedStore) -> Self {
        SizedStore {
            store: planted.open(&context.env.multi),
            floor: Floor::over(&planted.root),
            probes: Arc::clone(&planted.probes),
            new: Arc::new(Blocks::new(LARGE..LARGE + PROBES, 4 * KIB)),
        }
    }

    fn blocks(&self, operation: Operation) -> &Arc<Blocks> {
        if operation == Operation::Put {
            &self.new
        } else {
            &self.probes
        }
    }

    fn time_ours(&self, context: &Context, operation: Operation) -> Duration {
        let blocks = self.blocks(operation);
        let time_taken = time(
            &context.env.multi,
            &self.store,
            blocks,
            Access::Each(operation, 1),
        );
        self.clean_up(operation);
        time_taken
    }

    fn time_floor(&self, operation: Operation) -> Duration {
        let blocks = self.blocks(operation);
        let begin = Instant::now();
        for (index, name) in blocks.names.iter().enumerate() {
            match operation {
                Operation::Get => assert_eq!(self.floor.get(name).len(), blocks.size()),
                Operation::Put => self.floor.put(name, &blocks.value(index)),
                _ => assert!(self.floor.has(name)),
            }
        }
        let time_taken = begin.elapsed();
        self.clean_up(operation);
        time_taken
    }

    fn clean_up(&self, operation: Operation) {
        if operation == Operation::Put {
            self.new
                .names
                .iter()
                .for_each(|name| self.floor.delete(name));
        }
    }
}

fn row(
    context: &Context,
    title: &str,
    operation: Operation,
    small: &SizedStore,
    large: &SizedStore,
) -> Row {
    let mut comparison = Comparison::default();
    comparison.add("small floor", || small.time_floor(operation));
    comparison.add("large floor", || large.time_floor(operation));
    comparison.add("small", || small.time_ours(context, operation));
    comparison.add("large", || large.time_ours(context, operation));
    let times = comparison.run(context.env.rounds(), PROBES);
    let median = |name| times.median(name).unwrap_or(f64::NAN);
    let floor = median("large floor") / median("small floor");
    let mut row = Row::new(title, GOAL, Unit::Time)
        .grown(median("small"), median("large"))
        .note(format!(
            "compared with our own store of 10,000; a plain loop grows {floor:.2} ×"
        ));
    row.spread = times.spread("large", "small");
    row
}
