//! Verification of whole stores, which needs the feature `verify`.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use ds_flatfs::Shard;
use ds_flatfs::maintenance::Verify;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::harness::comparison::Comparison;
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::row::{FLOOR, Goal, OURS, Row};
use crate::harness::stores::{create, options, root};

/// Four fifths of the speed of the floor.
const GOAL: Goal = Goal::Ratio(1.25);
const THREADS: usize = 2;

/// The floor knows the names, sorted by directory, and reads and hashes the blocks with two threads.
pub(super) fn verify(context: &Context, title: &str) -> Vec<Row> {
    row(context, title, context.env.block_count(), 4 * KIB)
}

pub(super) fn verify_large(context: &Context, title: &str) -> Vec<Row> {
    row(context, title, context.env.pick(2_000, 400), 256 * KIB)
}

fn row(context: &Context, title: &str, count: usize, size: usize) -> Vec<Row> {
    if let Err(why) = context
        .env
        .check_space((count * size) as u64, count as u64 + 2_000)
    {
        return vec![Row::skipped(title, GOAL, why)];
    }
    let dir = context.env.scratch();
    let store = create(&context.env.multi, dir.path(), options());
    context.env.multi.block_on(store.close()).expect("a close");
    let path = root(dir.path());
    let floor = Floor::over(&path);
    let blocks = Blocks::new(0..count, size);
    let mut names: Vec<String> = (0..count)
        .map(|index| {
            let value = blocks.value(index);
            let name = name_of(&value);
            floor.plant(&name, &value);
            name
        })
        .collect();
    let shard = Shard::default();
    names.sort_unstable_by_key(|name| shard.dir(name));

    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || hash_all(&floor, &names));
    comparison.add(OURS, || {
        let begin = Instant::now();
        let path = path.clone();
        let task = context.env.multi.spawn(async move {
            let mut findings = Verify::new(path).start().await.expect("a store");
            assert!(findings.next().await.is_none(), "there must be no finding");
            assert_eq!(findings.summary().blocks, count as u64);
        });
        context.env.multi.block_on(task).expect("a verification");
        begin.elapsed()
    });
    let times = comparison.run(context.env.rounds(), count);
    let row = Row::of_comparison(title, GOAL, &times);
    vec![note_size(context, row, &format!("{count} blocks"))]
}

fn hash_all(floor: &Floor, names: &[String]) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for names in names.chunks(names.len().div_ceil(THREADS)) {
            scope.spawn(move || {
                for name in names {
                    black_box(Sha256::digest(floor.get(name)));
                }
            });
        }
    });
    begin.elapsed()
}

/// Returns the name that kubo gives a block.
fn name_of(value: &[u8]) -> String {
    let multihash = [&[0x12, 0x20][..], &Sha256::digest(value)].concat();
    BASE32_NOPAD.encode(&multihash)
}
