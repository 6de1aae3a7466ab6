//! The block of a CID: the keys under which it may be stored, and its bytes.

use anyhow::Context as _;
use bytes::Bytes;
use cid::Cid;
use ds_flatfs::{Datastore, Key};

use crate::hash;

/// The largest block that any command takes, in bytes. A block is in memory as a whole.
pub(crate) const MAX_BLOCK: u64 = 1 << 30;

/// Returns the keys under which a store may have the block of `cid`: that of its multihash, which
/// today's repos use, and that of the bytes of the CID, which older repos use. A CID that carries its
/// block itself has no keys.
pub(crate) fn keys(cid: &Cid) -> Vec<Key> {
    if hash::is_identity(cid) {
        return Vec::new();
    }
    let mut keys = vec![Key::from_cid(cid), Key::from_cid_bytes(cid)];
    keys.dedup();
    keys
}

/// Returns the block that the CID carries itself.
fn inline(cid: &Cid) -> Option<Bytes> {
    ds_flatfs::hash::inline(cid.hash()).map(Bytes::copy_from_slice)
}

/// Whether the store has the key.
pub(crate) async fn has_key(store: &dyn Datastore, key: &Key) -> anyhow::Result<bool> {
    let has = store.has(key).await;
    has.with_context(|| format!("cannot look for {key}"))
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

/// Whether the block of `cid` is in the store or in the CID.
pub(crate) async fn has(store: &dyn Datastore, cid: &Cid) -> anyhow::Result<bool> {
    for key in keys(cid) {
        if has_key(store, &key).await? {
            return Ok(true);
        }
    }
    Ok(hash::is_identity(cid))
}

/// Returns the block of `cid` from the store or from the CID.
pub(crate) async fn load(store: &dyn Datastore, cid: &Cid) -> anyhow::Result<Option<Bytes>> {
    match inline(cid) {
        Some(block) => Ok(Some(block)),
        None => read(store, keys(cid)).await,
    }
}
