//! [`NumberSet`]: a set of random numbers that takes little more memory than the numbers themselves.
//!
//! It is a table with linear probing in 64 parts, each with a lock of its own. A part begins with 1,024 slots, is at most
//! 17/20 full and grows by half. So a number takes at most 14.4 bytes, with the bit that says whether it was seen, if
//! there are more than 50,000; and a growth copies a 64th of the set. hashbrown doubles: its table may be twice as large as it has to be, and needs half of that again
//! while it grows.

use std::mem;
use std::sync::Mutex;

use crate::sync::lock;

const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 6;
const MIN_SLOTS: usize = 1024;

#[derive(Debug)]
pub(super) struct NumberSet {
    parts: Vec<Mutex<Part>>,
}

/// A table of slots. A slot of 0 is free, so the number 0 is a flag.
#[derive(Debug, Default)]
struct Part {
    slots: Vec<u64>,
    len: usize,
    has_zero: bool,
    /// A bit for each slot whose number was seen. Empty until one was.
    seen: Vec<u64>,
    has_seen_zero: bool,
}

impl NumberSet {
    pub(super) fn new() -> Self {
        NumberSet {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Adds the numbers and empties the vector. Returns how many of them are new.
    ///
    /// Many numbers at a time need few locks, and are found in the order of the table.
    pub(super) fn insert_all(&self, numbers: &mut Vec<u64>) -> u64 {
        let mut added = 0;
        self.by_parts(numbers, |part, number| {
            added += u64::from(part.insert(number));
        });
        added
    }

    /// Adds a number. Returns whether it is new.
    pub(super) fn insert(&self, number: u64) -> bool {
        self.part(number)
            .is_some_and(|part| lock(part).insert(number))
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.part(number)
            .is_some_and(|part| lock(part).contains(number))
    }

    /// Notes that the numbers were seen, and empties the vector. After that, no number may be added.
    pub(super) fn see_all(&self, numbers: &mut Vec<u64>) {
        self.by_parts(numbers, Part::see);
    }

    /// Returns whether the set has the number, and it was not seen.
    pub(super) fn is_unseen(&self, number: u64) -> bool {
        self.part(number)
            .is_some_and(|part| lock(part).is_unseen(number))
    }

    /// Returns how many of the numbers were not seen.
    pub(super) fn count_unseen(&self) -> u64 {
        self.parts
            .iter()
            .map(|part| lock(part).count_unseen())
            .sum()
    }

    fn by_parts(&self, numbers: &mut Vec<u64>, mut each: impl FnMut(&mut Part, u64)) {
        numbers.sort_unstable();
        for of_part in numbers.chunk_by(|one, other| part_of(*one) == part_of(*other)) {
            let Some(part) = of_part.first().and_then(|first| self.part(*first)) else {
                continue;
            };
            let mut part = lock(part);
            of_part.iter().for_each(|number| each(&mut part, *number));
        }
        numbers.clear();
    }

    fn part(&self, number: u64) -> Option<&Mutex<Part>> {
        self.parts.get(part_of(number))
    }

    /// Returns the bytes of memory that the tables take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let size = |part: &Mutex<Part>| {
            let part = lock(part);
            (part.slots.len() + part.seen.len()) * 8
        };
        self.parts.iter().map(size).sum()
    }
}

fn part_of(number: u64) -> usize {
    // It is below 64.
    usize::try_from(number >> (u64::BITS - PART_BITS)).unwrap_or(0)
}

impl Part {
    fn insert(&mut self, number: u64) -> bool {
        if number == 0 {
            return !mem::replace(&mut self.has_zero, true);
        }
        if (self.len + 1) * 20 > self.slots.len() * 17 {
            self.grow();
        }
        self.add(number)
    }

    fn add(&mut self, number: u64) -> bool {
        let first = self.first(number).min(self.slots.len());
        let (before, after) = self.slots.split_at_mut(first);
        let mut slots = after.iter_mut().chain(before);
        let slot = slots.find(|slot| **slot == number || **slot == 0);
        match slot {
            Some(slot) if *slot == 0 => {
                *slot = number;
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    fn contains(&self, number: u64) -> bool {
        match number {
            0 => self.has_zero,
            number => self.find_existing(number).is_some(),
        }
    }

    fn see(&mut self, number: u64) {
        if number == 0 {
            self.has_seen_zero = true;
            return;
        }
        if self.seen.is_empty() {
            self.seen = vec![0; self.slots.len().div_ceil(64)];
        }
        let at = self.find_existing(number);
        if let Some(word) = at.and_then(|at| self.seen.get_mut(at / 64)) {
            *word |= 1 << (at.unwrap_or(0) % 64);
        }
    }

    fn is_unseen(&self, number: u64) -> bool {
        if number == 0 {
            return self.has_zero && !self.has_seen_zero;
        }
        self.find_existing(number).is_some_and(|at| {
            let word = self.seen.get(at / 64).copied().unwrap_or(0);
            word & (1 << (at % 64)) == 0
        })
    }

    fn count_unseen(&self) -> u64 {
        let seen: u32 = self.seen.iter().map(|word| word.count_ones()).sum();
        let unseen = self.len.saturating_sub(seen as usize) as u64;
        unseen + u64::from(self.has_zero && !self.has_seen_zero)
    }

    /// Returns the index of the slot of a number.
    fn find_existing(&self, number: u64) -> Option<usize> {
        let first = self.first(number);
        let fits = |slot: &u64| *slot == number || *slot == 0;
        let after = self.slots.get(first..)?.iter().position(fits);
        let before = || self.slots.iter().position(fits);
        let found = after.map(|index| first + index).or_else(before)?;
        (self.slots.get(found) == Some(&number)).then_some(found)
    }

    /// Returns the index of the first slot in which a number may be: the bits that did not choose the part, scaled to
    /// the capacity. So numbers in ascending order are found in the order of the table.
    fn first(&self, number: u64) -> usize {
        let scaled = u128::from(number << PART_BITS) * self.slots.len() as u128;
        usize::try_from(scaled >> u64::BITS).unwrap_or(0)
    }

    fn grow(&mut self) {
        let capacity = (self.slots.len() / 2 * 3).max(MIN_SLOTS);
        let old = mem::replace(&mut self.slots, vec![0; capacity]);
        self.len = 0;
        for number in old {
            if number != 0 {
                self.add(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher as _, RandomState};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_of_many_takes_at_most_14_4_bytes() {
        let (numbers, state) = (NumberSet::new(), RandomState::new());
        // At every size: a table is least full just after it has grown.
        for count in 1..200_000_usize {
            assert!(numbers.insert(state.hash_one(count)));
            if count >= 100_000 && count.is_multiple_of(100) {
                let memory = numbers.memory();
                assert!(memory * 10 <= count * 144, "{count}: {memory}");
            }
        }
        let mut all = (0..200_000_usize)
            .map(|count| state.hash_one(count))
            .collect();
        numbers.see_all(&mut all);
        assert!(numbers.memory() <= 20_000 * 144);
        assert_eq!(numbers.count_unseen(), 0);
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        /// Numbers whose upper bits are equal are in one part and begin at one slot.
        #[test]
        fn it_has_what_was_inserted_and_knows_what_was_seen(
            inserted in proptest::collection::vec(0_u64..600, 0..900),
            seen in proptest::collection::vec(0_u64..700, 0..300),
            shift in prop::sample::select(vec![0_u32, 40, 54]),
            at_once in any::<bool>(),
        ) {
            let numbers = NumberSet::new();
            let expected: HashSet<u64> = inserted.iter().copied().collect();
            if at_once {
                let mut all: Vec<u64> = inserted.iter().map(|value| value << shift).collect();
                prop_assert_eq!(numbers.insert_all(&mut all), expected.len() as u64);
            } else {
                let mut known = HashSet::new();
                for value in inserted {
                    prop_assert_eq!(numbers.insert(value << shift), known.insert(value));
                }
            }
            let mut all: Vec<u64> = seen.iter().map(|value| value << shift).collect();
            numbers.see_all(&mut all);
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
