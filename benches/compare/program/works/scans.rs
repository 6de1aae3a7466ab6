//! What looks at every block: queries, the count of the disk usage, and the open, which must not.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ds_flatfs::{Key, Query};

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::program::bench::Bench;
use crate::program::race::{Race, median};
use crate::program::row::{FLOOR, Goal, OURS, Row, Unit};
use crate::program::stores::wait_for_count;
use crate::program::subject::{Job, count, time};

/// How many directories the default shard function spreads blocks over. Opening one costs as much as
/// listing some ten entries, so few blocks in each cost more an entry.
const SHARDS: usize = 1024;

/// The floor reads the directories.
pub(super) fn keys(bench: &Bench, title: &str) -> Vec<Row> {
    let query = Query::new().keys_only();
    let floor_query = query.clone();
    query_row(
        bench,
        title,
        Goal::AtMost(0.4e-6),
        query,
        move |floor, blocks| {
            assert_eq!(floor.query(&floor_query), blocks.len());
        },
    )
}

/// The floor has the names, and looks at the files.
pub(super) fn sizes(bench: &Bench, title: &str) -> Vec<Row> {
    let query = Query::new().keys_only().returns_sizes();
    query_row(bench, title, Goal::Ratio(1.2), query, |floor, blocks| {
        assert!(blocks.names.iter().all(|name| floor.has(name)));
    })
}

/// The floor has the names, and reads the files.
pub(super) fn values(bench: &Bench, title: &str) -> Vec<Row> {
    query_row(
        bench,
        title,
        Goal::Ratio(1.1),
        Query::new(),
        |floor, blocks| {
            for name in &blocks.names {
                black_box(floor.get(name));
            }
        },
    )
}

fn query_row(
    bench: &Bench,
    title: &str,
    goal: Goal,
    query: Query,
    work: impl Fn(&Floor, &Blocks),
) -> Vec<Row> {
    let filled = bench.filled();
    let blocks = &filled.blocks;
    let is_for_keys = query.keys_only && !query.returns_sizes;
    let mut race = Race::default();
    race.enter(FLOOR, || {
        let begin = Instant::now();
        work(&filled.floor, blocks);
        begin.elapsed()
    });
    race.enter(OURS, || {
        let (store, query, many) = (Arc::clone(&filled.ours), query.clone(), blocks.len());
        let begin = Instant::now();
        let task = bench.multi.spawn(async move {
            assert_eq!(count(&store, query).await, many);
        });
        bench.multi.block_on(task).expect("a query");
        begin.elapsed()
    });
    if is_for_keys {
        for (name, peer) in &filled.peers {
            race.enter(name, || time(&bench.multi, peer, blocks, Job::Keys));
        }
    }
    let times = race.run(bench.rounds(), blocks.len());
    let row = Row::of_race(title, goal, &times);
    let in_a_directory = blocks.len() / SHARDS;
    let size = format!(
        "{} blocks, only {in_a_directory} in a directory",
        blocks.len()
    );
    vec![note_size(bench, row, &size)]
}

/// The floor has the names, and looks at the files.
pub(super) fn recount(bench: &Bench, title: &str) -> Vec<Row> {
    let goal = Goal::Ratio(1.1);
    let planted = match bench.planted(20_000) {
        Ok(planted) => planted,
        Err(why) => return vec![Row::skipped(title, goal, why)],
    };
    let blocks = Blocks::new(0..20_000, 0);
    let floor = Floor::over(&planted.root);
    let mut race = Race::default();
    race.enter(FLOOR, || {
        let begin = Instant::now();
        assert!(blocks.names.iter().all(|name| floor.has(name)));
        begin.elapsed()
    });
    race.enter(OURS, || {
        planted.forget_usage();
        let begin = Instant::now();
        let store = planted.open(&bench.multi);
        wait_for_count(&bench.multi, &store);
        let time = begin.elapsed();
        bench.multi.block_on(store.close()).expect("a close");
        time
    });
    let times = race.run(bench.rounds(), blocks.len());
    vec![Row::of_race(title, goal, &times)]
}

/// Until the store has answered whether it has a block.
pub(super) fn open(bench: &Bench, title: &str) -> Vec<Row> {
    let goal = Goal::AtMost(10e-3);
    let planted = match bench.planted(100_000) {
        Ok(planted) => planted,
        Err(why) => return vec![Row::skipped(title, goal, why)],
    };
    let key = Key::new(&planted.probes.names[0]);
    let times: Vec<f64> = (0..bench.rounds())
        .map(|_| {
            planted.forget_usage();
            let begin = Instant::now();
            let store = planted.open(&bench.multi);
            assert!(bench.multi.block_on(store.has(&key)).expect("an answer"));
            let time = begin.elapsed();
            bench.multi.block_on(store.close()).expect("a close");
            time.as_secs_f64()
        })
        .collect();
    let row = Row::new(title, goal, Unit::Time);
    vec![row.figures(None, median(&times))]
}
