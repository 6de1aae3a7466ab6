//! A crash, a failure and a full disk at every single step of a re-sharding.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::fixture::{
    Blocks, SAFE, STORE, Setting, Tally, Tool, blocks, counted, crash_at_any_step,
    safe_with_and_without_syncfs, survives_crashes, survives_failures, usage,
};
use crate::Shard;
use crate::error::{Error, Result};
use crate::maintenance::{Reshard, Resharded};
use crate::store::Purpose;
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

const BEFORE: &[(&str, &str)] = &[
    ("AAB1", "one"),
    ("AAC1", "two"),
    ("AABC", "three"),
    ("BBC1", "four"),
    ("CAA1", "five"),
    ("Z", ""),
];

/// `AABC` and `AAC1` stay where they are, in a way: their old shard is the new one of others.
fn target() -> Shard {
    "prefix/2".parse().unwrap()
}

fn whole() -> Blocks {
    let blocks = BEFORE.iter();
    let owned = blocks.map(|(key, value)| ((*key).to_owned(), Bytes::from(*value)));
    owned.collect()
}

async fn reshard(disk: &FaultDisk, to: Shard) -> Result<Resharded> {
    let disk = Arc::new(disk.clone());
    Reshard::new(to).run_on(disk, PathBuf::from(STORE)).await
}

/// A re-sharding to the target.
struct ToTarget(Setting);

impl Tool for ToTarget {
    async fn run(&self, disk: &FaultDisk) -> Result<()> {
        reshard(disk, target()).await.map(drop)
    }

    /// The store either is what it was, or what it is to be, or says that it is between.
    async fn check_between(&self, found: &FaultDisk) {
        let disk = found.reboot(Loss::None);
        match self.0.begin(&disk, Purpose::Either).await {
            Ok(store) => assert_eq!(blocks(&store).await, whole()),
            Err(error) => assert!(matches!(error, Error::Resharding { .. }), "{error}"),
        }
    }

    async fn check_done(&self, found: &FaultDisk) {
        check_whole(self.0, found, target()).await;
    }
}

async fn check_whole(setting: Setting, disk: &FaultDisk, shard: Shard) {
    let store = setting.open(disk).await;
    assert_eq!(store.shard(), shard);
    assert_eq!(blocks(&store).await, whole());
    assert_eq!(
        counted(&store).await.bytes,
        usage(disk),
        "{:?}",
        disk.tree()
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_resharding_survives_a_crash_at_any_step() {
    let mut tally = Tally::default();
    for setting in safe_with_and_without_syncfs() {
        let base = setting.closed_with(BEFORE).await;
        survives_crashes(&base, &ToTarget(setting), 3, &mut tally).await;
    }
    tally.print("reshard");
}

#[tokio::test]
async fn an_interrupted_resharding_is_completed_to_another_function_or_undone() {
    let old = Shard::default();
    let other: Shard = "suffix/1".parse().unwrap();
    let base = SAFE.closed_with(BEFORE).await;
    let to_target = async |disk: &FaultDisk| reshard(disk, target()).await;
    crash_at_any_step(&base, to_target, async |steps, disk, done| {
        if done.is_ok() {
            return;
        }
        for shard in [old, other] {
            let found = disk.reboot(Loss::Some(steps));
            let _ = reshard(&found, shard).await.unwrap();
            check_whole(SAFE, &found.reboot(Loss::All), shard).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_completion_survives_a_crash_at_any_step() {
    let half = SAFE.closed_with(BEFORE).await;
    let mut moved = 0;
    let refusal = half.refuse(move |op, path| {
        let is_block = path.extension().is_some_and(|end| end == "data");
        let moves = op == Op::Rename && is_block;
        moved += u32::from(moves);
        (moves && moved > 2).then_some(ErrorKind::Other)
    });
    reshard(&half, target()).await.unwrap_err();
    drop(refusal);
    survives_crashes(&half, &ToTarget(SAFE), 1, &mut Tally::default()).await;
}

#[tokio::test]
async fn a_resharding_that_fails_at_any_step_can_be_tried_again() {
    let mut tally = Tally::default();
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for setting in safe_with_and_without_syncfs() {
            let base = setting.closed_with(BEFORE).await;
            survives_failures(&base, &ToTarget(setting), kind, &mut tally).await;
        }
    }
    tally.print("reshard, failing");
}

#[tokio::test]
async fn one_that_is_stopped_goes_on_where_it_was() {
    let disk = SAFE.closed_with(BEFORE).await;
    let mut calls = 0;
    let stopped = Reshard::new(target()).on_progress(move |_| {
        calls += 1;
        match calls {
            4 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let error = stopped.run_on(Arc::new(disk.clone()), STORE.into()).await;
    assert!(matches!(error, Err(Error::Stopped)), "{error:?}");
    ToTarget(SAFE).check_between(&disk).await;
    let _ = reshard(&disk, target()).await.unwrap();
    check_whole(SAFE, &disk, target()).await;
}

#[tokio::test]
async fn a_shard_that_can_not_be_read_is_told_before_anything_is_changed() {
    for refused in [Op::List, Op::Stat] {
        let disk = SAFE.closed_with(BEFORE).await;
        let refusal = disk.refuse(move |op, path| {
            let path = path.to_string_lossy();
            let is_shard = path.ends_with("/AA") || path.ends_with("/AA/.");
            (op == refused && is_shard).then_some(ErrorKind::PermissionDenied)
        });
        let error = reshard(&disk, target()).await.unwrap_err();
        assert!(
            error.path().is_some_and(|path| path.ends_with("AA")),
            "{error:?}"
        );
        drop(refusal);
        check_whole(SAFE, &disk, Shard::default()).await;
    }
}

#[tokio::test]
async fn a_dropped_future_stops_the_work_and_the_same_call_completes_it() {
    let disk = SAFE.closed_with(BEFORE).await;
    let held = disk.hold(|op, path| op == Op::Rename && path.ends_with("CA/CAA1.data"));
    let task = tokio::spawn({
        let disk = disk.clone();
        async move { reshard(&disk, target()).await }
    });
    held.reached().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let locked = reshard(&disk, target()).await.unwrap_err();
    assert!(locked.is_locked(), "the step that is under way goes on");
    drop(held);
    let done = loop {
        match reshard(&disk, target()).await {
            Err(error) if error.is_locked() => tokio::task::yield_now().await,
            done => break done,
        }
    };
    let _ = done.unwrap();
    check_whole(SAFE, &disk, target()).await;
}

#[tokio::test]
async fn a_commit_that_was_cut_short_is_carried_out_before() {
    use super::fixture::{Change, Write};
    let disk = SAFE.closed_with(BEFORE).await;
    let store = SAFE.open(&disk).await;
    let refusal = disk.refuse(|op, path| {
        (op == Op::Rename && path.ends_with("QQ/QQQ1.data")).then_some(ErrorKind::Other)
    });
    let commit = Write::Commit(vec![Change::Put("QQQ1", "six"), Change::Delete("Z")]);
    commit.run(&store).await.unwrap_err();
    drop(refusal);
    let found = disk.reboot(Loss::All);
    let _ = reshard(&found, target()).await.unwrap();
    let mut expected = whole();
    expected.remove("Z");
    expected.insert("QQQ1".to_owned(), "six".into());
    assert_eq!(blocks(&SAFE.open(&found).await).await, expected);
}
