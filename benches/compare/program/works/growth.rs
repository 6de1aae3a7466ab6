//! What a large store costs beside a small one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ds_flatfs::Datastore;

use crate::common::{Blocks, Floor};
use crate::program::bench::{Bench, KIB};
use crate::program::race::Race;
use crate::program::row::{Goal, Row, Unit};
use crate::program::stores::{PROBES, Planted};
use crate::program::subject::{Job, Verb, time};

const SMALL: usize = PROBES;
const LARGE: usize = 1_000_000;
const GOAL: Goal = Goal::Ratio(1.3);

/// The floor of these rows is our own small store; the note says how the floor itself grows.
pub(super) fn all(bench: &Bench, title: &str) -> Vec<Row> {
    if bench.quick {
        return vec![Row::skipped(title, GOAL, "not in a quick run")];
    }
    let (small, large) = match (bench.planted(SMALL), bench.planted(LARGE)) {
        (Ok(small), Ok(large)) => (small, large),
        (Err(why), _) | (_, Err(why)) => return vec![Row::skipped(title, GOAL, why)],
    };
    let small = Place::new(bench, &small);
    let large = Place::new(bench, &large);
    let rows = [("get", Verb::Get), ("has", Verb::Has), ("put", Verb::Put)]
        .map(|(name, verb)| row(bench, &format!("{title}: {name}"), verb, &small, &large));
    for place in [small, large] {
        bench.multi.block_on(place.store.close()).expect("a close");
    }
    rows.into()
}

struct Place {
    store: Arc<dyn Datastore>,
    floor: Floor,
    probes: Arc<Blocks>,
    new: Arc<Blocks>,
}

impl Place {
    fn new(bench: &Bench, planted: &Planted) -> Self {
        Place {
            store: planted.open(&bench.multi),
            floor: Floor::over(&planted.root),
            probes: Arc::clone(&planted.probes),
            new: Arc::new(Blocks::new(LARGE..LARGE + PROBES, 4 * KIB)),
        }
    }

    fn blocks(&self, verb: Verb) -> &Arc<Blocks> {
        if verb == Verb::Put {
            &self.new
        } else {
            &self.probes
        }
    }

    fn time_ours(&self, bench: &Bench, verb: Verb) -> Duration {
        let blocks = self.blocks(verb);
        let took = time(&bench.multi, &self.store, blocks, Job::Each(verb, 1));
        self.clean_up(verb);
        took
    }

    fn time_floor(&self, verb: Verb) -> Duration {
        let blocks = self.blocks(verb);
        let begin = Instant::now();
        for (index, name) in blocks.names.iter().enumerate() {
            match verb {
                Verb::Get => assert_eq!(self.floor.get(name).len(), blocks.size()),
                Verb::Put => self.floor.put(name, &blocks.value(index)),
                _ => assert!(self.floor.has(name)),
            }
        }
        let took = begin.elapsed();
        self.clean_up(verb);
        took
    }

    fn clean_up(&self, verb: Verb) {
        if verb == Verb::Put {
            self.new
                .names
                .iter()
                .for_each(|name| self.floor.delete(name));
        }
    }
}

fn row(bench: &Bench, title: &str, verb: Verb, small: &Place, large: &Place) -> Row {
    let mut race = Race::default();
    race.enter("small floor", || small.time_floor(verb));
    race.enter("large floor", || large.time_floor(verb));
    race.enter("small", || small.time_ours(bench, verb));
    race.enter("large", || large.time_ours(bench, verb));
    let times = race.run(bench.rounds(), PROBES);
    let median = |name| times.median(name).unwrap_or(f64::NAN);
    let floor = median("large floor") / median("small floor");
    let mut row = Row::new(title, GOAL, Unit::Time)
        .grown(median("small"), median("large"))
        .note(format!(
            "beside our own 10,000; a plain loop grows {floor:.2} ×"
        ));
    row.spread = times.spread("large", "small");
    row
}
