//! Whether bytes are those that a CID names.

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest as _};

/// The multihash code of a CID that carries its block itself.
const IDENTITY: u64 = 0x00;

/// The multicodec code of plain bytes.
const RAW: u64 = 0x55;

/// The shortest digest that says anything about a block, as in kubo.
const SHORTEST: usize = 20;

/// Why bytes are not accepted as those of a CID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum HashError {
    #[error("the bytes don't have the hash that their CID {0} says: they are damaged")]
    Mismatch(Cid),
    #[error("the CID {0} has a digest of {1} bytes, which can't be checked")]
    Length(Cid, usize),
    #[error("the CID {0} has the unknown hash function 0x{1:x}")]
    Unknown(Cid, u64),
}

/// Checks that `block` has the hash of `cid`. A digest may be cut down to 20 bytes.
///
/// # Errors
///
/// If it has not, or that can't be found out.
pub(crate) fn verify(cid: &Cid, block: &[u8]) -> Result<(), HashError> {
    let digest = cid.hash().digest();
    let matches = if is_identity(cid) {
        digest == block
    } else {
        let code = cid.hash().code();
        let code = Code::try_from(code).map_err(|_| HashError::Unknown(*cid, code))?;
        let computed = code.digest(block);
        if !(SHORTEST..=computed.digest().len()).contains(&digest.len()) {
            return Err(HashError::Length(*cid, digest.len()));
        }
        computed.digest().starts_with(digest)
    };
    if matches {
        Ok(())
    } else {
        Err(HashError::Mismatch(*cid))
    }
}

/// Whether the CID carries its block itself.
pub(crate) fn is_identity(cid: &Cid) -> bool {
    cid.hash().code() == IDENTITY
}

/// The CID of plain bytes: version 1, sha2-256.
pub(crate) fn raw_cid(block: &[u8]) -> Cid {
    Cid::new_v1(RAW, Code::Sha2_256.digest(block))
}

#[cfg(test)]
mod tests {
    use cid::multihash::Multihash;

    use super::*;

    #[test]
    fn every_known_hash_function_tells_the_right_bytes_from_others() {
        for code in [
            Code::Sha2_256,
            Code::Sha2_512,
            Code::Sha3_256,
            Code::Keccak256,
            Code::Blake2b256,
            Code::Blake2s256,
            Code::Blake3_256,
            Code::Ripemd160,
        ] {
            let cid = Cid::new_v1(RAW, code.digest(b"block"));
            assert_eq!(verify(&cid, b"block"), Ok(()), "{code:?}");
            assert_eq!(verify(&cid, b"other"), Err(HashError::Mismatch(cid)));
        }
        let inline = Cid::new_v1(RAW, Multihash::wrap(IDENTITY, b"block").unwrap());
        assert_eq!(verify(&inline, b"block"), Ok(()));
        assert_eq!(verify(&inline, b"bloc"), Err(HashError::Mismatch(inline)));
    }

    #[test]
    fn a_digest_may_be_cut_but_not_below_20_bytes() {
        let whole = Code::Sha2_256.digest(b"block");
        for (len, fine) in [(32, true), (20, true), (19, false), (0, false)] {
            let cid = Cid::new_v1(RAW, whole.truncate(len));
            assert_eq!(verify(&cid, b"block").is_ok(), fine, "{len}");
        }
    }

    #[test]
    fn an_unknown_hash_function_is_named() {
        let cid = Cid::new_v1(RAW, Multihash::wrap(0x1234, &[0; 32]).unwrap());
        assert_eq!(verify(&cid, b""), Err(HashError::Unknown(cid, 0x1234)));
    }
}
