//! Processes that are killed during a move or a re-sharding.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ds_flatfs::maintenance::{Move, Progress, Reshard};
use ds_flatfs::{Key, Shard};
use tempfile::TempDir;

use super::{block_files, shard};
use crate::child::{self, Child};
use crate::mounts::Mount;
use crate::platform::repetitions;
use crate::support::{block_path, blocks, fill, key_of, options};

const BLOCKS: usize = 500;
/// The line of a process that has processed all shards once.
const PROCESSED_ALL: &str = "processed all";

/// Creates a directory, in memory if possible: these tests do not depend on durability.
fn test_dir() -> TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// Creates a closed store with [`BLOCKS`] blocks.
async fn make_store(root: &Path) {
    let store = options().create(root).await.unwrap();
    fill(&store, &blocks(BLOCKS)).await;
    store.close().await.unwrap();
}

/// Kills a process after it has reported its progress a random number of times.
fn kill(arguments: &[&str], random: &mut fastrand::Rng) {
    let mut child = Child::start("move_and_reshard::killed::child", arguments);
    for _ in 0..random.u32(1..300) {
        if child.next_line().is_none() {
            return;
        }
    }
    kill_within(500, child, random);
}

/// Kills a process shortly after it has processed all shards once: then a move to another file system has
/// written its copies, and publishes them.
fn kill_late(arguments: &[&str], random: &mut fastrand::Rng) {
    let mut child = Child::start("move_and_reshard::killed::child", arguments);
    while child.next_line().is_some_and(|line| line != PROCESSED_ALL) {}
    kill_within(8000, child, random);
}

fn kill_within(micros: u64, child: Child, random: &mut fastrand::Rng) {
    thread::sleep(Duration::from_micros(random.u64(0..micros)));
    child.kill();
}

/// Counts the blocks below some directories by name, and checks that each has the hash in its name.
fn found(roots: &[&Path]) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for root in roots.iter().filter(|root| root.exists()) {
        for (path, contents) in block_files(root) {
            if path.starts_with(".temp") {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert_eq!(key_of(&contents), Key::new(&name));
            *found.entry(name).or_default() += 1;
        }
    }
    found
}

fn check_once(root: &Path, shard: Shard) {
    let wanted = blocks(BLOCKS).into_iter();
    let wanted = wanted.map(|(key, value)| (block_path(shard, &key), value.to_vec()));
    assert_eq!(block_files(root), wanted.collect());
}

async fn check_opens(root: &Path, shard: Shard) {
    let store = options().open(root).await.unwrap();
    assert_eq!(store.shard(), shard);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_killed_resharding_neither_loses_nor_duplicates_blocks_and_can_be_completed() {
    const KILLS: u32 = repetitions(50);
    let room = test_dir();
    let root = room.path().join("store");
    make_store(&root).await;
    let mut random = fastrand::Rng::with_seed(1);
    let mut between = 0;
    for to in ["suffix/2", "prefix/5", "next-to-last/2"]
        .into_iter()
        .cycle()
        .take(KILLS as usize)
    {
        kill(&["reshard", root.to_str().unwrap(), to], &mut random);
        let sharding = fs::read_to_string(root.join("SHARDING")).unwrap();
        between += u32::from(sharding.contains("resharding"));
        let copies_of = found(&[&root]);
        assert_eq!(copies_of.len(), BLOCKS);
        assert!(copies_of.values().all(|copies| *copies == 1));
        let _ = Reshard::new(&root, shard(to)).run().await.unwrap();
        check_once(&root, shard(to));
        check_opens(&root, shard(to)).await;
    }
    eprintln!("{KILLS} kills, {between} of them in the middle; no block lost or duplicated");
    assert!(
        between > KILLS / 3,
        "{between} kills happened during a re-sharding"
    );
}

/// Returns whether some blocks are moved and others are not, or copies are staged.
fn is_between(old: &Path, new: &Path) -> bool {
    let is_copying = || fs::read_dir(new.join(".temp")).is_ok_and(|mut temp| temp.next().is_some());
    let (left, moved) = (found(&[old]).len(), found(&[new]).len());
    left > 0 && (moved > 0 || is_copying())
}

/// Moves the blocks to another directory and back, and kills each move.
async fn kill_moves(kills: u32, mut ends: [PathBuf; 2], between_file_systems: bool) {
    // Between two file systems a block can have both a published copy and the original.
    let max_copies = if between_file_systems { 2 } else { 1 };
    let mut publishing = 0;
    make_store(&ends[0]).await;
    let mut random = fastrand::Rng::with_seed(2);
    let mut between = 0;
    for _ in 0..kills {
        let [old, new] = &ends;
        let arguments = ["move", old.to_str().unwrap(), new.to_str().unwrap()];
        if between_file_systems && random.bool() {
            kill_late(&arguments, &mut random);
        } else {
            kill(&arguments, &mut random);
        }
        let copies_of = found(&[old, new]);
        assert_eq!(copies_of.len(), BLOCKS);
        assert!(
            copies_of.values().all(|copies| *copies <= max_copies),
            "no block must be duplicated"
        );
        between += u32::from(is_between(old, new));
        publishing += u32::from((1..BLOCKS).contains(&found(&[new]).len()));
        let done = Move::new(old, new).run().await.unwrap();
        assert!(done.emptied);
        assert_eq!(fs::read_dir(old).unwrap().count(), 0);
        check_once(new, shard("next-to-last/2"));
        check_opens(new, shard("next-to-last/2")).await;
        ends.reverse();
    }
    eprintln!(
        "{kills} kills, {between} of them during the move, {publishing} while blocks were published"
    );
    assert!(
        between > kills / 3,
        "{between} kills happened during a move"
    );
    // Under Wine there are few kills.
    assert!(
        publishing > 0 || cfg!(windows),
        "no kill happened while copies were being published"
    );
}

#[tokio::test]
async fn a_killed_move_neither_loses_nor_duplicates_blocks_and_can_be_completed() {
    let room = test_dir();
    let ends = ["store", "other"].map(|name| room.path().join(name));
    kill_moves(repetitions(50), ends, false).await;
}

#[tokio::test]
#[cfg_attr(windows, ignore = "needs a directory on another volume: see .ci/wine")]
async fn a_killed_move_to_another_file_system_loses_no_blocks_and_can_be_completed() {
    let Some(mount) = Mount::other_file_system() else {
        return;
    };
    let room = test_dir();
    let ends = [room.path(), mount.path()].map(|path| path.join("store"));
    kill_moves(repetitions(50), ends, true).await;
}

#[test]
#[ignore = "a process that the tests above kill"]
fn child() {
    let tell = |progress: Progress| {
        let is_through = progress.shards > 0 && progress.shards == progress.total_shards;
        child::send(if is_through { PROCESSED_ALL } else { "on" });
        ControlFlow::Continue(())
    };
    child::run(async |arguments| match arguments[0].as_str() {
        "reshard" => {
            let reshard = Reshard::new(&arguments[1], shard(&arguments[2])).on_progress(tell);
            let _ = reshard.run().await.expect("a re-sharding");
        }
        _ => {
            let moving = Move::new(&arguments[1], &arguments[2]).on_progress(tell);
            let _ = moving.run().await.expect("a move");
        }
    });
}
