//! The presence filter of a store, while blocks are put and deleted.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{STORE_PATH, count_operations};
use super::setup::{DURABLE, StoreSetup, all_setups};
use crate::disk::Kind;
use crate::key::Key;
use crate::store::{ExistingBlock, FlatFs, Options, Purpose};
use crate::testing::fault_disk::{DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[("AA1", "one"), ("AA2", "two")];

/// Returns a store that has filled the filters of the shards of these tests, and its disk.
async fn store_with_filters(setup: StoreSetup) -> (FaultDisk, FlatFs) {
    let (disk, store) = setup.store_with(INITIAL).await;
    for key in ["AA0", "BB0"] {
        assert!(!has(&store, key).await);
    }
    (disk, store)
}

async fn has(store: &FlatFs, key: &str) -> bool {
    let has = store.has(&Key::new(key)).await.unwrap();
    let found = store.get(&Key::new(key)).await.unwrap();
    assert_eq!(found.is_some(), has);
    has
}

#[tokio::test]
async fn the_second_absent_block_of_a_shard_needs_no_disk() {
    let (disk, store) = store_with_filters(DURABLE).await;
    let (_guard, operations) = count_operations(&disk, |_, _| true);
    for key in ["AA3", "AA4", "BB1", "BB2"] {
        assert!(!has(&store, key).await);
    }
    assert_eq!(operations.load(Ordering::SeqCst), 0);
    assert!(has(&store, "AA1").await);
}

#[tokio::test]
async fn the_absent_blocks_of_a_new_shard_need_no_disk() {
    let writes = [
        StoreCall::Put("CC1", "one"),
        StoreCall::Commit(vec![BatchWrite::Put("CC1", "in a batch")]),
    ];
    for setup in all_setups() {
        for write in &writes {
            let (disk, store) = setup.store_with(INITIAL).await;
            write.run(&store).await.unwrap();
            let in_shard = |_, path: &Path| path.starts_with(format!("{STORE_PATH}/CC"));
            let (_guard, operations) = count_operations(&disk, in_shard);
            assert!(!has(&store, "CC2").await);
            assert_eq!(operations.load(Ordering::SeqCst), 0);
            assert!(has(&store, "CC1").await);
        }
    }
}

#[tokio::test]
async fn a_block_that_was_known_to_be_absent_is_found_after_every_kind_of_write() {
    let writes = [
        StoreCall::Put("AA3", "three"),
        StoreCall::Put("BB1", "the first one of its shard"),
        StoreCall::Commit(vec![
            BatchWrite::Put("AA3", "three"),
            BatchWrite::Put("BB1", "in a batch"),
        ]),
    ];
    for setup in all_setups() {
        for existing_block in [ExistingBlock::Overwrite, ExistingBlock::Keep] {
            for write in &writes {
                let setup = StoreSetup {
                    existing_block,
                    ..setup
                };
                let (_disk, store) = store_with_filters(setup).await;
                write.run(&store).await.unwrap();
                for (key, _) in write.new_values() {
                    assert!(has(&store, key).await, "{setup:?} {write:?} {key}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_deleted_block_is_absent_and_can_be_put_again() {
    for setup in all_setups() {
        let (_disk, store) = store_with_filters(setup).await;
        StoreCall::Delete("AA1").run(&store).await.unwrap();
        assert!(!has(&store, "AA1").await);
        StoreCall::Put("AA1", "again").run(&store).await.unwrap();
        assert!(has(&store, "AA1").await);
    }
}

#[tokio::test]
async fn a_block_that_is_published_while_its_shard_is_listed_is_found() {
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let breakpoint = disk.set_breakpoint(|op, path| {
            let publishes = matches!(op, DiskOp::Rename | DiskOp::CreateFile);
            publishes && path.ends_with("AA3.data")
        });
        let put = tokio::spawn({
            let store = store.clone();
            async move { StoreCall::Put("AA3", "three").run(&store).await }
        });
        breakpoint.reached().await;
        // The listing does not see the block, whose name is created after it.
        assert!(!has(&store, "AA0").await);
        drop(breakpoint);
        put.await.unwrap().unwrap();
        assert!(has(&store, "AA3").await, "{setup:?}");
    }
}

#[tokio::test]
async fn the_blocks_of_a_commit_that_is_completed_later_are_found() {
    for setup in all_setups() {
        let (disk, store) = store_with_filters(setup).await;
        let refusal = disk.refuse(|op, path| {
            (op == DiskOp::Rename && path.ends_with("AA3.data")).then_some(ErrorKind::Other)
        });
        let commit = StoreCall::Commit(vec![
            BatchWrite::Put("AA3", "three"),
            BatchWrite::Put("BB1", "in a batch"),
        ]);
        commit.run(&store).await.unwrap_err();
        assert!(!has(&store, "AA4").await);
        drop(refusal);
        store.sync().await.unwrap();
        assert!(has(&store, "AA3").await && has(&store, "BB1").await);
    }
}

#[tokio::test]
async fn a_shard_that_cannot_be_listed_is_looked_up_on_disk() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let refusal = disk.refuse(|op, path| {
        (op == DiskOp::List && path.ends_with("AA")).then_some(ErrorKind::Other)
    });
    assert!(!has(&store, "AA0").await);
    assert!(has(&store, "AA1").await);
    drop(refusal);
    assert!(!has(&store, "AA0").await);
}

#[tokio::test]
async fn a_block_that_another_program_adds_is_found_if_the_filter_is_off_or_the_store_read_only() {
    for options in [
        Options::new().max_filter_memory(0),
        Options::new().read_only(true),
    ] {
        let disk = DURABLE.closed_with(INITIAL).await;
        let open = options.begin_on(Arc::new(disk.clone()), STORE_PATH.into(), Purpose::Open);
        let store = open.await.unwrap();
        assert!(!has(&store, "AA0").await);
        disk.plant(format!("{STORE_PATH}/AA/AA0.data"), Kind::File);
        assert!(has(&store, "AA0").await);
    }
}
