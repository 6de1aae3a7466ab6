//! Whether bytes are those that a multihash names. Feature `verify`.

use cid::multihash::Multihash;
use multihash_codetable::{Code, MultihashDigest as _};

/// The multihash code of a digest that is the block itself.
pub(crate) const IDENTITY: u64 = 0x00;

/// The shortest digest, in bytes, that says anything about a block; kubo draws the same line.
const SHORTEST: usize = 20;

/// Why bytes are not accepted as those of a multihash.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashError {
    /// The bytes have another hash.
    #[error("the bytes don't have that hash: they are damaged")]
    Mismatch,
    /// The digest is too short to tell anything, or too long for its hash function.
    #[error("a digest of {0} bytes can't be checked")]
    Length(usize),
    /// A hash function that this crate doesn't know.
    #[error("unknown hash function 0x{0:x}")]
    Unknown(u64),
}

/// Checks that `block` has the hash that `multihash` says. A digest may be cut down to 20 bytes.
///
/// Known are sha2, sha3, keccak, blake2b, blake2s, blake3, ripemd and the identity.
///
/// # Errors
///
/// If it has not, or that can't be found out.
///
/// ```
/// use ds_flatfs::{Key, hash::{HashError, check}};
///
/// let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
/// let multihash = key.to_multihash().expect("a block's key");
/// assert_eq!(check(&multihash, b""), Ok(()));
/// assert_eq!(check(&multihash, b"other"), Err(HashError::Mismatch));
/// ```
pub fn check<const S: usize>(multihash: &Multihash<S>, block: &[u8]) -> Result<(), HashError> {
    let digest = multihash.digest();
    let matches = if multihash.code() == IDENTITY {
        digest == block
    } else {
        let code = multihash.code();
        let code = Code::try_from(code).map_err(|_| HashError::Unknown(code))?;
        let computed = code.digest(block);
        if !(SHORTEST..=computed.digest().len()).contains(&digest.len()) {
            return Err(HashError::Length(digest.len()));
        }
        computed.digest().starts_with(digest)
    };
    if matches {
        Ok(())
    } else {
        Err(HashError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
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
            let hash = code.digest(b"block");
            assert_eq!(check(&hash, b"block"), Ok(()), "{code:?}");
            assert_eq!(check(&hash, b"other"), Err(HashError::Mismatch));
        }
        let inline = Multihash::<64>::wrap(IDENTITY, b"block").unwrap();
        assert_eq!(check(&inline, b"block"), Ok(()));
        assert_eq!(check(&inline, b"bloc"), Err(HashError::Mismatch));
    }

    #[test]
    fn a_digest_may_be_cut_but_not_below_20_bytes() {
        let whole = Code::Sha2_256.digest(b"block");
        for (len, fine) in [(32, true), (20, true), (19, false), (0, false)] {
            assert_eq!(check(&whole.truncate(len), b"block").is_ok(), fine, "{len}");
        }
    }

    #[test]
    fn an_unknown_hash_function_is_named() {
        let unknown = Multihash::<64>::wrap(0x1234, &[0; 32]).unwrap();
        assert_eq!(check(&unknown, b""), Err(HashError::Unknown(0x1234)));
    }
}
