//! The block of a CID: the keys under which it may be stored, its bytes, and whether they have its hash.

use bytes::Bytes;
use cid::Cid;

use crate::datastore::{BlockingReader, Datastore};
use crate::error::{Error, Result};
use crate::hash::{self, HashError};
use crate::key::Key;

/// Returns the keys under which a store may have the block of `cid`: that of its multihash, which today's
/// repos use, and that of the bytes of the CID of version 1, which go-ipfs used before version 0.12. A CID of version 0
/// names the same block. A CID that contains its block, by the identity hash, has no keys.
///
/// ```
/// use ds_flatfs::Key;
/// use ds_flatfs::cid::Cid;
///
/// let cid: Cid = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse()?;
/// assert_eq!(ds_flatfs::dag::keys(&cid), [Key::from_cid(&cid), Key::from_cid_bytes(&cid)]);
/// # Ok::<(), ds_flatfs::cid::Error>(())
/// ```
#[must_use]
pub fn keys(cid: &Cid) -> Vec<Key> {
    if hash::inline(cid.hash()).is_some() {
        return Vec::new();
    }
    vec![Key::from_cid(cid), old_key(cid)]
}

fn old_key(cid: &Cid) -> Key {
    Key::from_cid_bytes(&Cid::new_v1(cid.codec(), *cid.hash()))
}

/// Returns the block of `cid`, from the CID itself or from the first of its [`keys`] that `store` has. The
/// bytes are not [checked](check).
///
/// # Errors
///
/// As for [`Datastore::get`].
pub async fn load(store: &dyn Datastore, cid: &Cid) -> Result<Option<Bytes>> {
    if let Some(block) = hash::inline(cid.hash()) {
        return Ok(Some(Bytes::copy_from_slice(block)));
    }
    for key in keys(cid) {
        if let Some(block) = store.get(&key).await? {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// Like [`load`], in a job on the blocking pool.
pub(super) fn load_blocking(reader: &dyn BlockingReader, cid: &Cid) -> Result<Option<Bytes>> {
    if let Some(block) = hash::inline(cid.hash()) {
        return Ok(Some(Bytes::copy_from_slice(block)));
    }
    first_of(cid, |key| reader.get(key))
}

/// Returns the size of the block of `cid`, if it is in the CID itself or in `store`.
pub(super) async fn size(store: &dyn Datastore, cid: &Cid) -> Result<Option<u64>> {
    for key in keys(cid) {
        if let Some(size) = store.get_size(&key).await? {
            return Ok(Some(size));
        }
    }
    Ok(hash::inline(cid.hash()).map(|block| block.len() as u64))
}

/// Like [`size`], in a job on the blocking pool.
pub(super) fn size_blocking(reader: &dyn BlockingReader, cid: &Cid) -> Result<Option<u64>> {
    if let Some(block) = hash::inline(cid.hash()) {
        return Ok(Some(block.len() as u64));
    }
    first_of(cid, |key| reader.get_size(key))
}

/// Returns the first result for one of the [`keys`] of a CID. The second one is seldom needed, so it is made late.
fn first_of<T>(cid: &Cid, read: impl Fn(&Key) -> Result<Option<T>>) -> Result<Option<T>> {
    match read(&Key::from_cid(cid))? {
        Some(found) => Ok(Some(found)),
        None => read(&old_key(cid)),
    }
}

/// Checks that a block has the hash of its CID, unless the hash function is [unknown](HashError::Unknown).
///
/// # Errors
///
/// Returns [`Error::Corrupt`], with the CID, if it has another hash or a digest of a [length](HashError::Length) that
/// can't be checked, and [`Error::Runtime`] if a large block can't be hashed because there is no runtime.
pub async fn check(cid: &Cid, block: &Bytes) -> Result<()> {
    match hash::check_without_blocking(*cid.hash(), block).await? {
        Err(reason @ HashError::Length(_)) => Err(corrupt(cid, reason)),
        result => checked(cid, result).map(drop),
    }
}

/// Returns whether a block could be checked: not if its hash function is unknown or its digest too short. Such a block
/// may be intact, with all that it links to.
///
/// # Errors
///
/// Returns [`Error::Corrupt`] for a block that does not have the hash of its CID.
pub(super) fn checked(cid: &Cid, result: Result<(), HashError>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(HashError::Unknown(_) | HashError::Length(_)) => Ok(false),
        Err(reason) => Err(corrupt(cid, reason)),
    }
}

fn corrupt(cid: &Cid, reason: HashError) -> Error {
    Error::Corrupt {
        key: cid.to_string(),
        reason: reason.to_string(),
    }
}

/// Returns the error for a block that the datastore does not have.
pub(super) fn missing(cid: &Cid, parent: Option<&Cid>) -> Error {
    Error::MissingBlock {
        cid: cid.to_string(),
        parent: parent.map(ToString::to_string),
    }
}
