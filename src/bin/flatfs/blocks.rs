//! Blocks by their keys and CIDs, with errors that name them.

use anyhow::Context as _;
use bytes::Bytes;
use cid::Cid;
use ds_flatfs::{Datastore, Key, dag};

use crate::hash;

/// The largest block that any command takes, in bytes. A block is in memory as a whole.
pub(crate) const MAX_BLOCK: u64 = 1 << 30;

/// Returns whether the store has the key.
pub(crate) async fn has_key(store: &dyn Datastore, key: &Key) -> anyhow::Result<bool> {
    let has = store.has(key).await;
    has.with_context(|| format!("cannot look up {key}"))
}

/// Returns the value of the first key that the store has.
pub(crate) async fn read(store: &dyn Datastore, keys: Vec<Key>) -> anyhow::Result<Option<Bytes>> {
    for key in keys {
        let value = store.get(&key).await;
        if let Some(value) = value.with_context(|| format!("cannot get {key}"))? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Returns whether the block of `cid` is in the store or in the CID.
pub(crate) async fn has(store: &dyn Datastore, cid: &Cid) -> anyhow::Result<bool> {
    for key in dag::keys(cid) {
        if has_key(store, &key).await? {
            return Ok(true);
        }
    }
    Ok(hash::is_identity(cid))
}

/// Returns the block of `cid` from the store or from the CID.
pub(crate) async fn load(store: &dyn Datastore, cid: &Cid) -> anyhow::Result<Option<Bytes>> {
    let block = dag::load(store, cid).await;
    block.with_context(|| format!("cannot get {cid}"))
}
