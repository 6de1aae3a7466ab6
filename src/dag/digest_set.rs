//! [`DigestSet`]: a set of digests of one length that takes little more memory than the digests themselves.
//!
//! It is a table with linear probing in 64 parts, each with a lock of its own. A part is at most 9/10 full and grows by
//! a tenth, so a digest of 32 bytes takes at most 39.2, and a growth copies a 64th of the set.

use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::sync::Mutex;

use crate::sync::lock;

pub(super) const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 6;

/// The places of digests in the table are chosen by a hash that an attacker can't predict.
#[derive(Debug)]
pub(super) struct DigestSet {
    /// The length of the digests.
    len: usize,
    /// The length of a slot, which is not 0.
    width: usize,
    state: RandomState,
    parts: Vec<Mutex<Part>>,
}

/// A table of slots. A slot of zeros is free, so the digest of zeros is a flag.
#[derive(Debug, Default)]
struct Part {
    slots: Vec<u8>,
    len: usize,
    has_zeros: bool,
}

impl DigestSet {
    /// Creates an empty set of digests of `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        DigestSet {
            len,
            width: len.max(1),
            state: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Adds a digest. Returns whether it is new.
    pub(super) fn insert(&self, digest: &[u8]) -> bool {
        let hash = self.state.hash_one(digest);
        let Some(part) = self.part(hash) else {
            return false;
        };
        let mut part = lock(part);
        let capacity = part.slots.len() / self.width;
        if (part.len + 1) * 10 > capacity * 9 {
            // A few slots more, because rounding would leave small tables as they are.
            self.grow(&mut part, capacity + capacity / 10 + 4);
        }
        part.insert(hash, digest)
    }

    pub(super) fn contains(&self, digest: &[u8]) -> bool {
        let hash = self.state.hash_one(digest);
        self.part(hash)
            .is_some_and(|part| lock(part).contains(hash, digest))
    }

    /// Returns the digests of one of the [parts](PARTS).
    pub(super) fn of_part(&self, part: usize) -> Vec<Vec<u8>> {
        let Some(part) = self.parts.get(part) else {
            return Vec::new();
        };
        let part = lock(part);
        let slots = part.slots.chunks_exact(self.width);
        let digests = slots.filter(|slot| !is_free(slot)).map(<[u8]>::to_vec);
        let zeros = part.has_zeros.then(|| vec![0; self.len]);
        digests.chain(zeros).collect()
    }

    /// Returns the bytes of memory that the tables take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.parts.iter().map(|part| lock(part).slots.len()).sum()
    }

    fn part(&self, hash: u64) -> Option<&Mutex<Part>> {
        let part = usize::try_from(hash >> (u64::BITS - PART_BITS)).ok()?;
        self.parts.get(part)
    }

    fn grow(&self, part: &mut Part, capacity: usize) {
        let grown = Part {
            slots: vec![0; capacity * self.width],
            len: 0,
            has_zeros: part.has_zeros,
        };
        let old = mem::replace(part, grown);
        // In the order of their hashes, so the new table is written from its beginning to its end.
        for digest in old.slots.chunks_exact(self.width) {
            if !is_free(digest) {
                part.insert(self.state.hash_one(digest), digest);
            }
        }
    }
}

impl Part {
    fn insert(&mut self, hash: u64, digest: &[u8]) -> bool {
        if is_free(digest) {
            return !mem::replace(&mut self.has_zeros, true);
        }
        let found = self.find(hash, digest);
        let slot = found.and_then(|at| self.slots.get_mut(at..at + digest.len()));
        match slot {
            Some(slot) if is_free(slot) => {
                slot.copy_from_slice(digest);
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    fn contains(&self, hash: u64, digest: &[u8]) -> bool {
        if is_free(digest) {
            return self.has_zeros;
        }
        let found = self.find(hash, digest);
        let slot = found.and_then(|at| self.slots.get(at..at + digest.len()));
        slot.is_some_and(|slot| !is_free(slot))
    }

    /// Returns where the slot of a digest begins, or the free slot where it would be inserted. There always is
    /// one, except in a table that has no slots.
    fn find(&self, hash: u64, digest: &[u8]) -> Option<usize> {
        let width = digest.len();
        let capacity = self.slots.len() / width;
        // The bits that did not choose the part, scaled to the capacity.
        let scaled = u128::from(hash << PART_BITS) * capacity as u128;
        let first = usize::try_from(scaled >> u64::BITS).ok()? * width;
        let from = |at| self.slots.get(at..).unwrap_or_default();
        let fits = |slot: &[u8]| slot == digest || is_free(slot);
        let after = from(first).chunks_exact(width).position(fits);
        let before = || from(0).chunks_exact(width).position(fits);
        let after = after.map(|index| first + index * width);
        after.or_else(|| before().map(|index| index * width))
    }
}

fn is_free(slot: &[u8]) -> bool {
    slot.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_digest_of_32_bytes_takes_at_most_40() {
        let digests = DigestSet::new(32);
        // At every size: a table is least full just after it has grown.
        for count in 1..60_000_usize {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&count.to_le_bytes());
            assert!(digests.insert(&digest));
            if count >= 20_000 && count.is_multiple_of(100) {
                let memory = digests.memory();
                assert!(memory <= count * 40, "{count}: {memory}");
            }
        }
    }

    #[test]
    fn the_digest_of_zeros_is_one_like_the_others() {
        for zeros in [vec![], vec![0; 4]] {
            let digests = DigestSet::new(zeros.len());
            assert!(!digests.contains(&zeros));
            assert!(digests.insert(&zeros));
            assert!(!digests.insert(&zeros));
            assert!(digests.contains(&zeros));
            let listed = (0..PARTS).flat_map(|part| digests.of_part(part));
            assert_eq!(listed.collect::<HashSet<_>>(), [zeros].into());
        }
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn it_has_what_was_inserted_and_nothing_else(
            inserted in proptest::collection::vec(0_u64..600, 0..900),
            shift in prop::sample::select(vec![0_u32, 40, 54]),
        ) {
            let digests = DigestSet::new(9);
            let mut expected = HashSet::new();
            let digest = |value: u64| {
                let mut digest = [7; 9];
                digest[..8].copy_from_slice(&(value << shift).to_le_bytes());
                digest
            };
            for value in inserted {
                prop_assert_eq!(digests.insert(&digest(value)), expected.insert(value));
            }
            for value in 0..600 {
                prop_assert_eq!(digests.contains(&digest(value)), expected.contains(&value));
            }
            let listed = (0..PARTS).flat_map(|part| digests.of_part(part));
            let listed: HashSet<Vec<u8>> = listed.collect();
            prop_assert_eq!(listed, expected.iter().map(|value| digest(*value).to_vec()).collect());
        }
    }
}
