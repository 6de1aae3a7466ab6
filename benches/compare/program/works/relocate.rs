//! Blocks that change their places: all of a store to another one, or to other shards. The floor is a
//! loop of std renames by two threads, which lists the directories too, and makes nothing durable.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use ds_flatfs::Shard;
use ds_flatfs::maintenance::{Move, Reshard};

use crate::common::{Blocks, Floor};
use crate::program::bench::Bench;
use crate::program::race::Race;
use crate::program::row::{FLOOR, Goal, OURS, Row};
use crate::program::stores::{create, options, root};

const GOAL: Goal = Goal::Ratio(1.3);

/// There and back again, in turns.
pub(super) fn move_all(bench: &Bench, title: &str) -> Vec<Row> {
    let (floor, ours) = (Planted::new(bench), Planted::new(bench));
    let mut race = Race::default();
    let mut is_there = false;
    race.enter(FLOOR, || {
        is_there = !is_there;
        let (from, to) = floor.between(is_there);
        let begin = Instant::now();
        rename_all(&from, &to, Shard::default());
        begin.elapsed()
    });
    let mut is_there = false;
    race.enter(OURS, || {
        is_there = !is_there;
        let (from, to) = ours.between(is_there);
        let begin = Instant::now();
        let done = bench.multi.block_on(Move::new().run(from, to));
        let time = begin.elapsed();
        assert_eq!(done.expect("a move").blocks, ours.many as u64);
        time
    });
    row(bench, title, race, ours.many)
}

pub(super) fn reshard(bench: &Bench, title: &str) -> Vec<Row> {
    let (floor, ours) = (Planted::new(bench), Planted::new(bench));
    let shards = [Shard::default(), Shard::suffix(2).expect("a shard")];
    let mut race = Race::default();
    let mut turn = 0;
    race.enter(FLOOR, || {
        turn += 1;
        let begin = Instant::now();
        rename_all(&floor.root, &floor.root, shards[turn % 2]);
        begin.elapsed()
    });
    let mut turn = 0;
    race.enter(OURS, || {
        turn += 1;
        let begin = Instant::now();
        let done = bench
            .multi
            .block_on(Reshard::new(shards[turn % 2]).run(&ours.root));
        let time = begin.elapsed();
        assert!(done.expect("a re-sharding").moved > 0);
        time
    });
    row(bench, title, race, ours.many)
}

fn row(bench: &Bench, title: &str, race: Race<'_>, many: usize) -> Vec<Row> {
    let times = race.run(bench.rounds(), many);
    let row = Row::of_race(title, GOAL, &times);
    vec![row.note(format!("{many} blocks"))]
}

/// A closed store of empty blocks.
struct Planted {
    root: PathBuf,
    many: usize,
    dir: tempfile::TempDir,
}

impl Planted {
    fn new(bench: &Bench) -> Self {
        let many = bench.pick(50_000, 20_000);
        let dir = bench.scratch();
        let root = root(dir.path());
        let store = create(&bench.multi, dir.path(), options());
        let floor = Floor::over(&root);
        Blocks::new(0..many, 0).by_threads(2, |name, _| floor.plant(name, &[]));
        // Its disk usage is known.
        bench.multi.block_on(store.close()).expect("a close");
        Planted { root, many, dir }
    }

    fn between(&self, is_there: bool) -> (PathBuf, PathBuf) {
        let other = self.dir.path().join("other");
        fs::create_dir_all(&self.root).expect("a directory");
        fs::create_dir_all(&other).expect("a directory");
        if is_there {
            (self.root.clone(), other)
        } else {
            (other, self.root.clone())
        }
    }
}

/// Renames every block to its shard, by two threads.
fn rename_all(from: &Path, to: &Path, shard: Shard) {
    let dirs = fs::read_dir(from).expect("a directory");
    let dirs: Vec<PathBuf> = dirs
        .map(|dir| dir.expect("an entry").path())
        .filter(|dir| dir.is_dir() && !dir.ends_with(".temp"))
        .collect();
    thread::scope(|scope| {
        for dirs in dirs.chunks(dirs.len().div_ceil(2).max(1)) {
            scope.spawn(move || rename_those(dirs, to, shard));
        }
    });
}

fn rename_those(dirs: &[PathBuf], to: &Path, shard: Shard) {
    let mut made = HashSet::new();
    for dir in dirs {
        for entry in fs::read_dir(dir).expect("a directory") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("a key");
            let target = shard.dir(name.strip_suffix(".data").expect("a block"));
            let target_dir = to.join(&target);
            if target_dir == *dir {
                continue;
            }
            if made.insert(target) {
                fs::create_dir_all(&target_dir).expect("a directory");
            }
            let (old, new) = (dir.join(name), target_dir.join(name));
            if fs::rename(&old, &new).is_err() {
                // The other thread has removed it when it was empty.
                fs::create_dir_all(&target_dir).expect("a directory");
                fs::rename(&old, &new).expect("a rename");
            }
        }
        // Those that have got new blocks stay.
        let _ = fs::remove_dir(dir);
    }
}
