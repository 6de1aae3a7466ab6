//! A crash, a failure or a full disk at each step of a re-sharding.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::{CrashCounts, data_losses};
use super::inspect::{BlockMap, STORE_PATH, blocks, exact_usage, true_usage};
use super::setup::{DURABLE, StoreSetup, durable_with_and_without_syncfs};
use super::whole_store_tool::{
    WholeStoreTool, crash_at_any_step, survives_crashes, survives_failures,
};
use crate::Shard;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::maintenance::{Reshard, Resharded};
use crate::store::Purpose;
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[
    ("AAB1", "one"),
    ("AAC1", "two"),
    ("AABC", "three"),
    ("BBC1", "four"),
    ("CAA1", "five"),
    ("Z", ""),
];

/// Returns the new function, with which some blocks get the old shard directory of others.
fn target() -> Shard {
    "prefix/2".parse().unwrap()
}

fn whole() -> BlockMap {
    let blocks = INITIAL.iter();
    let owned = blocks.map(|(key, value)| ((*key).to_owned(), Bytes::from(*value)));
    owned.collect()
}

async fn reshard(disk: &FaultDisk, to: Shard) -> Result<Resharded> {
    let disk = Arc::new(disk.clone());
    Reshard::new(STORE_PATH, to)
        .run_on(disk, PathBuf::from(STORE_PATH))
        .await
}

/// The re-sharding to the target function, as a tool.
struct ReshardToTarget(StoreSetup);

impl WholeStoreTool for ReshardToTarget {
    async fn run(&self, disk: &FaultDisk) -> Result<()> {
        reshard(disk, target()).await.map(drop)
    }

    /// The store opens with its old or its new function, or reports that it is being re-sharded.
    async fn check_between(&self, found: &FaultDisk) {
        let disk = found.reboot(DataLoss::None);
        match self.0.open_as(&disk, Purpose::Either).await {
            Ok(store) => assert_eq!(blocks(&store).await, whole()),
            Err(error) => assert!(matches!(error, Error::Resharding { .. }), "{error}"),
        }
    }

    async fn check_done(&self, found: &FaultDisk) {
        check_whole(self.0, found, target()).await;
    }
}

async fn check_whole(setup: StoreSetup, disk: &FaultDisk, shard: Shard) {
    let store = setup.open(disk).await;
    assert_eq!(store.shard(), shard);
    assert_eq!(blocks(&store).await, whole());
    assert_eq!(
        exact_usage(&store).await.bytes,
        true_usage(disk),
        "{:?}",
        disk.tree()
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_resharding_survives_a_crash_at_any_step() {
    let mut counts = CrashCounts::default();
    for setup in durable_with_and_without_syncfs() {
        let base = setup.closed_with(INITIAL).await;
        survives_crashes(&base, &ReshardToTarget(setup), 3, &mut counts).await;
    }
    counts.print("reshard");
}

#[tokio::test]
async fn an_interrupted_resharding_can_be_continued_to_another_function_or_undone() {
    let old = Shard::default();
    let other: Shard = "suffix/1".parse().unwrap();
    let base = DURABLE.closed_with(INITIAL).await;
    let to_target = async |disk: &FaultDisk| reshard(disk, target()).await;
    crash_at_any_step(&base, to_target, async |steps, disk, done| {
        if done.is_ok() {
            return;
        }
        for shard in [old, other] {
            let found = disk.reboot(DataLoss::SomeUnflushed(steps));
            let _ = reshard(&found, shard).await.unwrap();
            check_whole(DURABLE, &found.reboot(DataLoss::AllUnflushed), shard).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_resumed_resharding_survives_a_crash_at_any_step() {
    let half = DURABLE.closed_with(INITIAL).await;
    let mut moved = 0;
    let refusal = half.refuse(move |op, path| {
        let is_block = path.extension().is_some_and(|end| end == "data");
        let moves = op == DiskOp::Rename && is_block;
        moved += u32::from(moves);
        (moves && moved > 2).then_some(ErrorKind::Other)
    });
    reshard(&half, target()).await.unwrap_err();
    drop(refusal);
    survives_crashes(
        &half,
        &ReshardToTarget(DURABLE),
        1,
        &mut CrashCounts::default(),
    )
    .await;
}

#[tokio::test]
async fn a_resharding_that_fails_at_any_step_can_be_repeated() {
    let mut counts = CrashCounts::default();
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for setup in durable_with_and_without_syncfs() {
            let base = setup.closed_with(INITIAL).await;
            survives_failures(&base, &ReshardToTarget(setup), kind, &mut counts).await;
        }
    }
    counts.print("reshard, failing");
}

#[tokio::test]
async fn a_stopped_resharding_can_be_resumed() {
    let disk = DURABLE.closed_with(INITIAL).await;
    let mut calls = 0;
    let stopped = Reshard::new(STORE_PATH, target()).on_progress(move |_| {
        calls += 1;
        match calls {
            4 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let error = stopped
        .run_on(Arc::new(disk.clone()), STORE_PATH.into())
        .await;
    assert!(matches!(error, Err(Error::Stopped)), "{error:?}");
    ReshardToTarget(DURABLE).check_between(&disk).await;
    let _ = reshard(&disk, target()).await.unwrap();
    check_whole(DURABLE, &disk, target()).await;
}

#[tokio::test]
async fn a_shard_that_cannot_be_read_is_reported_before_anything_is_changed() {
    for refused in [DiskOp::List, DiskOp::Stat] {
        let disk = DURABLE.closed_with(INITIAL).await;
        let refusal = disk.refuse(move |op, path| {
            (op == refused && path.ends_with("AA")).then_some(ErrorKind::PermissionDenied)
        });
        let error = reshard(&disk, target()).await.unwrap_err();
        assert!(
            error.path().is_some_and(|path| path.ends_with("AA")),
            "{error:?}"
        );
        drop(refusal);
        check_whole(DURABLE, &disk, Shard::default()).await;
    }
}

#[tokio::test]
async fn a_dropped_resharding_stops_and_a_second_call_completes_it() {
    let disk = DURABLE.closed_with(INITIAL).await;
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::Rename && path.ends_with("CA/CAA1.data"));
    let task = tokio::spawn({
        let disk = disk.clone();
        async move { reshard(&disk, target()).await }
    });
    breakpoint.reached().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let locked = reshard(&disk, target()).await.unwrap_err();
    assert!(locked.is_locked(), "the current step continues");
    drop(breakpoint);
    let done = loop {
        match reshard(&disk, target()).await {
            Err(error) if error.is_locked() => tokio::task::yield_now().await,
            done => break done,
        }
    };
    let _ = done.unwrap();
    check_whole(DURABLE, &disk, target()).await;
}

#[tokio::test]
async fn a_pending_commit_is_applied_before_a_resharding() {
    let disk = DURABLE.closed_with(INITIAL).await;
    let store = DURABLE.open(&disk).await;
    let refusal = disk.refuse(|op, path| {
        (op == DiskOp::Rename && path.ends_with("QQ/QQQ1.data")).then_some(ErrorKind::Other)
    });
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("QQQ1", "six"),
        BatchWrite::Delete("Z"),
    ]);
    commit.run(&store).await.unwrap_err();
    drop(refusal);
    let found = disk.reboot(DataLoss::AllUnflushed);
    let _ = reshard(&found, target()).await.unwrap();
    let mut expected = whole();
    expected.remove("Z");
    expected.insert("QQQ1".to_owned(), "six".into());
    assert_eq!(blocks(&DURABLE.open(&found).await).await, expected);
}

/// The stray copies are where the interrupted re-sharding was to move the block, and where the next one will move it.
/// The former is listed first.
#[tokio::test]
async fn a_stray_copy_never_replaces_the_block_of_a_resharding_that_changes_its_function() {
    let base = DURABLE.closed_with(&[("10VED56", "block")]).await;
    let root = PathBuf::from(STORE_PATH);
    for dir in ["10", "56"] {
        let dir = root.join(dir);
        base.create_dir(&dir).unwrap();
        let stray = dir.join("10VED56.data");
        base.write_new(&stray, b"stray", 0o600, true).unwrap();
    }
    base.sync_all(&root).unwrap();
    let refusal = base.refuse(|op, path| {
        // The path is the new one of a rename, so this refuses to set a stray aside, too.
        let is_copy = path.file_stem().is_some_and(|stem| stem == "10VED56");
        (op == DiskOp::Rename && is_copy).then_some(ErrorKind::Other)
    });
    reshard(&base, target()).await.unwrap_err();
    drop(refusal);
    let expected = BlockMap::from([("10VED56".to_owned(), Bytes::from("block"))]);
    let other: Shard = "suffix/2".parse().unwrap();
    let to_other = async |disk: &FaultDisk| reshard(disk, other).await;
    crash_at_any_step(&base, to_other, async |steps, disk, _| {
        for loss in data_losses(steps, 8) {
            for next in [
                Shard::default(),
                target(),
                other,
                "prefix/3".parse().unwrap(),
            ] {
                let found = disk.reboot(loss);
                let _ = reshard(&found, next).await.unwrap();
                let store = DURABLE.open(&found.reboot(DataLoss::AllUnflushed)).await;
                assert_eq!(blocks(&store).await, expected, "{steps} {loss:?} {next}");
                store.close().await.unwrap();
            }
        }
    })
    .await;
}
