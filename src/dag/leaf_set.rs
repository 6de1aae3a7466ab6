//! [`LeafSet`]: a set of random numbers that takes little more memory than the numbers themselves.
//!
//! It is a sorted list in 64 parts, each with a lock of its own. New numbers wait in a list until that is a quarter as
//! long as the sorted one, and are merged then. So a number takes at most 10.6 bytes, if there are more than 300,000; a
//! merge copies a 64th of the set, and reads and writes memory in order, which takes a fifth of the time of a hash
//! table.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sorted_list::SortedList;
use crate::blocking;
use crate::sync::lock;

const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 6;
/// The number of new numbers for which a merge is worthwhile.
const MIN_MERGE: usize = 256;
/// The number of numbers for whose last merge it is worthwhile to start threads.
const MIN_PARALLEL_MERGE: u64 = 50_000;
/// The number of new numbers of a part that a buffer gathers before it takes the lock.
const MAX_BUFFERED: usize = 64;

#[derive(Debug)]
pub(super) struct LeafSet {
    parts: Vec<Mutex<Part>>,
    /// A number that was added several times may count several times until it is merged.
    len: AtomicU64,
}

/// A part of the set. It has numbers [without the bits](in_part) that are the same in all of them.
#[derive(Debug, Default)]
struct Part {
    sorted: SortedList,
    new: Vec<u64>,
    /// A bit for each of the sorted numbers that was seen. Empty until one was.
    seen: Vec<u64>,
}

/// Numbers that are to be added to a set.
#[derive(Debug)]
pub(super) struct LeafBuffer(Vec<Vec<u64>>);

impl LeafBuffer {
    pub(super) fn new() -> Self {
        let empty = |_| Vec::with_capacity(MAX_BUFFERED);
        LeafBuffer((0..PARTS).map(empty).collect())
    }

    /// Takes a number, and adds some of them to the set if there are many.
    pub(super) fn push(&mut self, number: u64, set: &LeafSet) {
        if let Some(numbers) = self.0.get_mut(part_of(number)) {
            numbers.push(number);
            if numbers.len() >= MAX_BUFFERED {
                set.add(numbers);
            }
        }
    }

    /// Adds all numbers to the set.
    pub(super) fn flush(&mut self, set: &LeafSet) {
        self.0.iter_mut().for_each(|numbers| set.add(numbers));
    }
}

impl LeafSet {
    pub(super) fn new() -> Self {
        LeafSet {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            len: AtomicU64::new(0),
        }
    }

    /// Adds numbers of one part, and empties the vector.
    fn add(&self, numbers: &mut Vec<u64>) {
        let part = numbers.first().and_then(|first| self.part(*first));
        let Some(part) = part else {
            return;
        };
        self.len.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        let mut part = lock(part);
        let max_new = (part.sorted.len() / 4).max(MIN_MERGE);
        if part.new.len() + numbers.len() > max_new {
            let repeated = part.merge();
            self.len.fetch_sub(repeated, Ordering::Relaxed);
            // No more than is needed: a vector that grows by itself doubles.
            let max_new = (part.sorted.len() / 4).max(MIN_MERGE);
            part.new.reserve_exact(max_new.max(numbers.len()));
        }
        part.new.extend(numbers.drain(..).map(in_part));
    }

    /// Returns how many numbers there are. Some that were added several times may count several times, until the set is
    /// [finished](LeafSet::finish).
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Merges all numbers, so that their [count](LeafSet::len) is exact. After that, no number may be added. It may take
    /// time.
    pub(super) fn finish(&self) {
        let merge = |parts: &[Mutex<Part>]| {
            let merged = parts.iter().map(|part| {
                let mut part = lock(part);
                let repeated = part.merge();
                part.new = Vec::new();
                repeated
            });
            merged.sum::<u64>()
        };
        let threads = match self.len() > MIN_PARALLEL_MERGE {
            true => blocking::processors(),
            false => 1,
        };
        let merged = blocking::parallel_chunks(&self.parts, PARTS.div_ceil(threads), merge);
        let repeated = merged.iter().sum();
        self.len.fetch_sub(repeated, Ordering::Relaxed);
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.part(number)
            .is_some_and(|part| lock(part).find(number).is_some())
    }

    /// Notes that a number was seen. The set must be [finished](LeafSet::finish).
    pub(super) fn see(&self, number: u64) {
        if let Some(part) = self.part(number) {
            lock(part).see(number);
        }
    }

    /// Returns whether the set has the number, and it was not seen.
    pub(super) fn is_unseen(&self, number: u64) -> bool {
        self.part(number)
            .is_some_and(|part| lock(part).is_unseen(number))
    }

    /// Returns how many of the numbers were not seen.
    pub(super) fn count_unseen(&self) -> u64 {
        let count = |part: &Mutex<Part>| lock(part).count_unseen();
        self.parts.iter().map(count).sum()
    }

    fn part(&self, number: u64) -> Option<&Mutex<Part>> {
        self.parts.get(part_of(number))
    }

    /// Returns the bytes of memory that the lists take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let size = |part: &Mutex<Part>| {
            let part = lock(part);
            part.sorted.memory() + (part.new.capacity() + part.seen.capacity()) * 8
        };
        self.parts.iter().map(size).sum()
    }
}

fn part_of(number: u64) -> usize {
    // It is below 64.
    usize::try_from(number >> (u64::BITS - PART_BITS)).unwrap_or(0)
}

/// Returns a number without the bits that choose its part.
fn in_part(number: u64) -> u64 {
    number << PART_BITS
}

impl Part {
    /// Sorts the new numbers into the others. Returns how many were there more than once.
    fn merge(&mut self) -> u64 {
        let before = self.sorted.len() + self.new.len();
        if !self.new.is_empty() {
            self.sorted.merge(&mut self.new);
        }
        (before - self.sorted.len()) as u64
    }

    /// Returns the index of a number.
    fn find(&mut self, number: u64) -> Option<usize> {
        self.merge();
        self.sorted.index_of(in_part(number))
    }

    fn see(&mut self, number: u64) {
        let found = self.find(number);
        if self.seen.is_empty() {
            self.seen = vec![0; self.sorted.len().div_ceil(64)];
        }
        if let Some((at, word)) = found.and_then(|at| Some((at, self.seen.get_mut(at / 64)?))) {
            *word |= 1 << (at % 64);
        }
    }

    fn is_unseen(&mut self, number: u64) -> bool {
        let found = self.find(number);
        found.is_some_and(|at| {
            let word = self.seen.get(at / 64).copied().unwrap_or(0);
            word & (1 << (at % 64)) == 0
        })
    }

    fn count_unseen(&mut self) -> u64 {
        self.merge();
        let seen: u64 = self
            .seen
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        (self.sorted.len() as u64).saturating_sub(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher as _, RandomState};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_of_many_takes_at_most_10_6_bytes() {
        let (numbers, state) = (LeafSet::new(), RandomState::new());
        let mut buffer = LeafBuffer::new();
        for count in 1..450_000_usize {
            buffer.push(state.hash_one(count), &numbers);
            if count >= 300_000 && count.is_multiple_of(1_000) {
                buffer.flush(&numbers);
                let memory = numbers.memory();
                assert!(memory * 10 <= count * 106, "{count}: {memory}");
            }
        }
        buffer.flush(&numbers);
        assert_eq!(numbers.len(), 449_999);
        for count in 1..450_000_usize {
            assert!(numbers.is_unseen(state.hash_one(count)));
            numbers.see(state.hash_one(count));
        }
        assert_eq!(numbers.count_unseen(), 0);
        assert!(numbers.memory() * 10 <= 450_000 * 106);
    }

    #[test]
    fn numbers_that_are_added_again_take_no_more_memory() {
        let (numbers, state) = (LeafSet::new(), RandomState::new());
        let mut buffer = LeafBuffer::new();
        for _ in 0..20 {
            for count in 0..100_000_usize {
                buffer.push(state.hash_one(count), &numbers);
            }
            buffer.flush(&numbers);
            let memory = numbers.memory();
            assert!(memory <= 1_300_000, "{memory}");
        }
        assert_eq!(numbers.count_unseen(), 100_000);
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        /// Also numbers that are not random.
        #[test]
        fn it_has_what_was_added_and_knows_what_was_seen(
            added in proptest::collection::vec(0_u64..600, 0..900),
            seen in proptest::collection::vec(0_u64..700, 0..300),
            shift in prop::sample::select(vec![0_u32, 40, 54]),
        ) {
            let numbers = LeafSet::new();
            let mut buffer = LeafBuffer::new();
            added.iter().for_each(|value| buffer.push(value << shift, &numbers));
            buffer.flush(&numbers);
            let expected: HashSet<u64> = added.into_iter().collect();
            prop_assert_eq!(numbers.count_unseen(), expected.len() as u64);
            seen.iter().for_each(|value| numbers.see(value << shift));
            for value in 0..700 {
                let is_expected = expected.contains(&value);
                prop_assert_eq!(numbers.contains(value << shift), is_expected);
                let is_unseen = is_expected && !seen.contains(&value);
                prop_assert_eq!(numbers.is_unseen(value << shift), is_unseen);
            }
            let unseen = expected.iter().filter(|value| !seen.contains(value)).count();
            prop_assert_eq!(numbers.count_unseen(), unseen as u64);
        }
    }
}
