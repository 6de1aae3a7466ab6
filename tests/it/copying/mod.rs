//! The tools for any datastore: `Copy`, `Diff` and `VerifyBlocks`.

mod copy;
mod diff;
mod faulty;
mod memory;
#[cfg(feature = "verify")]
mod verify_blocks;

use std::collections::BTreeMap;

use bytes::Bytes;
use ds_flatfs::{Datastore, Key, MemoryDatastore, Query};
use futures::TryStreamExt;

type Blocks = BTreeMap<Key, Bytes>;

async fn datastore_of(blocks: &Blocks) -> MemoryDatastore {
    let datastore = MemoryDatastore::new();
    for (key, value) in blocks {
        datastore.put(key, value.clone()).await.unwrap();
    }
    datastore
}

async fn contents(datastore: &dyn Datastore) -> Blocks {
    let entries = datastore.query(Query::new()).await.unwrap();
    entries
        .map_ok(|entry| (entry.key, entry.value.unwrap()))
        .try_collect()
        .await
        .unwrap()
}
