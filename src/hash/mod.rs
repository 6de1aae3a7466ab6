//! Checks of blocks against a multihash, and blocks that are inlined in a multihash. Feature `verify`.

mod functions;

use bytes::Bytes;
use cid::multihash::Multihash;

use self::functions::HashFunction;
use crate::blocking;
use crate::cid_key;
use crate::error::Result;

/// The size in bytes of the shortest digest that is trusted. kubo has the same limit.
const MIN_DIGEST: usize = 20;

/// The size in bytes up to which hashing a block takes less time than a hop to the blocking pool.
pub(crate) const INLINE_THRESHOLD: usize = 16 * 1024;

/// The reason why a block does not match a multihash, or cannot be checked against it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashError {
    /// The bytes have a different hash.
    #[error("the bytes do not have the hash in the key or CID")]
    Mismatch,
    /// The digest is shorter than 20 bytes, or longer than the digests of its hash function.
    #[error("a digest of {0} bytes cannot be checked")]
    Length(usize),
    /// This crate does not know the hash function.
    #[error("unknown hash function 0x{0:x}")]
    Unknown(u64),
}

/// Checks that `block` has the hash that `multihash` names. A digest may be truncated to 20 bytes or more.
///
/// The known hash functions are:
///
/// | function | code |
/// | --- | --- |
/// | identity | `0x00` |
/// | sha1 | `0x11` |
/// | sha2-224, sha2-256, sha2-384, sha2-512 | `0x1013`, `0x12`, `0x20`, `0x13` |
/// | sha2-512-224, sha2-512-256 | `0x1014`, `0x1015` |
/// | dbl-sha2-256 | `0x56` |
/// | sha3-224, sha3-256, sha3-384, sha3-512 | `0x17`, `0x16`, `0x15`, `0x14` |
/// | shake-128, shake-256 | `0x18`, `0x19` |
/// | keccak-224, keccak-256, keccak-384, keccak-512 | `0x1a` to `0x1d` |
/// | blake2b-160 to blake2b-512, in steps of 8 bits | `0xb214` to `0xb240` |
/// | blake2s-160 to blake2s-256, in steps of 8 bits | `0xb254` to `0xb260` |
/// | blake3, with up to 128 bytes | `0x1e` |
/// | ripemd-160, ripemd-256, ripemd-320 | `0x1053` to `0x1055` |
///
/// kubo accepts all of these in a CID except the sha2 functions other than sha2-256 and sha2-512, shake-128
/// and ripemd.
///
/// # Errors
///
/// Returns [`HashError::Mismatch`] if the block has a different hash, and another [`HashError`] if
/// `multihash` cannot be checked.
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

/// Returns the block that is inlined in a multihash: the digest of an identity hash, or `None` for any other hash
/// function. Such a block is available everywhere and does not have to be stored.
///
/// ```
/// use ds_flatfs::{cid::multihash::Multihash, hash::inline};
///
/// let identity = Multihash::<64>::wrap(0x00, b"a small block")?;
/// assert_eq!(inline(&identity), Some(&b"a small block"[..]));
/// # Ok::<(), ds_flatfs::cid::multihash::Error>(())
/// ```
#[must_use]
pub fn inline<const S: usize>(multihash: &Multihash<S>) -> Option<&[u8]> {
    cid_key::inline(multihash)
}

/// Like [`check`], but without blocking a worker of the runtime: large blocks are hashed on the blocking pool.
///
/// # Errors
///
/// Returns [`Error::Runtime`](crate::Error::Runtime) if there is no runtime, or it shuts down.
pub(crate) async fn check_without_blocking<const S: usize>(
    multihash: Multihash<S>,
    block: &Bytes,
) -> Result<Result<(), HashError>> {
    if block.len() <= INLINE_THRESHOLD {
        // Without this, a task that hashes one small block after another would never yield to other tasks.
        tokio::task::consume_budget().await;
        return Ok(check(&multihash, block));
    }
    let block = block.clone();
    blocking::run(move || Ok(check(&multihash, &block))).await
}

/// Like [`check`], for a block that is read in parts.
pub(crate) struct Checker {
    digest: Vec<u8>,
    progress: Progress,
}

/// What was done with the bytes that were taken so far.
enum Progress {
    /// They were hashed.
    Hashed(Box<dyn HashFunction>),
    /// They were compared with the digest of the identity hash.
    Compared { len: usize, matches: bool },
}

impl Checker {
    /// # Errors
    ///
    /// Fails if nothing can be checked against the multihash.
    pub(crate) fn new<const S: usize>(multihash: &Multihash<S>) -> Result<Self, HashError> {
        let digest = multihash.digest().to_vec();
        let progress = if inline(multihash).is_some() {
            Progress::Compared {
                len: 0,
                matches: true,
            }
        } else {
            let code = multihash.code();
            let (function, longest) = functions::find(code).ok_or(HashError::Unknown(code))?;
            if !(MIN_DIGEST..=longest).contains(&digest.len()) {
                return Err(HashError::Length(digest.len()));
            }
            Progress::Hashed(function)
        };
        Ok(Checker { digest, progress })
    }

    /// Takes the next bytes of the block.
    pub(crate) fn update(&mut self, part: &[u8]) {
        match &mut self.progress {
            Progress::Hashed(function) => function.update(part),
            Progress::Compared { len, matches } => {
                let end = len.saturating_add(part.len());
                *matches &= self.digest.get(*len..end) == Some(part);
                *len = end;
            }
        }
    }

    /// Returns whether the bytes so far are the beginning of the block, but not the whole of it. That is known
    /// for the identity hash only.
    pub(crate) fn is_cut_short(&self) -> bool {
        match &self.progress {
            Progress::Hashed(_) => false,
            Progress::Compared { len, matches } => *matches && *len < self.digest.len(),
        }
    }

    /// Checks whether the bytes are the whole block.
    ///
    /// # Errors
    ///
    /// Returns [`HashError::Mismatch`] if they are not.
    pub(crate) fn finish(mut self) -> Result<(), HashError> {
        let matches = match &mut self.progress {
            Progress::Hashed(function) => function.digest().starts_with(&self.digest),
            Progress::Compared { len, matches } => *matches && *len == self.digest.len(),
        };
        if matches {
            Ok(())
        } else {
            Err(HashError::Mismatch)
        }
    }
}

#[cfg(test)]
mod tests {
    use multihash_codetable::{Code, MultihashDigest as _};

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

    /// The multihashes of `foo` that go-multihash's own tests list.
    const HASHES_OF_FOO: [&str; 13] = [
        "11140beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33",
        "1220\
         2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        "1340\
         f7fbba6e0636f890e56fbbf3283e524c6fa3204ae298382d624741d0dc663832\
         6e282c41be5e4254d8820772c5518a2c5a8c0c7f7eda19594a7eb539453e1ed7",
        "1820\
         f84e95cb5fbd2038863ab27d3cdeac295ad2d4ab96ad1f4b070c0bf36078ef08",
        "1940\
         1af97f7818a28edfdfce5ec66dbdc7e871813816d7d585fe1f12475ded5b6502\
         b7723b74e2ee36f2651a10a8eaca72aa9148c3c761aaceac8f6d6cc64381ed39",
        "1b20\
         41b1a0649752af1b28b3dc29a1556eee781e4a4c3a1f7f53f90fa834de098c4d",
        "1e20\
         04e0bb39f30b1a3feb89f536c93be15055482df748674b00d26e5a75777702e9",
        "1e8001\
         04e0bb39f30b1a3feb89f536c93be15055482df748674b00d26e5a75777702e9\
         791074b7511b59d31c71c62f5a745689fa6c9497f68bdf1061fe07f518d410c0\
         b0c27f41b3cf083f8a7fdc67a877e21790515762a754a45dcb8a356722698a7a\
         f5ed2bb608983d5aa75d4d61691ef132efe8631ce0afc15553a08fffc60ee936",
        "5620\
         c7ade88fc7a21498a6a5e5c385e1f68bed822b72aa63c4a9a48a02c2466ee29e",
        "94e40214983ceba2afea8694cc933336b27b907f90c53a88",
        "ade4022d\
         ca82ab956d5885e3f5db10cca94182f01a6ca2c47f9f4228497dcc9f4a0121c7\
         25468b852a71ec21fcbeb725df",
        "c0e40240\
         ca002330e69d3e6b84a46a56a6533fd79d51d97a3bb7cad6c2ff43b354185d6d\
         c1e723fb3db4ae0737e120378424c714bb982d9dc5bbd7a0ab318240ddd18f8d",
        "e0e40220\
         08d6cad88075de8f192db097573d0e829411cd91eb6ec65e8fc16c017edfdb74",
    ];

    fn from_hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_hashes_of_go_multihash_are_checked() {
        for text in HASHES_OF_FOO {
            let hash = Multihash::<128>::from_bytes(&from_hex(text)).unwrap();
            assert_eq!(check(&hash, b"foo"), Ok(()), "{text}");
            assert_eq!(check(&hash, b"fop"), Err(HashError::Mismatch), "{text}");
        }
    }

    /// From FIPS 180-4, except for the last one, which is SHA2-256 of all digests that RFC 7693 defines for
    /// `abc` with the sizes from 20 bytes on, BLAKE2b first.
    #[test]
    fn sha2_and_blake2_of_every_size_are_checked() {
        for (code, digest) in [
            (
                0x1013,
                "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
            ),
            (
                0x1014,
                "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
            ),
            (
                0x1015,
                "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
            ),
            (
                0x20,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
        ] {
            let hash = Multihash::<64>::wrap(code, &from_hex(digest)).unwrap();
            assert_eq!(check(&hash, b"abc"), Ok(()), "{code:#x}");
        }
        let sizes = (0xb200 + 20..=0xb240).chain(0xb240 + 20..=0xb260);
        let mut all = Vec::new();
        for code in sizes {
            let (mut function, size) = functions::find(code).unwrap();
            function.update(b"abc");
            let digest = function.digest();
            assert_eq!(digest.len(), size);
            all.extend(digest);
        }
        let expected = "6722b92c02f8499489f43d63c4136203a7ecc8b8e6407aa5268476910603dc87";
        assert_eq!(
            expected,
            data_encoding::HEXLOWER.encode(Code::Sha2_256.digest(&all).digest())
        );
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
