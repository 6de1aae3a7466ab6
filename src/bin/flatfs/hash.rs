//! What the hash of a CID says about bytes.

use cid::Cid;
use ds_flatfs::hash::{HashError, check, inline};
use multihash_codetable::{Code, MultihashDigest as _};

/// The multicodec code of plain bytes.
const RAW: u64 = 0x55;

/// A block that is not accepted as that of its CID.
#[derive(Debug, thiserror::Error)]
#[error("the block of the CID {cid}")]
pub(crate) struct NotVerified {
    cid: Cid,
    #[source]
    pub(crate) why: HashError,
}

/// Checks that `block` has the hash of `cid`.
///
/// # Errors
///
/// If it has not, or that can't be found out.
pub(crate) fn verify(cid: &Cid, block: &[u8]) -> Result<(), NotVerified> {
    check(cid.hash(), block).map_err(|why| NotVerified { cid: *cid, why })
}

/// Whether the CID carries its block itself.
pub(crate) fn is_identity(cid: &Cid) -> bool {
    inline(cid.hash()).is_some()
}

/// The CID of plain bytes: version 1, sha2-256.
pub(crate) fn raw_cid(block: &[u8]) -> Cid {
    Cid::new_v1(RAW, Code::Sha2_256.digest(block))
}
