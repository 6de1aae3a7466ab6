//! [`StoreSetup`]: stores on a fault disk, with the options and capabilities that a test needs.

use std::path::PathBuf;
use std::sync::Arc;

use super::inspect::{BlockMap, STORE_PATH, below_temp, blocks, exact_usage, true_usage};
use super::model::StoreModel;
use crate::error::Result;
use crate::key::Key;
use crate::store::{Durability, ExistingBlock, FlatFs, Options, Purpose};
use crate::testing::fault_disk::{Capabilities, DataLoss, FaultDisk};

/// The options of a store, and the capabilities of its disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreSetup {
    pub(super) durability: Durability,
    pub(super) existing_block: ExistingBlock,
    pub(super) capabilities: Capabilities,
}

/// The strictest durability, on a disk that can do everything.
pub(super) const DURABLE: StoreSetup = StoreSetup {
    durability: Durability::EveryWrite,
    existing_block: ExistingBlock::Overwrite,
    capabilities: Capabilities::ALL,
};

/// The capabilities of a system other than Linux.
pub(super) const WITHOUT_SYNCFS: Capabilities = Capabilities {
    syncfs: false,
    ..Capabilities::ALL
};

pub(super) const NO_CAPABILITIES: Capabilities = Capabilities {
    syncfs: false,
    links: false,
};

/// Returns every durability, each with all capabilities, without `syncfs`, and without any.
pub(super) fn all_setups() -> impl Iterator<Item = StoreSetup> {
    let modes = [
        Durability::EveryWrite,
        Durability::Commits,
        Durability::OnSync,
    ];
    modes.into_iter().flat_map(|durability| {
        [Capabilities::ALL, WITHOUT_SYNCFS, NO_CAPABILITIES].map(|capabilities| StoreSetup {
            durability,
            capabilities,
            ..DURABLE
        })
    })
}

/// Returns the strictest durability with and without `syncfs`.
pub(super) fn durable_with_and_without_syncfs() -> [StoreSetup; 2] {
    [Capabilities::ALL, WITHOUT_SYNCFS].map(|capabilities| StoreSetup {
        capabilities,
        ..DURABLE
    })
}

/// Returns every durability with all capabilities, for tests in which it does not matter how the disk
/// flushes.
pub(super) fn setups_with_all_capabilities() -> impl Iterator<Item = StoreSetup> {
    all_setups().filter(|setup| setup.capabilities == Capabilities::ALL)
}

impl StoreSetup {
    /// Returns a disk without a store.
    pub(super) fn disk(self) -> FaultDisk {
        FaultDisk::with(self.capabilities)
    }

    /// Opens or creates the store on a disk, as the purpose says.
    pub(super) async fn open_as(self, disk: &FaultDisk, purpose: Purpose) -> Result<FlatFs> {
        let options = Options::new()
            .durability(self.durability)
            .max_open_files(64)
            .existing_block(self.existing_block);
        let disk = Arc::new(disk.clone());
        options
            .begin_on(disk, PathBuf::from(STORE_PATH), purpose)
            .await
    }

    /// Opens the store on a disk.
    pub(super) async fn open(self, disk: &FaultDisk) -> FlatFs {
        self.open_as(disk, Purpose::Open).await.unwrap()
    }

    /// Returns a disk with a closed store that has these blocks.
    pub(super) async fn closed_with(self, blocks: &[(&'static str, &'static str)]) -> FaultDisk {
        let disk = self.disk();
        let store = self.open_as(&disk, Purpose::Create).await.unwrap();
        for &(key, value) in blocks {
            store.put(&Key::new(key), value.into()).await.unwrap();
        }
        store.close().await.unwrap();
        disk.reboot(DataLoss::None)
    }

    /// Returns an open store that has these blocks, and its disk.
    pub(super) async fn store_with(
        self,
        blocks: &[(&'static str, &'static str)],
    ) -> (FaultDisk, FlatFs) {
        let disk = self.closed_with(blocks).await;
        let store = self.open(&disk).await;
        (disk, store)
    }

    /// Checks that the store on a disk after a crash has what the model promises.
    pub(super) async fn check(self, found: &FaultDisk, model: &StoreModel, loss: DataLoss) {
        if let Err(wrong) = model.check(&self.recover(found).await, loss) {
            panic!("{self:?} {loss:?}: {wrong}");
        }
    }

    /// Opens the store on a disk after a crash and returns its blocks. Checks that the open removes all
    /// temporary files, and that the disk usage is right.
    pub(super) async fn recover(self, found: &FaultDisk) -> BlockMap {
        let store = self.open(found).await;
        assert_eq!(below_temp(found), [""; 0], "{self:?}");
        let blocks = blocks(&store).await;
        let usage = exact_usage(&store).await.bytes;
        assert_eq!(usage, true_usage(found), "{:?}", found.tree());
        store.close().await.unwrap();
        blocks
    }
}
