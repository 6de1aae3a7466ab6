//! A crash after every single step of a repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::{StreamExt, stream};
use multihash_codetable::{Code, MultihashDigest};

use super::fixture::{
    Blocks, SAFE, STORE, Setting, Tally, blocks, losses, safe_with_and_without_syncfs,
};
use crate::disk::Disk;
use crate::error::Result;
use crate::format::Shard;
use crate::format::{BlockKey, Layout};
use crate::key::Key;
use crate::maintenance::verify::{Finding, Problem, Remedy, Repair, Verify};
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

const GOOD: &str = "a good block";
const DAMAGED: &str = "a block that is damaged";
const MISPLACED: &str = "a block in the wrong place";

fn cid(block: &str) -> Cid {
    Cid::new_v1(0x55, Code::Sha2_256.digest(block.as_bytes()))
}

fn key(block: &str) -> Key {
    Key::from_cid(&cid(block))
}

fn place(block: &str) -> PathBuf {
    let layout = Layout::new(STORE.into(), Shard::default());
    layout.block(&BlockKey::new(&key(block)).unwrap())
}

/// A store with a good block, a damaged one, and one in the wrong place.
async fn damaged(setting: Setting) -> FaultDisk {
    let disk = setting.closed_with(&[]).await;
    let store = setting.open(&disk).await;
    for (block, value) in [(GOOD, GOOD), (DAMAGED, "other"), (MISPLACED, MISPLACED)] {
        store.put(&key(block), value.into()).await.unwrap();
    }
    store.close().await.unwrap();
    let from = place(MISPLACED);
    let to = Path::new(STORE).join(from.file_name().unwrap());
    disk.rename_new(&from, &to).unwrap();
    disk.sync_all(Path::new(STORE)).unwrap();
    disk.reboot(Loss::None)
}

/// What a repair tells until it ends or the machine crashes.
async fn repair(disk: &FaultDisk) -> Vec<Result<Finding>> {
    let copy = (cid(DAMAGED), Bytes::from(DAMAGED));
    let repair = Repair::new(STORE).copies(stream::iter([Ok(copy)]));
    match repair.start_on(Arc::new(disk.clone()), STORE.into()).await {
        Ok(findings) => findings.collect().await,
        Err(error) => vec![Err(error)],
    }
}

/// What was said to be done is done.
fn check_told(found: &FaultDisk, told: &[Result<Finding>], loss: Loss) {
    for finding in told.iter().flatten() {
        let is_there = |path: &Path| found.stat(path).is_ok();
        match &finding.remedy {
            Some(Remedy::Quarantined(to)) => assert!(is_there(to), "{loss:?}: {finding}"),
            Some(Remedy::Moved(to)) => {
                let is_moved = is_there(to) && !is_there(&finding.path);
                assert!(is_moved, "{loss:?}: {finding}");
            }
            Some(Remedy::Restored) => {
                assert!(is_there(&finding.path), "{loss:?}: {finding}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_repair_loses_nothing_by_a_crash_at_any_step_and_the_next_one_completes_it() {
    let whole: Blocks = [GOOD, DAMAGED, MISPLACED]
        .map(|block| (key(block).name().to_owned(), Bytes::from(block)))
        .into();
    let mut tally = Tally::default();
    for setting in safe_with_and_without_syncfs() {
        let base = damaged(setting).await;
        for steps in 0.. {
            let disk = base.reboot(Loss::None);
            disk.crash_after(steps);
            let told = repair(&disk).await;
            tally.points += 1;
            for loss in losses(steps, 3) {
                let found = disk.reboot(loss);
                check_told(&found, &told, loss);
                let wrong = repair(&found).await;
                let wrong: Vec<_> = wrong.into_iter().map(Result::unwrap).collect();
                assert!(!wrong.iter().any(Finding::is_wrong), "{loss:?}: {wrong:?}");
                let store = setting.open(&found).await;
                assert_eq!(blocks(&store).await, whole, "{loss:?}");
                store.close().await.unwrap();
                let quarantine = format!("{STORE}/.quarantine/");
                let kept: Vec<String> = found.tree().into_iter().collect();
                let kept: Vec<_> = kept
                    .iter()
                    .filter(|path| path.starts_with(&quarantine) && path.ends_with(".data"))
                    .collect();
                assert_eq!(kept.len(), 1, "{loss:?}");
                assert_eq!(found.read_live(kept[0]).unwrap(), "other", "{loss:?}");
                tally.survived(loss);
            }
            if !disk.has_crashed() {
                break;
            }
        }
    }
    tally.print("repairs");
}

#[tokio::test]
async fn what_cannot_be_read_is_found_and_the_rest_is_looked_at() {
    let disk = damaged(SAFE).await;
    let unreadable = place(GOOD);
    let path = unreadable.clone();
    let _refused = disk.refuse(move |op, at| {
        let is_it = op == Op::Read && at == path;
        is_it.then_some(std::io::ErrorKind::Other)
    });
    let verify = Verify::new(STORE).start_on(Arc::new(disk.clone()), STORE.into());
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
    assert_eq!(problem.to_string(), why, "the path stands before");
}
