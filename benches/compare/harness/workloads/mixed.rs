//! A load like that of a node: most calls ask whether a block exists, and half of these blocks do not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::Blocks;
use crate::harness::comparison::Comparison;
use crate::harness::contender::{Access, Contender, time};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::plain_files::{Calls, PlainFiles};
use crate::harness::row::{FLOOR, Goal, OURS, Row};
use crate::harness::stores::{create, options};

const TASKS: usize = 16;

/// The floor is the same work through `tokio::fs`.
pub(super) fn mixed(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.block_count();
    let load = MixedLoad {
        present: Arc::new(Blocks::new(0..count, 4 * KIB)),
        absent: Arc::new(Blocks::new(count..2 * count, 0)),
        new: Arc::new(Blocks::new(2 * count..3 * count, 4 * KIB)),
    };
    let runtime = &context.env.multi;
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        let dir = context.env.scratch();
        load.time(context, &PlainFiles::new(dir.path(), Calls::TokioFs))
    });
    comparison.add(OURS, || {
        let dir = context.env.scratch();
        load.time(context, &create(runtime, dir.path(), options()))
    });
    for kind in context.env.peers {
        comparison.add(kind.name, || {
            let dir = context.env.scratch();
            load.time(context, &runtime.block_on((kind.create)(dir.path())))
        });
    }
    let times = comparison.run(context.env.few_rounds(), count);
    let mut row = Row::of_comparison(title, Goal::Ratio(0.7), &times);
    row.add_note("the floor is tokio::fs");
    vec![row]
}

#[derive(Clone)]
struct MixedLoad {
    present: Arc<Blocks>,
    absent: Arc<Blocks>,
    new: Arc<Blocks>,
}

impl MixedLoad {
    fn time(&self, context: &Context, store: &impl Contender) -> Duration {
        let runtime = &context.env.multi;
        time(runtime, store, &self.present, Access::Batch);
        let begin = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let (load, store) = (self.clone(), store.clone());
                    tokio::spawn(async move {
                        for index in (task..load.present.len()).step_by(TASKS) {
                            load.one(&store, index).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a task");
            }
        });
        begin.elapsed()
    }

    /// 70 % `has`, half of them of absent blocks, 20 % `get`, 8 % `put` and 2 % `delete`.
    async fn one(&self, store: &impl Contender, index: usize) {
        let key = &self.present.keys[index];
        // The tasks take every sixteenth index, so the kinds of calls are mixed by another number.
        match (index / TASKS + index) % 50 {
            0..=17 => assert!(store.has(key).await),
            18..=34 => assert!(!store.has(&self.absent.keys[index]).await),
            35..=44 => assert!(store.get(key).await.is_some()),
            45..=48 => {
                store
                    .put(&self.new.keys[index], self.new.value(index))
                    .await
            }
            _ => store.delete(key).await,
        }
    }
}
