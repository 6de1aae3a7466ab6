//! Writes of one key at the same time.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use futures::future::try_join_all;

use super::fixture::{Change, SAFE, Write, blocks, counting, pool_turn, usage};
use super::model::Model;
use crate::key::Key;
use crate::testing::fault_disk::{Loss, Op};

const BEFORE: &[(&str, &str)] = &[("AA1", "as it was")];

#[tokio::test]
async fn of_many_puts_of_the_same_block_one_runs() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let (_guard, renames) = counting(&disk, |op, path| {
        op == Op::Rename && path.ends_with("AA2.data")
    });
    let held = disk.hold(|op, path| op == Op::Rename && path.ends_with("AA2.data"));
    let write = Write::Put("AA2", "the same");
    let mut puts: Vec<_> = (0..16).map(|_| Box::pin(write.run(&store))).collect();
    for put in &mut puts {
        assert!(put.now_or_never().is_none());
    }
    held.reached().await;
    drop(held);
    try_join_all(puts).await.unwrap();
    assert_eq!(renames.load(Ordering::SeqCst), 1);
    let mut model = Model::new(SAFE.durability, BEFORE);
    model.acknowledged(&write);
    SAFE.check(&disk.reboot(Loss::All), &model, Loss::All).await;
}

#[tokio::test]
async fn a_put_that_waited_for_one_that_failed_runs() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let held = disk.hold(|op, _| op == Op::Rename);
    let write = Write::Put("AA2", "the same");
    let mut first = Box::pin(write.run(&store));
    let mut second = Box::pin(write.run(&store));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    held.reached().await;
    disk.fail_after(0, ErrorKind::Other);
    drop(held);
    let (first, second) = futures::join!(first, second);
    first.unwrap_err();
    second.unwrap();
    assert_eq!(blocks(&store).await.len(), 2);
}

/// So no write may take another one's success for its own: a put none from before a delete, say.
#[tokio::test]
async fn writes_of_one_key_take_effect_in_the_order_in_which_they_came() {
    let kinds = [
        Write::Put("AA1", "one value"),
        Write::Put("AA1", "another"),
        Write::Delete("AA1"),
    ];
    let orders = (0..81).map(|order| [27, 9, 3, 1].map(|place| &kinds[order / place % 3]));
    let (disk, store) = SAFE.store_with(BEFORE).await;
    for order in orders {
        Write::Put("AA1", "as it was").run(&store).await.unwrap();
        let held = disk.hold(|op, path| {
            matches!(op, Op::Rename | Op::RemoveFile) && path.ends_with("AA1.data")
        });
        let mut writes: Vec<_> = order
            .iter()
            .map(|write| Box::pin(write.run(&store)))
            .collect();
        for write in &mut writes {
            assert!(write.now_or_never().is_none());
        }
        held.reached().await;
        drop(held);
        try_join_all(writes).await.unwrap();
        let mut model = Model::new(SAFE.durability, BEFORE);
        model.acknowledged(order[3]);
        assert_eq!(blocks(&store).await, model.live(), "{order:?}");
        assert_eq!(store.disk_usage().await.unwrap().bytes, usage(&disk));
        SAFE.check(&disk.reboot(Loss::All), &model, Loss::All).await;
    }
}

#[tokio::test]
async fn a_put_does_not_rely_on_one_that_a_failed_write_came_behind() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let held = disk.hold(|op, path| op == Op::Rename && path.ends_with("AA1.data"));
    let (one, two) = (Write::Put("AA1", "one"), Write::Put("AA1", "two"));
    let mut writes = [&one, &two, &one].map(|write| Box::pin(write.run(&store)));
    for write in &mut writes {
        assert!(write.now_or_never().is_none());
    }
    held.reached().await;
    let mut flushes = 0;
    let _refusal = disk.refuse(move |op, path| {
        flushes += u32::from(op == Op::SyncDir && path.ends_with("AA"));
        (flushes == 2).then_some(ErrorKind::Other)
    });
    drop(held);
    let [first, second, third] = writes;
    let (first, second, third) = futures::join!(first, second, third);
    first.unwrap();
    second.unwrap_err();
    third.unwrap_err();
}

#[tokio::test]
async fn a_write_of_a_key_waits_for_the_end_of_its_commit() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let held = disk.hold(|op, path| op == Op::RemoveFile && path.ends_with("COMMIT"));
    let writes = [
        Write::Commit(vec![Change::Delete("AA1")]),
        Write::Put("AA1", "back again"),
    ];
    let [mut commit, mut put] = writes.each_ref().map(|write| Box::pin(write.run(&store)));
    while held.arrived() == 0 {
        assert!(commit.as_mut().now_or_never().is_none());
        pool_turn().await;
    }
    for _ in 0..20 {
        assert!(put.as_mut().now_or_never().is_none());
        pool_turn().await;
    }
    assert!(!store.has(&Key::new("AA1")).await.unwrap());
    drop(held);
    futures::try_join!(commit, put).unwrap();
    let mut model = Model::new(SAFE.durability, BEFORE);
    model.acknowledged(&writes[1]);
    SAFE.check(&disk.reboot(Loss::All), &model, Loss::All).await;
}
