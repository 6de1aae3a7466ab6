//! The hash functions that a block can be checked with, each under its multicodec code.
//!
//! They are the ones that kubo accepts in a CID (the allow list of boxo's `verifcid`), and the other
//! cryptographic ones of go-multihash and of the crate multihash-codetable.

use multihash_codetable as table;
use multihash_codetable::Code;
use multihash_derive::Hasher;
use sha2::digest::{Digest, ExtendableOutput, XofReader};
use sha2::{Sha224, Sha256, Sha384, Sha512_224, Sha512_256};
use sha3::{Shake128, Shake256};

/// A hash function that takes a block in parts.
pub(super) trait HashFunction {
    /// Takes the next bytes of the block.
    fn update(&mut self, part: &[u8]);

    /// Returns the longest digest of all bytes that were taken. A shorter digest is a prefix of it.
    fn digest(&mut self) -> Vec<u8>;
}

/// The codes of BLAKE2 count the bytes of the digest from here: `0xb220` is BLAKE2b with 32 bytes.
const BLAKE2B: u64 = 0xb200;
const BLAKE2S: u64 = 0xb240;

/// Returns the hash function with this code and the size of its longest digest in bytes, or `None` if the code
/// is unknown.
pub(super) fn find(code: u64) -> Option<(Box<dyn HashFunction>, usize)> {
    match code {
        0x11 => found(Listed(table::Sha1::default()), 20),
        0x18 => found(Shake::<Shake128>::new(32), 32),
        0x19 => found(Shake::<Shake256>::new(64), 64),
        // kubo allows no longer digest.
        0x1e => found(Listed(table::Blake3Hasher::<128>::default()), 128),
        0x20 => found(Plain(Sha384::new()), 48),
        0x56 => found(DoubleSha256(Sha256::new()), 32),
        0x1013 => found(Plain(Sha224::new()), 28),
        0x1014 => found(Plain(Sha512_224::new()), 28),
        0x1015 => found(Plain(Sha512_256::new()), 32),
        0xb201..=0xb240 => {
            let size = usize::try_from(code - BLAKE2B).ok()?;
            found(
                blake2b_simd::Params::new().hash_length(size).to_state(),
                size,
            )
        }
        0xb241..=0xb260 => {
            let size = usize::try_from(code - BLAKE2S).ok()?;
            found(
                blake2s_simd::Params::new().hash_length(size).to_state(),
                size,
            )
        }
        _ => listed(code),
    }
}

/// The hash functions of the crate multihash-codetable that [`find`] does not make itself.
fn listed(code: u64) -> Option<(Box<dyn HashFunction>, usize)> {
    match Code::try_from(code).ok()? {
        Code::Sha2_256 => found(Listed(table::Sha2_256::default()), 32),
        Code::Sha2_512 => found(Listed(table::Sha2_512::default()), 64),
        Code::Sha3_224 => found(Listed(table::Sha3_224::default()), 28),
        Code::Sha3_256 => found(Listed(table::Sha3_256::default()), 32),
        Code::Sha3_384 => found(Listed(table::Sha3_384::default()), 48),
        Code::Sha3_512 => found(Listed(table::Sha3_512::default()), 64),
        Code::Keccak224 => found(Listed(table::Keccak224::default()), 28),
        Code::Keccak256 => found(Listed(table::Keccak256::default()), 32),
        Code::Keccak384 => found(Listed(table::Keccak384::default()), 48),
        Code::Keccak512 => found(Listed(table::Keccak512::default()), 64),
        Code::Ripemd160 => found(Listed(table::Ripemd160::default()), 20),
        Code::Ripemd256 => found(Listed(table::Ripemd256::default()), 32),
        Code::Ripemd320 => found(Listed(table::Ripemd320::default()), 40),
        // `find` makes this function itself, or another crate in the build has enabled one that is not listed here.
        _ => None,
    }
}

fn found(
    function: impl HashFunction + 'static,
    size: usize,
) -> Option<(Box<dyn HashFunction>, usize)> {
    Some((Box::new(function), size))
}

/// A hash function of the crate multihash-codetable.
struct Listed<H>(H);

impl<H: Hasher> HashFunction for Listed<H> {
    fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    fn digest(&mut self) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

/// A hash function with digests of one size.
struct Plain<D>(D);

impl<D: Digest> HashFunction for Plain<D> {
    fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    fn digest(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.0, D::new()).finalize().to_vec()
    }
}

/// The SHA2-256 digest of the SHA2-256 digest, as Bitcoin names its blocks.
struct DoubleSha256(Sha256);

impl HashFunction for DoubleSha256 {
    fn update(&mut self, part: &[u8]) {
        Digest::update(&mut self.0, part);
    }

    fn digest(&mut self) -> Vec<u8> {
        let once = std::mem::take(&mut self.0).finalize();
        Sha256::digest(once).to_vec()
    }
}

/// A SHAKE, cut at the size that go-multihash gives its digests.
struct Shake<X> {
    function: X,
    size: usize,
}

impl<X: Default> Shake<X> {
    fn new(size: usize) -> Self {
        let function = X::default();
        Shake { function, size }
    }
}

impl<X: ExtendableOutput + Default> HashFunction for Shake<X> {
    fn update(&mut self, part: &[u8]) {
        self.function.update(part);
    }

    fn digest(&mut self) -> Vec<u8> {
        let mut digest = vec![0; self.size];
        let mut output = std::mem::take(&mut self.function).finalize_xof();
        output.read(&mut digest);
        digest
    }
}

impl HashFunction for blake2b_simd::State {
    fn update(&mut self, part: &[u8]) {
        self.update(part);
    }

    fn digest(&mut self) -> Vec<u8> {
        self.finalize().as_bytes().to_vec()
    }
}

impl HashFunction for blake2s_simd::State {
    fn update(&mut self, part: &[u8]) {
        self.update(part);
    }

    fn digest(&mut self) -> Vec<u8> {
        self.finalize().as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use multihash_codetable::MultihashDigest as _;

    use super::*;

    #[test]
    fn every_function_of_the_code_table_has_its_digest_here() {
        for code in 0..0x1_0000 {
            let Ok(known) = Code::try_from(code) else {
                continue;
            };
            let digest = known.digest(b"block");
            let (mut function, size) = find(code).expect("a hash function");
            function.update(b"block");
            let found = function.digest();
            assert_eq!(found.len(), size, "{known:?}");
            assert!(found.starts_with(digest.digest()), "{known:?}");
        }
    }
}
