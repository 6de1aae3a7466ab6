//! The block of a CID: under which keys it may be stored, and its bytes.

use anyhow::Context as _;
use bytes::Bytes;
use cid::Cid;
use ds_flatfs::{Datastore, Key};

use crate::hash;

/// The largest block that any command takes, in bytes: it is in memory as a whole.
pub(crate) const LARGEST: u64 = 1 << 30;

/// The keys that the block of `cid` may have in a store: that of its multihash, which today's repos
/// use, and that of its CID's bytes, which older ones do. None for a CID that carries its block itself.
pub(crate) fn keys(cid: &Cid) -> Vec<Key> {
    if hash::is_identity(cid) {
        return Vec::new();
    }
    let mut keys = vec![Key::from_cid(cid), Key::from_cid_bytes(cid)];
    keys.dedup();
    keys
}

/// The block that the CID carries itself.
pub(crate) fn inline(cid: &Cid) -> Option<Bytes> {
    ds_flatfs::hash::inline(cid.hash()).map(Bytes::copy_from_slice)
}

/// Whether the store has the key.
pub(crate) async fn has_key(store: &dyn Datastore, key: &Key) -> anyhow::Result<bool> {
    let has = store.has(key).await;
    has.with_context(|| format!("cannot look for {key}"))
}

/// The value of the first of the keys that the store has.
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

/// The block of `cid`, wherever it is.
pub(crate) async fn load(store: &dyn Datastore, cid: &Cid) -> anyhow::Result<Option<Bytes>> {
    match inline(cid) {
        Some(block) => Ok(Some(block)),
        None => read(store, keys(cid)).await,
    }
}
