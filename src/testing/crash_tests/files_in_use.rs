//! Files that another program has open, so that the system removes them only later.

use std::io::ErrorKind;
use std::sync::mpsc;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{STORE_PATH, true_usage};
use super::setup::{StoreSetup, all_setups};
use crate::datastore::Accuracy;
use crate::disk::Disk as _;
use crate::key::Key;
use crate::store::{ExistingBlock, FlatFs};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[("AA1", "one")];

/// Returns every durability with both ways to treat existing blocks.
fn setups() -> impl Iterator<Item = StoreSetup> {
    let existing_blocks = [ExistingBlock::Keep, ExistingBlock::Overwrite];
    all_setups().flat_map(move |setup| {
        existing_blocks.map(|existing_block| StoreSetup {
            existing_block,
            ..setup
        })
    })
}

/// Deletes the block of `INITIAL`, and fails because its file is in use.
async fn delete_in_use(disk: &FaultDisk, store: &FlatFs) {
    let _in_use = disk.refuse(|op, path| {
        let is_block = op == DiskOp::RemoveFile && path.ends_with("AA1.data");
        is_block.then_some(ErrorKind::ResourceBusy)
    });
    let error = StoreCall::Delete("AA1").run(store).await.unwrap_err();
    assert!(error.is_in_use(), "{error}");
}

#[tokio::test]
async fn a_put_after_a_delete_of_a_file_in_use_does_not_rely_on_that_file() {
    let writes = [
        StoreCall::Put("AA1", "one"),
        StoreCall::Commit(vec![BatchWrite::Put("AA1", "one")]),
    ];
    for setup in setups() {
        for write in &writes {
            let (disk, store) = setup.store_with(INITIAL).await;
            delete_in_use(&disk, &store).await;
            let (sender, replaced) = mpsc::channel();
            let _watch = disk.refuse(move |op, path| {
                if op == DiskOp::Rename && path.ends_with("AA1.data") {
                    sender.send(()).ok();
                }
                None
            });
            write.run(&store).await.unwrap();
            assert!(replaced.try_recv().is_ok(), "{setup:?} {write:?}");
            // The new file is an ordinary one.
            if store.keeps_existing_blocks() {
                StoreCall::Put("AA1", "one").run(&store).await.unwrap();
                assert!(replaced.try_recv().is_err(), "{setup:?} {write:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_put_fails_while_the_file_of_a_deleted_block_cannot_be_replaced() {
    for setup in setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        delete_in_use(&disk, &store).await;
        let in_use = disk.refuse(|op, path| {
            let is_block = op == DiskOp::Rename && path.ends_with("AA1.data");
            is_block.then_some(ErrorKind::ResourceBusy)
        });
        let put = StoreCall::Put("AA1", "one");
        let error = put.run(&store).await.unwrap_err();
        assert!(error.is_in_use(), "{setup:?}: {error}");
        drop(in_use);
        put.run(&store).await.unwrap();
        let key = Key::new("AA1");
        assert_eq!(store.get(&key).await.unwrap(), Some("one".into()));
    }
}

#[tokio::test]
async fn the_disk_usage_is_counted_again_after_a_delete_of_a_file_in_use() {
    for setup in setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        delete_in_use(&disk, &store).await;
        let accuracy = store.disk_usage().await.unwrap().accuracy;
        assert_eq!(accuracy, Accuracy::Approximate);
        store.close().await.unwrap();
        // The other program closes the file, and it goes.
        let disk = disk.reboot(DataLoss::None);
        let block = format!("{STORE_PATH}/AA/AA1.data");
        disk.remove_file(block.as_ref()).unwrap();
        let store = setup.open(&disk).await;
        store.close().await.unwrap();
        let store = setup.open(&disk).await;
        let found = store.disk_usage().await.unwrap();
        assert_eq!(found.bytes, true_usage(&disk), "{setup:?}");
        assert_eq!(found.accuracy, Accuracy::Exact);
    }
}
