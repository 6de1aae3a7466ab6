//! A crash, a failure and a full disk at every single step of a move, on one file system and across
//! two.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::fixture::{
    Blocks, STORE as NEW, Setting, Tally, Tool, blocks, counted, crash_at_any_step,
    safe_with_and_without_syncfs, survives_crashes, survives_failures, usage,
};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::maintenance::{Move, Moved, SkipReason};
use crate::store::{FlatFs, Options, Purpose};
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

const OLD: &str = "/disk/old";

const BLOCKS: &[(&str, &str)] = &[
    ("AAB1", "one"),
    ("AAC1", "two"),
    ("AABC", "three"),
    ("BBC1", "four"),
    ("CAA1", "five"),
    ("Z", ""),
];

/// What the move is between. As a tool it is the move of all blocks.
#[derive(Clone, Copy, Debug)]
struct Way {
    setting: Setting,
    is_across: bool,
}

fn ways() -> impl Iterator<Item = Way> {
    safe_with_and_without_syncfs()
        .into_iter()
        .flat_map(|setting| [true, false].map(|is_across| Way { setting, is_across }))
}

async fn fill(disk: &FaultDisk, root: &str, shard: &str, filled: &[(&'static str, &'static str)]) {
    let options = Options::new().shard(shard.parse().unwrap());
    let disk = Arc::new(disk.clone());
    let created = options.begin_on(disk, root.into(), Purpose::Create).await;
    let store = created.unwrap();
    for &(key, value) in filled {
        store.put(&Key::new(key), value.into()).await.unwrap();
    }
    store.close().await.unwrap();
}

impl Way {
    /// A disk with the old store.
    async fn disk(self) -> FaultDisk {
        let disk = self.setting.disk();
        if self.is_across {
            disk.mount(NEW);
        }
        fill(&disk, OLD, "next-to-last/2", BLOCKS).await;
        disk.reboot(Loss::None)
    }

    /// A disk with the old store, and a new one that has these blocks.
    async fn disk_with(self, found: &[(&'static str, &'static str)]) -> FaultDisk {
        let disk = self.disk().await;
        fill(&disk, NEW, "prefix/2", found).await;
        disk.reboot(Loss::None)
    }
}

async fn move_all(disk: &FaultDisk) -> Result<Moved> {
    run(Move::new().shard("prefix/2".parse().unwrap()), disk).await
}

async fn run(tool: Move, disk: &FaultDisk) -> Result<Moved> {
    let at = |root: &str| (Arc::new(disk.clone()) as Arc<dyn Disk>, PathBuf::from(root));
    tool.run_on(at(OLD), at(NEW)).await
}

async fn try_open(disk: &FaultDisk, root: &str) -> Result<FlatFs> {
    let disk = Arc::new(disk.clone());
    Options::new()
        .begin_on(disk, root.into(), Purpose::Open)
        .await
}

fn whole() -> Blocks {
    let blocks = BLOCKS.iter();
    let owned = blocks.map(|(key, value)| ((*key).to_owned(), Bytes::from(*value)));
    owned.collect()
}

impl Tool for Way {
    async fn run(&self, disk: &FaultDisk) -> Result<()> {
        move_all(disk).await.map(drop)
    }

    /// Every block is whole in one of the stores at least.
    async fn check_between(&self, found: &FaultDisk) {
        let disk = found.reboot(Loss::None);
        let mut union = Blocks::new();
        for root in [OLD, NEW] {
            match try_open(&disk, root).await {
                Ok(store) => union.extend(blocks(&store).await),
                Err(error) => assert!(matches!(error, Error::NotAStore { .. }), "{error}"),
            }
        }
        assert_eq!(union, whole(), "{:?}", found.tree());
    }

    /// The new store has everything, and the old one is no more.
    async fn check_done(&self, found: &FaultDisk) {
        let left: Vec<_> = below(found, OLD);
        assert_eq!(left, [""; 0]);
        assert_eq!(self.setting.recover(found).await, whole());
    }
}

fn below(disk: &FaultDisk, root: &str) -> Vec<String> {
    let root = format!("{root}/");
    let tree = disk.tree().into_iter();
    tree.filter(|path| path.len() > root.len() && path.starts_with(&root))
        .collect()
}

#[tokio::test]
async fn a_move_survives_a_crash_at_any_step() {
    let mut tally = Tally::default();
    for way in ways() {
        survives_crashes(&way.disk().await, &way, 2, &mut tally).await;
    }
    tally.print("move");
}

#[tokio::test]
async fn a_move_that_fails_at_any_step_can_be_tried_again() {
    let mut tally = Tally::default();
    for (way, kind) in ways().zip([
        ErrorKind::Other,
        ErrorKind::StorageFull,
        ErrorKind::StorageFull,
        ErrorKind::Other,
    ]) {
        survives_failures(&way.disk().await, &way, kind, &mut tally).await;
    }
    tally.print("move, failing");
}

/// `AAB1` is there, `AAC1` is there cut short, and `BBC1` in a store of the same size but not the same.
const FOUND: &[(&str, &str)] = &[("AAB1", "one"), ("AAC1", "tw"), ("BBC1", "FOUR")];

#[tokio::test]
async fn what_differs_in_the_new_store_is_kept_in_the_old_one_whatever_happens() {
    let differs = ["AC/AAC1", "BC/BBC1"].map(|name| format!("{OLD}/{name}.data"));
    for way in ways() {
        let base = way.disk_with(FOUND).await;
        crash_at_any_step(&base, move_all, async |steps, disk, done| {
            let found = disk.reboot(Loss::Some(steps));
            for (path, value) in differs.iter().zip(["two", "four"]) {
                assert_eq!(found.read_live(path).as_deref(), Some(value.as_bytes()));
            }
            let done = match done {
                Ok(done) => done,
                Err(_) => move_all(&found).await.unwrap(),
            };
            assert_eq!((done.skipped_count, done.emptied), (2, false));
            let mut kept: Vec<_> = done.kept.iter().map(|kept| kept.path.as_path()).collect();
            kept.sort();
            assert_eq!(kept, differs.each_ref().map(Path::new));
            assert!(done.kept.iter().all(|kept| kept.why == SkipReason::Differs));
            let new = way.setting.open(&found).await;
            assert_eq!(counted(&new).await.bytes, usage(&found));
            let mut expected = whole();
            expected.insert("AAC1".to_owned(), "tw".into());
            expected.insert("BBC1".to_owned(), "FOUR".into());
            assert_eq!(blocks(&new).await, expected);
            let old = try_open(&found, OLD).await.unwrap();
            assert_eq!(blocks(&old).await.len(), 2);
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_there_already_and_is_the_same_is_a_duplicate() {
    for way in ways() {
        let disk = way.disk_with(&[("AAB1", "one"), ("Z", "")]).await;
        let done = move_all(&disk).await.unwrap();
        assert_eq!(
            (done.blocks, done.duplicates, done.skipped_count),
            (4, 2, 0)
        );
        assert_eq!(done.bytes, 16, "two, three, four and five");
        way.check_done(&disk.reboot(Loss::All)).await;
    }
}

#[tokio::test]
async fn a_move_that_is_done_has_nothing_to_do() {
    for way in ways() {
        let disk = way.disk().await;
        let done = move_all(&disk).await.unwrap();
        assert_eq!((done.blocks, done.bytes, done.emptied), (6, 19, true));
        let again = move_all(&disk).await.unwrap();
        assert_eq!((again.blocks, again.emptied), (0, true));
        way.check_done(&disk).await;
    }
}

#[tokio::test]
async fn a_move_that_is_stopped_goes_on_where_it_was() {
    for way in ways() {
        let base = way.disk().await;
        let mut stops = 0;
        for last in 1.. {
            let disk = base.reboot(Loss::None);
            let mut calls = 0;
            let stopped = Move::new().on_progress(move |_| {
                calls += 1;
                if calls == last {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            match run(stopped, &disk).await {
                Err(Error::Stopped) => {}
                done => {
                    let _ = done.unwrap();
                    break;
                }
            }
            stops += 1;
            way.check_between(&disk).await;
            let _ = run(Move::new(), &disk).await.unwrap();
            way.check_done(&disk).await;
        }
        assert!(stops >= 4, "{stops}");
    }
}

#[tokio::test]
async fn a_dropped_move_stops_and_the_same_call_completes_it() {
    for way in ways() {
        let disk = way.disk().await;
        let held = disk.hold(|op, path| op == Op::Rename && path.ends_with("CA/CAA1.data"));
        let task = tokio::spawn({
            let disk = disk.clone();
            async move { move_all(&disk).await }
        });
        held.reached().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let locked = move_all(&disk).await.unwrap_err();
        assert!(locked.is_locked(), "the step that is under way goes on");
        drop(held);
        let done = loop {
            match move_all(&disk).await {
                Err(error) if error.is_locked() => tokio::task::yield_now().await,
                done => break done,
            }
        };
        let _ = done.unwrap();
        way.check_done(&disk).await;
    }
}

/// A copy that is not durable must not cost the original its life.
#[tokio::test]
async fn the_copy_of_a_block_is_durable_before_the_original_goes() {
    for way in ways().filter(|way| way.is_across) {
        let disk = way.disk().await;
        let removed = disk.hold(|op, path| op == Op::RemoveFile && path.starts_with(OLD));
        let task = tokio::spawn({
            let disk = disk.clone();
            async move { move_all(&disk).await }
        });
        removed.reached().await;
        disk.crash_after(0);
        drop(removed);
        task.await.unwrap().unwrap_err();
        let found = disk.reboot(Loss::All);
        way.check_between(&found).await;
        let new = try_open(&found, NEW).await.unwrap();
        assert!(!blocks(&new).await.is_empty());
    }
}
