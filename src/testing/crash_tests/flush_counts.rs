//! Without `syncfs`, an open, a `sync` and a close flush only what may need it, and not every block.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::calls::{BatchWrite, StoreCall};
use super::inspect::{blocks, count_operations};
use super::setup::{DURABLE, NO_CAPABILITIES, StoreSetup, WITHOUT_SYNCFS, all_setups};
use crate::disk::Kind;
use crate::error::Error;
use crate::key::Key;
use crate::store::{Durability, ExistingBlock};
use crate::testing::fault_disk::{Capabilities, DataLoss, DiskOp, FaultDisk};

/// A store that flushes nothing by itself, where each file has to be flushed.
const LAZY: StoreSetup = StoreSetup {
    durability: Durability::OnSync,
    capabilities: WITHOUT_SYNCFS,
    ..DURABLE
};

/// The number of flushes of single files and directories, and of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlushCounts {
    single: usize,
    everything: usize,
}

/// Runs a call, and counts its flushes.
async fn flushes_of<T>(disk: &FaultDisk, call: impl Future<Output = T>) -> (T, FlushCounts) {
    let is_single = |op, _: &Path| matches!(op, DiskOp::SyncFile | DiskOp::SyncDir);
    let (_single_guard, single) = count_operations(disk, is_single);
    let (_all_guard, all) = count_operations(disk, |op, _| op == DiskOp::SyncAll);
    let result = call.await;
    let counts = FlushCounts {
        single: single.load(Ordering::SeqCst),
        everything: all.load(Ordering::SeqCst),
    };
    (result, counts)
}

fn setups_without_syncfs() -> impl Iterator<Item = StoreSetup> {
    all_setups().filter(|setup| !setup.capabilities.syncfs)
}

/// Returns the disk of a closed store with this many blocks.
async fn closed_store_of(setup: StoreSetup, count: usize) -> FaultDisk {
    let disk = setup.closed_with(&[]).await;
    let store = setup.open(&disk).await;
    for number in 0..count {
        let key = Key::new(format!("N{number:04}"));
        store.put(&key, "a block".into()).await.unwrap();
    }
    store.close().await.unwrap();
    disk.reboot(DataLoss::None)
}

/// The flushes of an open after a crash, of two `sync` calls and of a close, each after a few writes.
async fn flushes_of_sessions(setup: StoreSetup, count: usize) -> Vec<FlushCounts> {
    let disk = closed_store_of(setup, count).await;
    let store = setup.open(&disk).await;
    let mut counts = Vec::new();
    StoreCall::Put("AA1", "one").run(&store).await.unwrap();
    StoreCall::Delete("N0001").run(&store).await.unwrap();
    counts.push(flushes_of(&disk, store.sync()).await.1);
    StoreCall::Put("BB2", "two").run(&store).await.unwrap();
    counts.push(flushes_of(&disk, store.sync()).await.1);
    StoreCall::Put("CC3", "three").run(&store).await.unwrap();
    counts.push(flushes_of(&disk, store.close()).await.1);
    drop(store);
    // A crash in the middle of a commit.
    let store = setup.open(&disk).await;
    let refusal = disk.refuse(|op, path| {
        (op == DiskOp::Rename && path.ends_with("CC3.data")).then_some(ErrorKind::Other)
    });
    let commit = StoreCall::Commit(vec![BatchWrite::Put("CC3", "three, in a batch")]);
    commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    let disk = disk.reboot(DataLoss::None);
    let (store, opened) = flushes_of(&disk, setup.open(&disk)).await;
    counts.push(opened);
    assert_eq!(blocks(&store).await["CC3"], "three, in a batch");
    counts
}

#[tokio::test]
async fn opens_syncs_and_closes_flush_as_much_for_a_large_store_as_for_a_small_one() {
    for setup in setups_without_syncfs() {
        let small = flushes_of_sessions(setup, 10).await;
        assert_eq!(small, flushes_of_sessions(setup, 1000).await, "{setup:?}");
        for counts in small {
            assert_eq!(counts.everything, 0, "{setup:?}");
        }
    }
}

/// What a session that was killed has acknowledged may not be durable.
#[tokio::test]
async fn the_first_sync_after_a_crash_flushes_every_block_and_the_next_one_does_not() {
    for setup in setups_without_syncfs() {
        let lazy = StoreSetup {
            durability: Durability::OnSync,
            ..setup
        };
        let (disk, store) = lazy.store_with(&[]).await;
        StoreCall::Put("AA1", "one").run(&store).await.unwrap();
        drop(store);
        let disk = disk.reboot(DataLoss::None);
        let store = setup.open(&disk).await;
        let (synced, counts) = flushes_of(&disk, store.sync()).await;
        synced.unwrap();
        assert_eq!(counts.everything, 1, "{setup:?}");
        let cut = disk.reboot(DataLoss::AllUnflushed);
        assert_eq!(blocks(&setup.open(&cut).await).await["AA1"], "one");
        let (synced, counts) = flushes_of(&disk, store.sync()).await;
        synced.unwrap();
        assert_eq!(counts.everything, 0, "{setup:?}");
    }
}

#[tokio::test]
async fn a_lazy_close_after_a_crash_flushes_every_block() {
    for setup in setups_without_syncfs().filter(|setup| !setup.durability.syncs_writes()) {
        let (disk, store) = setup.store_with(&[]).await;
        StoreCall::Put("AA1", "one").run(&store).await.unwrap();
        drop(store);
        let disk = disk.reboot(DataLoss::None);
        setup.open(&disk).await.close().await.unwrap();
        let cut = disk.reboot(DataLoss::AllUnflushed);
        assert_eq!(blocks(&setup.open(&cut).await).await["AA1"], "one");
    }
}

#[tokio::test]
async fn a_sync_flushes_a_block_that_was_found_and_left_as_it_is() {
    for capabilities in [WITHOUT_SYNCFS, NO_CAPABILITIES] {
        for existing_block in [ExistingBlock::Keep, ExistingBlock::Overwrite] {
            let setup = StoreSetup {
                durability: Durability::OnSync,
                existing_block,
                capabilities,
            };
            let (disk, store) = setup.store_with(&[("AA1", "one")]).await;
            // As another program would.
            let block = Path::new("/disk/store/AA/AA2.data");
            crate::disk::Disk::write_new(&disk, block, b"two", 0o600, false).unwrap();
            StoreCall::Put("AA2", "two").run(&store).await.unwrap();
            store.sync().await.unwrap();
            let cut = disk.reboot(DataLoss::AllUnflushed);
            assert_eq!(blocks(&setup.open(&cut).await).await["AA2"], "two");
        }
    }
}

#[tokio::test]
async fn writes_whose_flush_did_not_begin_are_flushed_by_the_next_sync() {
    let (disk, store) = LAZY.store_with(&[]).await;
    StoreCall::Put("AA1", "one").run(&store).await.unwrap();
    let refusal = disk.refuse(|op, _| (op == DiskOp::List).then_some(ErrorKind::Other));
    store.sync().await.unwrap_err();
    drop(refusal);
    store.sync().await.unwrap();
    let cut = disk.reboot(DataLoss::AllUnflushed);
    assert_eq!(blocks(&LAZY.open(&cut).await).await["AA1"], "one");
}

#[tokio::test]
async fn a_sync_and_a_close_succeed_although_a_put_found_something_else_at_the_path_of_its_block() {
    for kind in [Kind::Symlink, Kind::Dir, Kind::Other] {
        let (disk, store) = LAZY.store_with(&[("AA1", "one")]).await;
        disk.plant("/disk/store/AA/AA2.data", kind);
        let put = StoreCall::Put("AA2", "two").run(&store).await;
        assert!(matches!(put, Err(Error::Unexpected { .. })), "{put:?}");
        StoreCall::Put("AA3", "three").run(&store).await.unwrap();
        store.sync().await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn after_more_writes_than_are_remembered_a_sync_flushes_every_block() {
    let (disk, store) = LAZY.store_with(&[]).await;
    for number in 0..300 {
        let key = Key::new(format!("N{number:04}"));
        store.put(&key, "a block".into()).await.unwrap();
    }
    let counts = flushes_of(&disk, store.sync()).await.1;
    assert_eq!(counts.everything, 1);
    let counts = flushes_of(&disk, store.sync()).await.1;
    assert_eq!(counts.everything, 0);
    let cut = disk.reboot(DataLoss::AllUnflushed);
    assert_eq!(blocks(&LAZY.open(&cut).await).await.len(), 300);
}

#[tokio::test]
async fn a_sync_flushes_nothing_of_a_block_that_was_put_and_deleted() {
    let (disk, store) = LAZY.store_with(&[("AA1", "one")]).await;
    StoreCall::Put("AA2", "two").run(&store).await.unwrap();
    for key in ["AA1", "AA2"] {
        StoreCall::Delete(key).run(&store).await.unwrap();
    }
    store.sync().await.unwrap();
    let cut = disk.reboot(DataLoss::AllUnflushed);
    assert!(blocks(&LAZY.open(&cut).await).await.is_empty());
}

#[tokio::test]
async fn a_failed_flush_of_an_acknowledged_block_poisons_the_store() {
    let (disk, store) = LAZY.store_with(&[]).await;
    StoreCall::Put("AA1", "one").run(&store).await.unwrap();
    let refusal = disk.refuse(|op, _| (op == DiskOp::SyncFile).then_some(ErrorKind::Other));
    store.sync().await.unwrap_err();
    drop(refusal);
    let error = store.sync().await.unwrap_err();
    assert!(matches!(error, Error::FlushFailed { .. }), "{error}");
}

#[tokio::test]
async fn with_syncfs_a_sync_is_one_flush_of_everything() {
    for setup in all_setups().filter(|setup| setup.capabilities == Capabilities::ALL) {
        let (disk, store) = setup.store_with(&[]).await;
        StoreCall::Put("AA1", "one").run(&store).await.unwrap();
        let counts = flushes_of(&disk, store.sync()).await.1;
        assert_eq!((counts.single, counts.everything), (0, 1), "{setup:?}");
    }
}
