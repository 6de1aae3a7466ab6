//! Flushes of staged blocks: when they are made, and what a failed one means for the commit.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::calls::StoreCall;
use super::commit_failures::{INITIAL, commit};
use super::inspect::{blocks, count_operations, yield_to_pool};
use super::model::StoreModel;
use super::setup::{StoreSetup, all_setups, durable_with_and_without_syncfs};
use crate::error::Error;
use crate::key::Key;
use crate::store::{Durability, Purpose};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

fn is_flush_of_staged(op: DiskOp, path: &Path) -> bool {
    op == DiskOp::SyncFile && path.to_string_lossy().contains("batch-")
}

fn on_sync() -> impl Iterator<Item = StoreSetup> {
    all_setups().filter(|setup| setup.durability == Durability::OnSync)
}

/// Checks that after power cuts of a disk no durable block has lost contents.
async fn check_replaced_blocks(setup: StoreSetup, disk: &FaultDisk) {
    let mut model = StoreModel::new(Durability::OnSync, INITIAL);
    model.acknowledged(&commit());
    for seed in 0..100 {
        let loss = DataLoss::SomeUnflushed(seed);
        setup.check(&disk.reboot(loss), &model, loss).await;
    }
}

/// A flush through a descriptor that is opened later may not report a failed write-back.
#[tokio::test]
async fn staged_blocks_are_flushed_through_the_descriptors_that_write_them() {
    for setup in durable_with_and_without_syncfs() {
        for puts in [3, 10] {
            let (disk, store) = setup.store_with(&[]).await;
            let (_guard, flushes) = count_operations(&disk, is_flush_of_staged);
            let batch = store.batch().await.unwrap();
            for number in 0..puts {
                let key = Key::new(format!("N{number:04}"));
                batch.put(&key, "a block".into()).await.unwrap();
            }
            let expected = match setup.capabilities.syncfs {
                true => puts.min(4),
                false => puts,
            };
            while flushes.load(Ordering::SeqCst) < expected {
                yield_to_pool().await;
            }
            batch.commit().await.unwrap();
            assert_eq!(flushes.load(Ordering::SeqCst), expected, "{setup:?}");
            let cut = disk.reboot(DataLoss::AllUnflushed);
            assert_eq!(blocks(&setup.open(&cut).await).await.len(), puts);
        }
    }
}

#[tokio::test]
async fn a_failed_flush_of_a_staged_block_fails_its_batch_and_no_other() {
    for setup in durable_with_and_without_syncfs() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let refusal =
            disk.refuse(|op, path| is_flush_of_staged(op, path).then_some(ErrorKind::Other));
        let error = commit().run(&store).await.unwrap_err();
        assert!(matches!(error, Error::BatchFailed { .. }), "{error}");
        assert_eq!(blocks(&store).await["AA1"], "one, as it was");
        drop(refusal);
        commit().run(&store).await.unwrap();
        let cut = disk.reboot(DataLoss::AllUnflushed);
        let found = blocks(&setup.open(&cut).await).await;
        assert_eq!(found["AA1"], "one, in a batch");
    }
}

#[tokio::test]
async fn a_commit_that_flushes_nothing_else_fails_if_a_block_that_replaces_another_is_not_flushed()
{
    for setup in on_sync() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let refusal =
            disk.refuse(|op, path| is_flush_of_staged(op, path).then_some(ErrorKind::Other));
        let error = commit().run(&store).await.unwrap_err();
        assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
        assert_eq!(blocks(&store).await["AA1"], "one, as it was");
        drop(refusal);
        commit().run(&store).await.unwrap();
        assert_eq!(blocks(&store).await["AA1"], "one, in a batch");
        check_replaced_blocks(setup, &disk).await;
    }
}

#[tokio::test]
async fn a_pending_commit_replaces_no_durable_block_with_lost_contents() {
    for setup in on_sync() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let refusal = disk.refuse(|op, path| {
            (op == DiskOp::Rename && path.extension().is_some_and(|name| name == "data"))
                .then_some(ErrorKind::Other)
        });
        let error = commit().run(&store).await.unwrap_err();
        assert!(matches!(error, Error::CommitIncomplete { .. }), "{error}");
        drop(refusal);
        StoreCall::Put("DD1", "another").run(&store).await.unwrap();
        StoreCall::Delete("DD1").run(&store).await.unwrap();
        // The next write of one of its keys applies it.
        store.delete(&Key::new("BB1")).await.unwrap();
        assert_eq!(blocks(&store).await["AA1"], "one, in a batch");
        let mut model = StoreModel::new(Durability::OnSync, INITIAL);
        for call in [commit(), StoreCall::Put("DD1", "another")] {
            model.acknowledged(&call);
        }
        model.acknowledged(&StoreCall::Delete("DD1"));
        for seed in 0..100 {
            let loss = DataLoss::SomeUnflushed(seed);
            setup.check(&disk.reboot(loss), &model, loss).await;
        }
    }
}

/// The disk reports a failed flush once, to the first of two opens.
#[tokio::test]
async fn an_open_that_is_repeated_replaces_no_durable_block_with_lost_contents() {
    for setup in on_sync() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let refusal = disk.refuse(|op, path| {
            (op == DiskOp::Rename && path.extension().is_some_and(|name| name == "data"))
                .then_some(ErrorKind::Other)
        });
        commit().run(&store).await.unwrap_err();
        drop((refusal, store));
        let disk = disk.reboot(DataLoss::None);
        let refusal = disk.refuse(|op, path| {
            let fails = is_flush_of_staged(op, path) || op == DiskOp::SyncAll;
            fails.then_some(ErrorKind::Other)
        });
        setup.open_as(&disk, Purpose::Open).await.unwrap_err();
        drop(refusal);
        let store = setup.open(&disk).await;
        assert_eq!(blocks(&store).await["AA1"], "one, in a batch");
        drop(store);
        check_replaced_blocks(setup, &disk).await;
    }
}
