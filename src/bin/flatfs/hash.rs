//! Checks of blocks against the hashes in their CIDs.

use cid::{Cid, CidGeneric};
use ds_flatfs::hash::{HashError, check, inline};
use multihash_codetable::{Code, MultihashDigest as _};

/// The multicodec code of `raw`.
const RAW: u64 = 0x55;

/// A block that does not have, or may not have, the hash in its CID.
#[derive(Debug, thiserror::Error)]
#[error("the block of the CID {cid}")]
pub(crate) struct VerifyError {
    cid: String,
    #[source]
    pub(crate) reason: HashError,
}

/// Checks that `block` has the hash of `cid`.
///
/// # Errors
///
/// Fails if it has another hash, or if the hash can't be checked.
pub(crate) fn verify<const S: usize>(cid: &CidGeneric<S>, block: &[u8]) -> Result<(), VerifyError> {
    check(cid.hash(), block).map_err(|reason| VerifyError {
        cid: cid.to_string(),
        reason,
    })
}

/// Returns whether the CID contains its block.
pub(crate) fn is_identity<const S: usize>(cid: &CidGeneric<S>) -> bool {
    inline(cid.hash()).is_some()
}

/// Returns the CID of a raw block: version 1, sha2-256.
pub(crate) fn raw_cid(block: &[u8]) -> Cid {
    Cid::new_v1(RAW, Code::Sha2_256.digest(block))
}
