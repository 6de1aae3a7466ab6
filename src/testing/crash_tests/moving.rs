//! A crash, a failure or a full disk at each step of a move, within one file system and between two.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::crashes::CrashCounts;
use super::inspect::{BlockMap, STORE_PATH as NEW, blocks, exact_usage, true_usage};
use super::setup::{StoreSetup, durable_with_and_without_syncfs};
use super::whole_store_tool::{
    WholeStoreTool, crash_at_any_step, survives_crashes, survives_failures,
};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::maintenance::{Move, Moved, SkipReason};
use crate::store::{FlatFs, Options, Purpose};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

const OLD: &str = "/disk/old";

const BLOCKS: &[(&str, &str)] = &[
    ("AAB1", "one"),
    ("AAC1", "two"),
    ("AABC", "three"),
    ("BBC1", "four"),
    ("CAA1", "five"),
    ("Z", ""),
];

/// The store setup of a move, and whether it is between two file systems. As a tool it moves all blocks.
#[derive(Clone, Copy, Debug)]
struct MoveRoute {
    setup: StoreSetup,
    between_file_systems: bool,
}

fn move_routes() -> impl Iterator<Item = MoveRoute> {
    durable_with_and_without_syncfs()
        .into_iter()
        .flat_map(|setup| {
            [true, false].map(|between_file_systems| MoveRoute {
                setup,
                between_file_systems,
            })
        })
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

impl MoveRoute {
    /// Returns a disk with the old store.
    async fn disk(self) -> FaultDisk {
        let disk = self.setup.disk();
        if self.between_file_systems {
            disk.mount(NEW);
        }
        fill(&disk, OLD, "next-to-last/2", BLOCKS).await;
        disk.reboot(DataLoss::None)
    }

    /// Returns a disk with the old store, and a new store that has these blocks.
    async fn disk_with(self, found: &[(&'static str, &'static str)]) -> FaultDisk {
        let disk = self.disk().await;
        fill(&disk, NEW, "prefix/2", found).await;
        disk.reboot(DataLoss::None)
    }
}

async fn move_all(disk: &FaultDisk) -> Result<Moved> {
    run(Move::new(OLD, NEW).shard("prefix/2".parse().unwrap()), disk).await
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

fn whole() -> BlockMap {
    let blocks = BLOCKS.iter();
    let owned = blocks.map(|(key, value)| ((*key).to_owned(), Bytes::from(*value)));
    owned.collect()
}

impl WholeStoreTool for MoveRoute {
    async fn run(&self, disk: &FaultDisk) -> Result<()> {
        move_all(disk).await.map(drop)
    }

    /// Every block is complete in at least one of the stores.
    async fn check_between(&self, found: &FaultDisk) {
        let disk = found.reboot(DataLoss::None);
        let mut union = BlockMap::new();
        for root in [OLD, NEW] {
            match try_open(&disk, root).await {
                Ok(store) => union.extend(blocks(&store).await),
                Err(error) => assert!(matches!(error, Error::NotAStore { .. }), "{error}"),
            }
        }
        assert_eq!(union, whole(), "{:?}", found.tree());
    }

    /// The new store has all blocks, and the old store does not exist.
    async fn check_done(&self, found: &FaultDisk) {
        let left: Vec<_> = below(found, OLD);
        assert_eq!(left, [""; 0]);
        assert_eq!(self.setup.recover(found).await, whole());
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
    let mut counts = CrashCounts::default();
    for route in move_routes() {
        survives_crashes(&route.disk().await, &route, 2, &mut counts).await;
    }
    counts.print("move");
}

#[tokio::test]
async fn a_move_that_fails_at_any_step_can_be_repeated() {
    let mut counts = CrashCounts::default();
    for (route, kind) in move_routes().zip([
        ErrorKind::Other,
        ErrorKind::StorageFull,
        ErrorKind::StorageFull,
        ErrorKind::Other,
    ]) {
        survives_failures(&route.disk().await, &route, kind, &mut counts).await;
    }
    counts.print("move, failing");
}

/// Blocks of the new store: `AAB1` is equal, `AAC1` is truncated, and `BBC1` has the same size but other
/// contents.
const FOUND: &[(&str, &str)] = &[("AAB1", "one"), ("AAC1", "tw"), ("BBC1", "FOUR")];

#[tokio::test]
async fn a_block_that_differs_in_the_new_store_stays_in_the_old_one() {
    let differs = ["AC/AAC1", "BC/BBC1"].map(|name| format!("{OLD}/{name}.data"));
    for route in move_routes() {
        let base = route.disk_with(FOUND).await;
        crash_at_any_step(&base, move_all, async |steps, disk, done| {
            let found = disk.reboot(DataLoss::SomeUnflushed(steps));
            for (path, value) in differs.iter().zip(["two", "four"]) {
                assert_eq!(found.read_live(path).as_deref(), Some(value.as_bytes()));
            }
            let done = match done {
                Ok(done) => done,
                Err(_) => move_all(&found).await.unwrap(),
            };
            assert_eq!((done.skipped_count, done.emptied), (2, false));
            let mut kept: Vec<_> = done
                .skipped
                .iter()
                .map(|skipped| skipped.path.as_path())
                .collect();
            kept.sort();
            assert_eq!(kept, differs.each_ref().map(Path::new));
            assert!(
                done.skipped
                    .iter()
                    .all(|skipped| skipped.reason == SkipReason::Differs)
            );
            let new = route.setup.open(&found).await;
            assert_eq!(exact_usage(&new).await.bytes, true_usage(&found));
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
async fn an_equal_block_in_the_new_store_is_a_duplicate() {
    for route in move_routes() {
        let disk = route.disk_with(&[("AAB1", "one"), ("Z", "")]).await;
        let done = move_all(&disk).await.unwrap();
        assert_eq!(
            (done.blocks, done.duplicates, done.skipped_count),
            (4, 2, 0)
        );
        assert_eq!(done.bytes, 16, "two, three, four and five");
        route.check_done(&disk.reboot(DataLoss::AllUnflushed)).await;
    }
}

#[tokio::test]
async fn a_repeated_move_has_nothing_to_do() {
    for route in move_routes() {
        let disk = route.disk().await;
        let done = move_all(&disk).await.unwrap();
        assert_eq!((done.blocks, done.bytes, done.emptied), (6, 19, true));
        let again = move_all(&disk).await.unwrap();
        assert_eq!((again.blocks, again.emptied), (0, true));
        route.check_done(&disk).await;
    }
}

#[tokio::test]
async fn a_stopped_move_can_be_resumed() {
    for route in move_routes() {
        let base = route.disk().await;
        let mut stops = 0;
        for last in 1.. {
            let disk = base.reboot(DataLoss::None);
            let mut calls = 0;
            let stopped = Move::new(OLD, NEW).on_progress(move |_| {
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
            route.check_between(&disk).await;
            let _ = run(Move::new(OLD, NEW), &disk).await.unwrap();
            route.check_done(&disk).await;
        }
        assert!(stops >= 4, "{stops}");
    }
}

#[tokio::test]
async fn a_dropped_move_stops_and_a_second_call_completes_it() {
    for route in move_routes() {
        let disk = route.disk().await;
        let breakpoint =
            disk.set_breakpoint(|op, path| op == DiskOp::Rename && path.ends_with("CA/CAA1.data"));
        let task = tokio::spawn({
            let disk = disk.clone();
            async move { move_all(&disk).await }
        });
        breakpoint.reached().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let locked = move_all(&disk).await.unwrap_err();
        assert!(locked.is_locked(), "the current step continues");
        drop(breakpoint);
        let done = loop {
            match move_all(&disk).await {
                Err(error) if error.is_locked() => tokio::task::yield_now().await,
                done => break done,
            }
        };
        let _ = done.unwrap();
        route.check_done(&disk).await;
    }
}

/// Otherwise a power cut could lose both the copy and the original.
#[tokio::test]
async fn the_copy_of_a_block_is_durable_before_the_original_is_removed() {
    for route in move_routes().filter(|route| route.between_file_systems) {
        let disk = route.disk().await;
        let removed =
            disk.set_breakpoint(|op, path| op == DiskOp::RemoveFile && path.starts_with(OLD));
        let task = tokio::spawn({
            let disk = disk.clone();
            async move { move_all(&disk).await }
        });
        removed.reached().await;
        disk.crash_after(0);
        drop(removed);
        task.await.unwrap().unwrap_err();
        let found = disk.reboot(DataLoss::AllUnflushed);
        route.check_between(&found).await;
        let new = try_open(&found, NEW).await.unwrap();
        assert!(!blocks(&new).await.is_empty());
    }
}
