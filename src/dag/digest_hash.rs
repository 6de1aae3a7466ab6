//! [`DigestHash`]: a keyed hash of multihashes.

use std::array;
use std::hash::{BuildHasher as _, RandomState};

use cid::multihash::Multihash;

/// The words of the longest digest, of 64 bytes.
const MAX_WORDS: usize = 8;

/// The usual hash function, and the length of its digest.
const SHA2_256: u64 = 0x12;
const SHA2_256_LEN: usize = 32;

/// A hash of multihashes to 64 bits, with a random key.
///
/// The code of the hash function, the length of the digest and each word of it are multiplied by random numbers of 128
/// bits; the hash is the upper half of the sum. With this multilinear hashing any two multihashes have the same hash with
/// a probability of 1 in 2^64, whoever has chosen them. It takes a fifth of the time of SipHash.
#[derive(Clone, Debug)]
pub(super) struct DigestHash {
    base: u128,
    by_function: u128,
    by_len: u128,
    /// What a multihash of SHA2-256 has before its digest, so that the usual blocks take no products for it.
    sha2_256: u128,
    factors: [u128; MAX_WORDS],
}

impl Default for DigestHash {
    fn default() -> Self {
        let random = RandomState::new();
        let random = |index: usize| {
            let halves = [0, 1].map(|half| u128::from(random.hash_one((index, half))));
            halves[0] << u64::BITS | halves[1]
        };
        let mut hash = DigestHash {
            base: random(MAX_WORDS),
            by_function: random(MAX_WORDS + 1),
            by_len: random(MAX_WORDS + 2),
            sha2_256: 0,
            factors: array::from_fn(random),
        };
        hash.sha2_256 = hash.begin(SHA2_256, SHA2_256_LEN);
        hash
    }
}

impl DigestHash {
    pub(super) fn hash(&self, multihash: &Multihash<64>) -> u64 {
        let digest = multihash.digest();
        let begin = match (multihash.code(), digest.len()) {
            (SHA2_256, SHA2_256_LEN) => self.sha2_256,
            (function, len) => self.begin(function, len),
        };
        let (words, rest) = digest.as_chunks();
        let words_and_factors = words.iter().zip(&self.factors);
        let products = words_and_factors
            .map(|(word, factor)| factor.wrapping_mul(u64::from_le_bytes(*word).into()));
        let sum = products.fold(begin, u128::wrapping_add);
        let last_factor = self.factors.get(words.len()).copied().unwrap_or(0);
        let sum = sum.wrapping_add(last_factor.wrapping_mul(last_word(rest).into()));
        (sum >> u64::BITS) as u64
    }

    /// The length distinguishes a digest from one with more zeros.
    fn begin(&self, function: u64, len: usize) -> u128 {
        let by_function = self.by_function.wrapping_mul(function.into());
        let by_len = self.by_len.wrapping_mul(len as u128);
        self.base.wrapping_add(by_function).wrapping_add(by_len)
    }
}

/// Returns less than eight bytes as a number.
fn last_word(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn multihash(function: u64, digest: &[u8]) -> Multihash<64> {
        Multihash::wrap(function, digest).unwrap()
    }

    #[test]
    fn every_byte_the_length_and_the_function_of_a_digest_count() {
        let hash = DigestHash::default();
        let mut hashes = HashSet::new();
        for function in [0, 0x11, 0x12, 0x13, 0xb220] {
            for len in 0..=64 {
                let zeros = multihash(function, &vec![0; len]);
                assert!(hashes.insert(hash.hash(&zeros)));
                for at in 0..len {
                    let mut digest = vec![0; len];
                    digest[at] = 1;
                    let one = multihash(function, &digest);
                    assert!(hashes.insert(hash.hash(&one)), "{at} of {len}");
                    assert_eq!(hash.hash(&one), hash.clone().hash(&one));
                }
            }
        }
    }

    #[test]
    fn each_hash_has_a_key_of_its_own() {
        let hashes: HashSet<u64> = (0..100)
            .map(|_| DigestHash::default().hash(&multihash(0x12, &[7; 32])))
            .collect();
        assert_eq!(hashes.len(), 100);
    }
}
