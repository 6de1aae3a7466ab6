//! Queries and the count of the disk usage, which examine every block, and the open, which must not.

use std::sync::Arc;
use std::time::Instant;

use ds_flatfs::{Key, Query};

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::harness::comparison::{Comparison, median};
use crate::harness::contender::{Access, count, time};
use crate::harness::context::Context;
use crate::harness::row::{FLOOR, Goal, OURS, Row, Unit};
use crate::harness::stores::wait_for_count;

/// The number of directories that the default shard function uses. Opening one costs as much as listing
/// about ten entries, so with few blocks in each the cost per entry is higher.
const SHARDS: usize = 1024;

pub(super) fn keys(context: &Context, title: &str) -> Vec<Row> {
    query_row(context, title, 1.0, Query::new().keys_only())
}

pub(super) fn sizes(context: &Context, title: &str) -> Vec<Row> {
    let query = Query::new().keys_only().returns_sizes();
    query_row(context, title, 0.9, query)
}

pub(super) fn values(context: &Context, title: &str) -> Vec<Row> {
    query_row(context, title, 0.9, Query::new())
}

/// The floor reads the directories, and the metadata or the files.
fn query_row(context: &Context, title: &str, goal: f64, query: Query) -> Vec<Row> {
    let filled = context.filled();
    let blocks = &filled.blocks;
    let is_for_keys = query.keys_only && !query.returns_sizes;
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let begin = Instant::now();
        assert_eq!(filled.floor.query(&query), blocks.len());
        begin.elapsed()
    });
    comparison.add(OURS, || {
        let (store, query, many) = (Arc::clone(&filled.ours), query.clone(), blocks.len());
        let begin = Instant::now();
        let task = context.env.multi.spawn(async move {
            assert_eq!(count(&store, query).await, many);
        });
        context.env.multi.block_on(task).expect("a query");
        begin.elapsed()
    });
    if is_for_keys {
        for (name, peer) in &filled.peers {
            comparison.add(name, || {
                time(&context.env.multi, peer, blocks, Access::Keys)
            });
        }
    }
    let times = comparison.run(context.env.rounds(), blocks.len());
    let row = Row::of_comparison(title, Goal::Ratio(goal), &times);
    let per_directory = blocks.len() / SHARDS;
    let size = format!(
        "{} blocks, only {per_directory} per directory",
        blocks.len()
    );
    vec![note_size(context, row, &size)]
}

/// The floor knows the names, and reads the metadata of the files.
pub(super) fn recount(context: &Context, title: &str) -> Vec<Row> {
    let goal = Goal::Ratio(1.1);
    let planted = match context.planted(20_000) {
        Ok(planted) => planted,
        Err(why) => return vec![Row::skipped(title, goal, why)],
    };
    let blocks = Blocks::new(0..20_000, 0);
    let floor = Floor::over(&planted.root);
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let begin = Instant::now();
        assert!(blocks.names.iter().all(|name| floor.has(name)));
        begin.elapsed()
    });
    comparison.add(OURS, || {
        planted.forget_usage();
        let begin = Instant::now();
        let store = planted.open(&context.env.multi);
        wait_for_count(&context.env.multi, &store);
        let time = begin.elapsed();
        context.env.multi.block_on(store.close()).expect("a close");
        time
    });
    let times = comparison.run(context.env.rounds(), blocks.len());
    vec![Row::of_comparison(title, goal, &times)]
}

/// Measures the time until the store has looked up one block.
pub(super) fn open(context: &Context, title: &str) -> Vec<Row> {
    let goal = Goal::AtMost(10e-3);
    let planted = match context.planted(100_000) {
        Ok(planted) => planted,
        Err(why) => return vec![Row::skipped(title, goal, why)],
    };
    let key = Key::new(&planted.probes.names[0]);
    let times: Vec<f64> = (0..context.env.rounds())
        .map(|_| {
            planted.forget_usage();
            let begin = Instant::now();
            let store = planted.open(&context.env.multi);
            assert!(
                context
                    .env
                    .multi
                    .block_on(store.has(&key))
                    .expect("a lookup")
            );
            let time = begin.elapsed();
            context.env.multi.block_on(store.close()).expect("a close");
            time.as_secs_f64()
        })
        .collect();
    let row = Row::new(title, goal, Unit::Time);
    vec![row.figures(None, median(&times))]
}
