//! A crash after each step of a garbage collection, and a failure of each.

use std::io::ErrorKind;
use std::sync::Arc;

use cid::Cid;
use futures::stream;

use super::crashes::CrashCounts;
use super::inspect::{BlockMap, STORE_PATH, blocks};
use super::setup::{StoreSetup, durable_with_and_without_syncfs};
use super::whole_store_tool::{WholeStoreTool, survives_crashes, survives_failures};
use crate::error::Result;
use crate::format::Shard;
use crate::key::Key;
use crate::maintenance::Gc;
use crate::store::{Options, Purpose};
use crate::testing::fault_disk::{DataLoss, FaultDisk};

const LEAF: &str = "a leaf that the root links to";
const GARBAGE: [&str; 5] = ["garbage", "more garbage", "other garbage", "trash", "waste"];

fn raw(block: &str) -> Cid {
    Key::for_block(block.as_bytes()).to_cid().unwrap()
}

/// Returns the bytes of a block that links to the leaf, and its CID.
fn root() -> (Cid, String) {
    let block = format!(r#"{{"/":"{}"}}"#, raw(LEAF));
    (Cid::new_v1(0x0129, *raw(&block).hash()), block)
}

struct Collect {
    setup: StoreSetup,
    shard: Shard,
}

/// Returns collections in stores with each block in a directory of its own, and with all blocks in one.
fn collections() -> impl Iterator<Item = Collect> {
    durable_with_and_without_syncfs()
        .into_iter()
        .flat_map(|setup| {
            let shards = [Shard::default(), Shard::prefix(1).unwrap()];
            shards.map(|shard| Collect { setup, shard })
        })
}

impl Collect {
    async fn base(&self) -> FaultDisk {
        let disk = self.setup.disk();
        let options = Options::new().shard(self.shard);
        let create = options.begin_on(Arc::new(disk.clone()), STORE_PATH.into(), Purpose::Create);
        create.await.unwrap().close().await.unwrap();
        let store = self.setup.open(&disk).await;
        let root = root().1;
        for block in GARBAGE.iter().copied().chain([LEAF, &root]) {
            let key = Key::for_block(block.as_bytes());
            store.put(&key, block.to_owned().into()).await.unwrap();
        }
        store.close().await.unwrap();
        disk.reboot(DataLoss::None)
    }

    async fn blocks(&self, found: &FaultDisk) -> BlockMap {
        let copy = found.reboot(DataLoss::None);
        let store = self.setup.open(&copy).await;
        let found = blocks(&store).await;
        store.close().await.unwrap();
        found
    }
}

/// Checks that the reachable blocks are there, and returns how many others there are.
fn others(found: &BlockMap) -> usize {
    let root = root().1;
    for block in [LEAF, &root] {
        let key = Key::for_block(block.as_bytes());
        assert_eq!(found.get(key.name()).unwrap(), block);
    }
    found.len() - 2
}

impl WholeStoreTool for Collect {
    async fn run(&self, disk: &FaultDisk) -> Result<()> {
        let gc = Gc::new(STORE_PATH).roots(stream::iter([Ok(root().0)]));
        let disk = Arc::new(disk.clone());
        gc.run_on(disk, STORE_PATH.into()).await.map(drop)
    }

    async fn check_between(&self, found: &FaultDisk) {
        others(&self.blocks(found).await);
    }

    async fn check_done(&self, found: &FaultDisk) {
        assert_eq!(others(&self.blocks(found).await), 0);
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_collection_loses_nothing_reachable_and_the_next_one_completes_it()
{
    let mut counts = CrashCounts::default();
    for tool in collections() {
        let base = tool.base().await;
        survives_crashes(&base, &tool, 3, &mut counts).await;
    }
    counts.print("collections");
}

#[tokio::test]
async fn a_failure_of_any_step_of_a_collection_loses_nothing_reachable_and_the_next_one_completes_it()
 {
    let mut counts = CrashCounts::default();
    for tool in collections() {
        let base = tool.base().await;
        survives_failures(&base, &tool, ErrorKind::Other, &mut counts).await;
    }
    counts.print("collections with failures");
}
