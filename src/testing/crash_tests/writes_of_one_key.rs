//! Concurrent writes of one key: equal puts are coalesced, all others run in order.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use futures::future::try_join_all;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{blocks, count_operations, true_usage, yield_to_pool};
use super::model::StoreModel;
use super::setup::DURABLE;
use crate::key::Key;
use crate::testing::fault_disk::{DataLoss, DiskOp};

const INITIAL: &[(&str, &str)] = &[("AA1", "as it was")];

#[tokio::test]
async fn concurrent_puts_of_the_same_block_write_it_once() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let (_guard, renames) = count_operations(&disk, |op, path| {
        op == DiskOp::Rename && path.ends_with("AA2.data")
    });
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::Rename && path.ends_with("AA2.data"));
    let write = StoreCall::Put("AA2", "the same");
    let mut puts: Vec<_> = (0..16).map(|_| Box::pin(write.run(&store))).collect();
    for put in &mut puts {
        assert!(put.now_or_never().is_none());
    }
    breakpoint.reached().await;
    drop(breakpoint);
    try_join_all(puts).await.unwrap();
    assert_eq!(renames.load(Ordering::SeqCst), 1);
    let mut model = StoreModel::new(DURABLE.durability, INITIAL);
    model.acknowledged(&write);
    DURABLE
        .check(
            &disk.reboot(DataLoss::AllUnflushed),
            &model,
            DataLoss::AllUnflushed,
        )
        .await;
}

#[tokio::test]
async fn a_put_runs_if_the_equal_put_that_it_waited_for_fails() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let breakpoint = disk.set_breakpoint(|op, _| op == DiskOp::Rename);
    let write = StoreCall::Put("AA2", "the same");
    let mut first = Box::pin(write.run(&store));
    let mut second = Box::pin(write.run(&store));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    breakpoint.reached().await;
    disk.fail_after(0, ErrorKind::Other);
    drop(breakpoint);
    let (first, second) = futures::join!(first, second);
    first.unwrap_err();
    second.unwrap();
    assert_eq!(blocks(&store).await.len(), 2);
}

/// A write must not rely on the success of an earlier one if another write came between them: a put of
/// the same block before a delete, for example.
#[tokio::test]
async fn writes_of_one_key_take_effect_in_the_order_of_their_calls() {
    let kinds = [
        StoreCall::Put("AA1", "one value"),
        StoreCall::Put("AA1", "another"),
        StoreCall::Delete("AA1"),
    ];
    let orders = (0..81).map(|order| [27, 9, 3, 1].map(|place| &kinds[order / place % 3]));
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    for order in orders {
        StoreCall::Put("AA1", "as it was")
            .run(&store)
            .await
            .unwrap();
        let breakpoint = disk.set_breakpoint(|op, path| {
            matches!(op, DiskOp::Rename | DiskOp::RemoveFile) && path.ends_with("AA1.data")
        });
        let mut writes: Vec<_> = order
            .iter()
            .map(|write| Box::pin(write.run(&store)))
            .collect();
        for write in &mut writes {
            assert!(write.now_or_never().is_none());
        }
        breakpoint.reached().await;
        drop(breakpoint);
        try_join_all(writes).await.unwrap();
        let mut model = StoreModel::new(DURABLE.durability, INITIAL);
        model.acknowledged(order[3]);
        assert_eq!(blocks(&store).await, model.live(), "{order:?}");
        assert_eq!(store.disk_usage().await.unwrap().bytes, true_usage(&disk));
        DURABLE
            .check(
                &disk.reboot(DataLoss::AllUnflushed),
                &model,
                DataLoss::AllUnflushed,
            )
            .await;
    }
}

#[tokio::test]
async fn a_put_does_not_rely_on_an_equal_put_before_a_failed_write() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::Rename && path.ends_with("AA1.data"));
    let (one, two) = (StoreCall::Put("AA1", "one"), StoreCall::Put("AA1", "two"));
    let mut writes = [&one, &two, &one].map(|write| Box::pin(write.run(&store)));
    for write in &mut writes {
        assert!(write.now_or_never().is_none());
    }
    breakpoint.reached().await;
    let mut flushes = 0;
    let _refusal = disk.refuse(move |op, path| {
        flushes += u32::from(op == DiskOp::SyncDir && path.ends_with("AA"));
        (flushes == 2).then_some(ErrorKind::Other)
    });
    drop(breakpoint);
    let [first, second, third] = writes;
    let (first, second, third) = futures::join!(first, second, third);
    first.unwrap();
    second.unwrap_err();
    third.unwrap_err();
}

#[tokio::test]
async fn a_write_of_a_key_waits_for_the_end_of_a_commit_of_that_key() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let breakpoint =
        disk.set_breakpoint(|op, path| op == DiskOp::RemoveFile && path.ends_with("COMMIT"));
    let writes = [
        StoreCall::Commit(vec![BatchWrite::Delete("AA1")]),
        StoreCall::Put("AA1", "back again"),
    ];
    let [mut commit, mut put] = writes.each_ref().map(|write| Box::pin(write.run(&store)));
    while breakpoint.arrived() == 0 {
        assert!(commit.as_mut().now_or_never().is_none());
        yield_to_pool().await;
    }
    for _ in 0..20 {
        assert!(put.as_mut().now_or_never().is_none());
        yield_to_pool().await;
    }
    assert!(!store.has(&Key::new("AA1")).await.unwrap());
    drop(breakpoint);
    futures::try_join!(commit, put).unwrap();
    let mut model = StoreModel::new(DURABLE.durability, INITIAL);
    model.acknowledged(&writes[1]);
    DURABLE
        .check(
            &disk.reboot(DataLoss::AllUnflushed),
            &model,
            DataLoss::AllUnflushed,
        )
        .await;
}
