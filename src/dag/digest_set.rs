//! [`DigestSet`]: a set of digests of one length that takes little more memory than the digests themselves.
//!
//! It is a table with linear probing in 64 parts, each with a lock of its own. A part grows by a small factor, so
//! it is never much larger than its contents, and a growth copies a 64th of the set. hashbrown doubles: its table
//! may be twice as large as it has to be, and needs half of that again while it grows.

use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::sync::Mutex;

use crate::sync::lock;

const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 6;

#[derive(Debug)]
pub(super) struct DigestSet {
    width: usize,
    order: Order,
    parts: Vec<Mutex<Part>>,
}

/// How digests are spread over the table.
#[derive(Debug)]
enum Order {
    /// By themselves, because they are random. The table is at most 3/4 full, so it takes at most 13.4 bytes for
    /// a digest of 8.
    Random,
    /// By a hash with a random key, which no other program can predict. The table is at most 9/10 full and grows by
    /// 1/10, so it takes at most 39.2 bytes for a digest of 32.
    Hashed(RandomState),
}

/// A table of slots. A slot of zeros is free, so the digest of zeros is a flag.
#[derive(Debug, Default)]
struct Part {
    slots: Vec<u8>,
    len: usize,
    has_zeros: bool,
}

impl DigestSet {
    /// Creates an empty set of random numbers of 8 bytes.
    pub(super) fn of_random_numbers() -> Self {
        DigestSet::new(size_of::<u64>(), Order::Random)
    }

    /// Creates an empty set of digests of `width` bytes.
    pub(super) fn of_digests(width: usize) -> Self {
        DigestSet::new(width.max(1), Order::Hashed(RandomState::new()))
    }

    fn new(width: usize, order: Order) -> Self {
        DigestSet {
            width,
            order,
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Adds a digest. Returns whether it is new.
    pub(super) fn insert(&self, digest: &[u8]) -> bool {
        let hash = self.hash(digest);
        let Some(part) = self.part(hash) else {
            return false;
        };
        let mut part = lock(part);
        let capacity = part.slots.len() / self.width;
        let (load, growth) = match self.order {
            Order::Random => (750, 1250),
            Order::Hashed(_) => (900, 1100),
        };
        if (part.len + 1) * 1000 > capacity * load {
            // A few slots more, because rounding would leave small tables as they are.
            self.grow(&mut part, capacity * growth / 1000 + 4);
        }
        part.insert(hash, digest)
    }

    pub(super) fn contains(&self, digest: &[u8]) -> bool {
        let hash = self.hash(digest);
        self.part(hash)
            .is_some_and(|part| lock(part).contains(hash, digest))
    }

    /// Returns the bytes of memory that the tables take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.parts.iter().map(|part| lock(part).slots.len()).sum()
    }

    fn hash(&self, digest: &[u8]) -> u64 {
        match &self.order {
            Order::Random => digest.try_into().map_or(0, u64::from_le_bytes),
            Order::Hashed(state) => state.hash_one(digest),
        }
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
                part.insert(self.hash(digest), digest);
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
    fn a_digest_takes_at_most_39_bytes_and_a_random_number_13() {
        let (digests, numbers) = (DigestSet::of_digests(32), DigestSet::of_random_numbers());
        let state = RandomState::new();
        // At every size: a table is least full just after it has grown.
        for count in 1..60_000_usize {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&count.to_le_bytes());
            assert!(digests.insert(&digest));
            numbers.insert(&state.hash_one(count).to_le_bytes());
            if count >= 20_000 && count.is_multiple_of(100) {
                assert!(
                    digests.memory() <= count * 40,
                    "{count}: {}",
                    digests.memory()
                );
                assert!(
                    numbers.memory() <= count * 14,
                    "{count}: {}",
                    numbers.memory()
                );
            }
        }
    }

    #[test]
    fn the_digest_of_zeros_is_one_like_the_others() {
        for set in [DigestSet::of_digests(4), DigestSet::of_random_numbers()] {
            let zeros = vec![0; set.width];
            assert!(!set.contains(&zeros));
            assert!(set.insert(&zeros));
            assert!(!set.insert(&zeros));
            assert!(set.contains(&zeros));
        }
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        /// Numbers whose upper bits are equal are in one part and begin at one slot.
        #[test]
        fn it_has_what_was_inserted_and_nothing_else(
            inserted in proptest::collection::vec(0_u64..600, 0..900),
            shift in prop::sample::select(vec![0_u32, 40, 54]),
        ) {
            let (numbers, digests) = (DigestSet::of_random_numbers(), DigestSet::of_digests(9));
            let mut expected = HashSet::new();
            let number = |value: u64| (value << shift).to_le_bytes();
            let digest = |value: u64| {
                let mut digest = [7; 9];
                digest[..8].copy_from_slice(&value.to_le_bytes());
                digest
            };
            for value in inserted {
                let is_new = expected.insert(value);
                prop_assert_eq!(numbers.insert(&number(value)), is_new);
                prop_assert_eq!(digests.insert(&digest(value)), is_new);
            }
            for value in 0..600 {
                prop_assert_eq!(numbers.contains(&number(value)), expected.contains(&value));
                prop_assert_eq!(digests.contains(&digest(value)), expected.contains(&value));
            }
        }
    }
}
