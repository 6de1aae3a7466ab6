//! Tools for whole stores. They need the feature `verify`.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use ds_flatfs::Shard;
use ds_flatfs::maintenance::verify::Verify;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::program::bench::{Bench, KIB};
use crate::program::race::Race;
use crate::program::row::{FLOOR, Goal, OURS, Row};
use crate::program::stores::{create, options, root};

/// As fast as four fifths of the floor.
const GOAL: Goal = Goal::Ratio(1.25);
const THREADS: usize = 2;

/// The floor has the names, in the order of their directories, and reads and hashes on two threads.
pub(super) fn verify(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, bench.many(), 4 * KIB)
}

pub(super) fn verify_large(bench: &Bench, title: &str) -> Vec<Row> {
    row(bench, title, bench.pick(2_000, 400), 256 * KIB)
}

fn row(bench: &Bench, title: &str, count: usize, size: usize) -> Vec<Row> {
    if let Err(why) = bench.check_room((count * size) as u64, count as u64 + 2_000) {
        return vec![Row::skipped(title, GOAL, why)];
    }
    let dir = bench.scratch();
    let store = create(&bench.multi, dir.path(), options());
    bench.multi.block_on(store.close()).expect("a close");
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

    let mut race = Race::default();
    race.enter(FLOOR, || hash_all(&floor, &names));
    race.enter(OURS, || {
        let begin = Instant::now();
        let path = path.clone();
        let task = bench.multi.spawn(async move {
            let mut findings = Verify::new(path).start().await.expect("a store");
            assert!(findings.next().await.is_none(), "nothing is to be found");
            assert_eq!(findings.summary().blocks, count as u64);
        });
        bench.multi.block_on(task).expect("a verification");
        begin.elapsed()
    });
    let times = race.run(bench.rounds(), count);
    let row = Row::of_race(title, GOAL, &times);
    vec![note_size(bench, row, &format!("{count} blocks"))]
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

/// As kubo names a block.
fn name_of(value: &[u8]) -> String {
    let multihash = [&[0x12, 0x20][..], &Sha256::digest(value)].concat();
    BASE32_NOPAD.encode(&multihash)
}
