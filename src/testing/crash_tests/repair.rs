//! A crash after each step of a repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::{StreamExt, stream};
use multihash_codetable::{Code, MultihashDigest};

use super::crashes::{CrashCounts, data_losses};
use super::inspect::{BlockMap, STORE_PATH, blocks};
use super::setup::{DURABLE, StoreSetup, durable_with_and_without_syncfs};
use crate::disk::Disk;
use crate::error::Result;
use crate::format::{BlockKey, Layout, Shard};
use crate::key::Key;
use crate::maintenance::{Finding, Problem, Remedy, Repair, Verify};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

const GOOD: &str = "a good block";
const DAMAGED: &str = "a block that is damaged";
const MISPLACED: &str = "a block in the wrong place";

fn cid(block: &str) -> Cid {
    Cid::new_v1(0x55, Code::Sha2_256.digest(block.as_bytes()))
}

fn key(block: &str) -> Key {
    Key::from_cid(&cid(block))
}

fn block_path(block: &str) -> PathBuf {
    let layout = Layout::new(STORE_PATH.into(), Shard::default());
    layout.block(&BlockKey::new(&key(block)).unwrap())
}

/// Returns a store with a good block, a damaged one, and one in the wrong directory.
async fn damaged(setup: StoreSetup) -> FaultDisk {
    let disk = setup.closed_with(&[]).await;
    let store = setup.open(&disk).await;
    for (block, value) in [(GOOD, GOOD), (DAMAGED, "other"), (MISPLACED, MISPLACED)] {
        store.put(&key(block), value.into()).await.unwrap();
    }
    store.close().await.unwrap();
    let from = block_path(MISPLACED);
    let to = Path::new(STORE_PATH).join(from.file_name().unwrap());
    disk.rename_new(&from, &to).unwrap();
    disk.sync_all(Path::new(STORE_PATH)).unwrap();
    disk.reboot(DataLoss::None)
}

/// Returns the findings of a repair until it ends or the machine crashes.
async fn repair(disk: &FaultDisk) -> Vec<Result<Finding>> {
    repair_with(disk, DAMAGED).await
}

/// Returns the findings of a repair that has a copy of this block.
async fn repair_with(disk: &FaultDisk, block: &'static str) -> Vec<Result<Finding>> {
    let copy = (cid(block), Bytes::from(block));
    let repair = Repair::new(STORE_PATH).copies(stream::iter([Ok(copy)]));
    match repair
        .start_on(Arc::new(disk.clone()), STORE_PATH.into())
        .await
    {
        Ok(findings) => findings.collect().await,
        Err(error) => vec![Err(error)],
    }
}

/// Checks that the remedies that were reported are on the disk.
fn check_reported(found: &FaultDisk, reported: &[Result<Finding>], loss: DataLoss) {
    for finding in reported.iter().flatten() {
        let exists = |path: &Path| found.stat(path).is_ok();
        match &finding.remedy {
            Some(Remedy::Quarantined(to)) => assert!(exists(to), "{loss:?}: {finding}"),
            Some(Remedy::Moved(to)) => {
                let is_moved = exists(to) && !exists(&finding.path);
                assert!(is_moved, "{loss:?}: {finding}");
            }
            Some(Remedy::Restored) => {
                assert!(exists(&finding.path), "{loss:?}: {finding}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_repair_loses_nothing_and_the_next_repair_completes_it() {
    let whole: BlockMap = [GOOD, DAMAGED, MISPLACED]
        .map(|block| (key(block).name().to_owned(), Bytes::from(block)))
        .into();
    let mut counts = CrashCounts::default();
    for setup in durable_with_and_without_syncfs() {
        let base = damaged(setup).await;
        for steps in 0.. {
            let disk = base.reboot(DataLoss::None);
            disk.crash_after(steps);
            let reported = repair(&disk).await;
            counts.crash_points += 1;
            for loss in data_losses(steps, 3) {
                let found = disk.reboot(loss);
                check_reported(&found, &reported, loss);
                let wrong = repair(&found).await;
                let wrong: Vec<_> = wrong.into_iter().map(Result::unwrap).collect();
                assert!(!wrong.iter().any(Finding::is_wrong), "{loss:?}: {wrong:?}");
                let store = setup.open(&found).await;
                assert_eq!(blocks(&store).await, whole, "{loss:?}");
                store.close().await.unwrap();
                let quarantine = format!("{STORE_PATH}/.quarantine/");
                let quarantined: Vec<String> = found.tree().into_iter().collect();
                let quarantined: Vec<_> = quarantined
                    .iter()
                    .filter(|path| path.starts_with(&quarantine) && path.ends_with(".data"))
                    .collect();
                assert_eq!(quarantined.len(), 1, "{loss:?}");
                assert_eq!(
                    found.read_live(quarantined[0]).unwrap(),
                    "other",
                    "{loss:?}"
                );
                counts.survived(loss);
            }
            if !disk.has_crashed() {
                break;
            }
        }
    }
    counts.print("repairs");
}

#[tokio::test]
async fn a_block_that_was_moved_to_a_new_shard_directory_is_not_restored_as_well() {
    let disk = damaged(DURABLE).await;
    disk.remove_dir(block_path(MISPLACED).parent().unwrap())
        .unwrap();
    let findings = repair_with(&disk, MISPLACED).await;
    let remedies: Vec<_> = findings
        .iter()
        .filter_map(|finding| finding.as_ref().unwrap().remedy.as_ref())
        .collect();
    let is_moved = |remedy: &&Remedy| matches!(remedy, Remedy::Moved(_));
    assert!(remedies.iter().any(is_moved), "{remedies:?}");
    let is_restored = |remedy: &&Remedy| matches!(remedy, Remedy::Restored);
    assert!(!remedies.iter().any(is_restored), "{remedies:?}");
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_reported_and_the_others_are_checked() {
    let disk = damaged(DURABLE).await;
    let unreadable = block_path(GOOD);
    let path = unreadable.clone();
    let _refused = disk.refuse(move |op, at| {
        let is_it = op == DiskOp::Read && at == path;
        is_it.then_some(std::io::ErrorKind::Other)
    });
    let verify = Verify::new(STORE_PATH).start_on(Arc::new(disk.clone()), STORE_PATH.into());
    let mut findings = verify.await.unwrap();
    let mut found = Vec::new();
    while let Some(finding) = findings.next().await {
        found.push(finding.unwrap());
    }
    assert_eq!(findings.summary().blocks, 3);
    assert_eq!(findings.summary().wrong, 3);
    let of = found.iter().find(|finding| finding.path == unreadable);
    let problem = &of.expect("a finding").problem;
    assert!(matches!(problem, Problem::Unreadable(_)), "{problem:?}");
    let why = "cannot read it: other error";
    assert_eq!(
        problem.to_string(),
        why,
        "the message does not repeat the path"
    );
}
