//! Moves of all blocks to another store or to other shards. The floor is a loop of std renames with two
//! threads, which also lists the directories, and makes nothing durable.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use ds_flatfs::Shard;
use ds_flatfs::maintenance::{Move, Reshard};

use crate::common::{Blocks, Floor};
use crate::harness::comparison::Comparison;
use crate::harness::context::Context;
use crate::harness::row::{FLOOR, Goal, OURS, Row};
use crate::harness::stores::{create, options, root};

const GOAL: Goal = Goal::Ratio(1.3);

/// Moves the blocks to another directory and back, alternately.
pub(super) fn move_all(context: &Context, title: &str) -> Vec<Row> {
    let (floor, ours) = (EmptyBlockStore::new(context), EmptyBlockStore::new(context));
    let mut comparison = Comparison::default();
    let mut is_moved = false;
    comparison.add(FLOOR, || {
        is_moved = !is_moved;
        let (from, to) = floor.between(is_moved);
        let begin = Instant::now();
        rename_all(&from, &to, Shard::default());
        begin.elapsed()
    });
    let mut is_moved = false;
    comparison.add(OURS, || {
        is_moved = !is_moved;
        let (from, to) = ours.between(is_moved);
        let begin = Instant::now();
        let done = context.env.multi.block_on(Move::new(from, to).run());
        let time = begin.elapsed();
        assert_eq!(done.expect("a move").blocks, ours.count as u64);
        time
    });
    row(context, title, comparison, ours.count)
}

pub(super) fn reshard(context: &Context, title: &str) -> Vec<Row> {
    let (floor, ours) = (EmptyBlockStore::new(context), EmptyBlockStore::new(context));
    let shards = [Shard::default(), Shard::suffix(2).expect("a shard")];
    let mut comparison = Comparison::default();
    let mut round = 0;
    comparison.add(FLOOR, || {
        round += 1;
        let begin = Instant::now();
        rename_all(&floor.root, &floor.root, shards[round % 2]);
        begin.elapsed()
    });
    let mut round = 0;
    comparison.add(OURS, || {
        round += 1;
        let begin = Instant::now();
        let done = context
            .env
            .multi
            .block_on(Reshard::new(&ours.root, shards[round % 2]).run());
        let time = begin.elapsed();
        assert!(done.expect("a re-sharding").moved > 0);
        time
    });
    row(context, title, comparison, ours.count)
}

fn row(context: &Context, title: &str, comparison: Comparison<'_>, count: usize) -> Vec<Row> {
    let times = comparison.run(context.env.rounds(), count);
    let row = Row::of_comparison(title, GOAL, &times);
    vec![row.note(format!("{count} blocks"))]
}

/// A closed store of empty blocks.
struct EmptyBlockStore {
    root: PathBuf,
    count: usize,
    dir: tempfile::TempDir,
}

impl EmptyBlockStore {
    fn new(context: &Context) -> Self {
        let count = context.env.pick(50_000, 20_000);
        let dir = context.env.scratch();
        let root = root(dir.path());
        let store = create(&context.env.multi, dir.path(), options());
        let floor = Floor::over(&root);
        Blocks::new(0..count, 0).by_threads(2, |name, _| floor.plant(name, &[]));
        // The close stores the disk usage, so that no count runs during the comparison.
        context.env.multi.block_on(store.close()).expect("a close");
        EmptyBlockStore { root, count, dir }
    }

    fn between(&self, is_moved: bool) -> (PathBuf, PathBuf) {
        let other = self.dir.path().join("other");
        fs::create_dir_all(&self.root).expect("a directory");
        fs::create_dir_all(&other).expect("a directory");
        if is_moved {
            (self.root.clone(), other)
        } else {
            (other, self.root.clone())
        }
    }
}

/// Renames every block into its shard, with two threads.
fn rename_all(from: &Path, to: &Path, shard: Shard) {
    let dirs = fs::read_dir(from).expect("a directory");
    let dirs: Vec<PathBuf> = dirs
        .map(|dir| dir.expect("an entry").path())
        .filter(|dir| dir.is_dir() && !dir.ends_with(".temp"))
        .collect();
    thread::scope(|scope| {
        for dirs in dirs.chunks(dirs.len().div_ceil(2).max(1)) {
            scope.spawn(move || rename_blocks(dirs, to, shard));
        }
    });
}

fn rename_blocks(dirs: &[PathBuf], to: &Path, shard: Shard) {
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
                // The other thread removed the directory while it was empty.
                fs::create_dir_all(&target_dir).expect("a directory");
                fs::rename(&old, &new).expect("a rename");
            }
        }
        // A directory with new blocks stays.
        let _ = fs::remove_dir(dir);
    }
}
