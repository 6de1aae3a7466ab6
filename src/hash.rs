//! Whether bytes are those that a multihash names, and which a multihash has itself. Feature `verify`.

use bytes::Bytes;
use cid::multihash::Multihash;
use multihash_codetable as table;
use multihash_codetable::Code;
use multihash_derive::Hasher;

use crate::blocking;
use crate::cid_key;
use crate::error::Result;

/// The shortest digest, in bytes, that says anything about a block; kubo draws the same line.
const SHORTEST: usize = 20;

/// Blocks up to this size, in bytes, are hashed in less time than the blocking pool costs.
const SMALL: usize = 16 * 1024;

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
    let mut checker = Checker::new(multihash)?;
    checker.update(block);
    checker.finish()
}

/// The block that a multihash carries itself: the digest of the identity hash, `None` for any other one.
/// Such a block is always there, so it need not be stored.
///
/// ```
/// use ds_flatfs::{cid::multihash::Multihash, hash::inline};
///
/// let carries = Multihash::<64>::wrap(0x00, b"a small block")?;
/// assert_eq!(inline(&carries), Some(&b"a small block"[..]));
/// # Ok::<(), ds_flatfs::cid::multihash::Error>(())
/// ```
#[must_use]
pub fn inline<const S: usize>(multihash: &Multihash<S>) -> Option<&[u8]> {
    cid_key::inline(multihash)
}

/// [`check`] that doesn't block a worker of the runtime: large blocks are hashed on the blocking pool.
///
/// # Errors
///
/// [`Error::Runtime`](crate::Error::Runtime).
pub(crate) async fn check_without_blocking<const S: usize>(
    multihash: Multihash<S>,
    block: &Bytes,
) -> Result<Result<(), HashError>> {
    if block.len() <= SMALL {
        // A task that hashes one small block after the other would never let others run.
        tokio::task::consume_budget().await;
        return Ok(check(&multihash, block));
    }
    let block = block.clone();
    blocking::run(move || Ok(check(&multihash, &block))).await
}

/// [`check`] for bytes that come in parts.
pub(crate) struct Checker {
    digest: Vec<u8>,
    seen: Seen,
}

/// What is known of the bytes that have come.
enum Seen {
    Hashed(Box<dyn Hasher>),
    /// They are to be the digest itself.
    Compared {
        len: usize,
        matches: bool,
    },
}

impl Checker {
    /// # Errors
    ///
    /// If the multihash is one that nothing can be checked against.
    pub(crate) fn new<const S: usize>(multihash: &Multihash<S>) -> Result<Self, HashError> {
        let digest = multihash.digest().to_vec();
        let seen = if inline(multihash).is_some() {
            Seen::Compared {
                len: 0,
                matches: true,
            }
        } else {
            let code = multihash.code();
            let (hasher, longest) = hasher(code).ok_or(HashError::Unknown(code))?;
            if !(SHORTEST..=longest).contains(&digest.len()) {
                return Err(HashError::Length(digest.len()));
            }
            Seen::Hashed(hasher)
        };
        Ok(Checker { digest, seen })
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, part: &[u8]) {
        match &mut self.seen {
            Seen::Hashed(hasher) => hasher.update(part),
            Seen::Compared { len, matches } => {
                let end = len.saturating_add(part.len());
                *matches &= self.digest.get(*len..end) == Some(part);
                *len = end;
            }
        }
    }

    /// Whether all bytes are those of the multihash, but there should be more of them.
    pub(crate) fn is_cut_short(&self) -> bool {
        match &self.seen {
            Seen::Hashed(_) => false,
            Seen::Compared { len, matches } => *matches && *len < self.digest.len(),
        }
    }

    /// # Errors
    ///
    /// [`HashError::Mismatch`].
    pub(crate) fn finish(mut self) -> Result<(), HashError> {
        let matches = match &mut self.seen {
            Seen::Hashed(hasher) => hasher.finalize().starts_with(&self.digest),
            Seen::Compared { len, matches } => *matches && *len == self.digest.len(),
        };
        if matches {
            Ok(())
        } else {
            Err(HashError::Mismatch)
        }
    }
}

/// A hasher of a multihash code, and how long its digests are.
fn hasher(code: u64) -> Option<(Box<dyn Hasher>, usize)> {
    fn new<H: Hasher + Default + 'static>(len: usize) -> Option<(Box<dyn Hasher>, usize)> {
        Some((Box::new(H::default()), len))
    }
    match Code::try_from(code).ok()? {
        Code::Sha2_256 => new::<table::Sha2_256>(32),
        Code::Sha2_512 => new::<table::Sha2_512>(64),
        Code::Sha3_224 => new::<table::Sha3_224>(28),
        Code::Sha3_256 => new::<table::Sha3_256>(32),
        Code::Sha3_384 => new::<table::Sha3_384>(48),
        Code::Sha3_512 => new::<table::Sha3_512>(64),
        Code::Keccak224 => new::<table::Keccak224>(28),
        Code::Keccak256 => new::<table::Keccak256>(32),
        Code::Keccak384 => new::<table::Keccak384>(48),
        Code::Keccak512 => new::<table::Keccak512>(64),
        Code::Blake2b256 => new::<table::Blake2b256>(32),
        Code::Blake2b512 => new::<table::Blake2b512>(64),
        Code::Blake2s128 => new::<table::Blake2s128>(16),
        Code::Blake2s256 => new::<table::Blake2s256>(32),
        Code::Blake3_256 => new::<table::Blake3_256>(32),
        Code::Ripemd160 => new::<table::Ripemd160>(20),
        Code::Ripemd256 => new::<table::Ripemd256>(32),
        Code::Ripemd320 => new::<table::Ripemd320>(40),
        // Another crate of the same build may have turned on more.
        #[allow(unreachable_patterns)]
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use multihash_codetable::MultihashDigest as _;

    use super::*;

    #[test]
    fn bytes_may_come_in_parts_of_any_size() {
        let block: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let hash = Code::Sha2_256.digest(&block);
        let inline = Multihash::<64>::wrap(0x00, &block[..64]).unwrap();
        for size in [1, 63, 64, 1_000, 20_000] {
            let in_parts = |hash: &Multihash<64>, bytes: &[u8]| {
                let mut checker = Checker::new(hash).unwrap();
                bytes.chunks(size).for_each(|part| checker.update(part));
                (checker.is_cut_short(), checker.finish())
            };
            assert_eq!(in_parts(&hash, &block), (false, Ok(())));
            let cut = in_parts(&hash, &block[1..]);
            assert_eq!(cut, (false, Err(HashError::Mismatch)));
            assert_eq!(in_parts(&inline, &block[..64]), (false, Ok(())));
            let cut = in_parts(&inline, &block[..63]);
            assert_eq!(cut, (true, Err(HashError::Mismatch)));
            let long = in_parts(&inline, &block[..65]);
            assert_eq!(long, (false, Err(HashError::Mismatch)));
        }
    }

    #[test]
    fn every_hasher_has_the_digest_that_its_code_says() {
        for code in 0..0x1_0000 {
            let Ok(known) = Code::try_from(code) else {
                continue;
            };
            let digest = known.digest(b"block");
            let (mut hasher, len) = hasher(code).expect("a hasher");
            hasher.update(b"block");
            assert_eq!(hasher.finalize(), digest.digest(), "{known:?}");
            assert_eq!(digest.digest().len(), len, "{known:?}");
        }
    }

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
        let inline = Multihash::<64>::wrap(0x00, b"block").unwrap();
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
