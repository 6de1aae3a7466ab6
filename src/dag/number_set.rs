//! [`NumberSet`]: a set of random numbers that takes little more memory than the numbers themselves.
//!
//! It is a table with linear probing in 64 parts, each with a lock of its own. A part begins with 1,024 slots, is at most
//! 17/20 full and grows by half. So a number takes at most 14.2 bytes, if there are more than 50,000; and a growth copies
//! a 64th of the set. The table of a `HashSet` doubles, so it may be twice as large as needed, and takes half as much
//! again while it grows.

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
}

impl NumberSet {
    pub(super) fn new() -> Self {
        NumberSet {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Adds a number. Returns whether it is new.
    pub(super) fn insert(&self, number: u64) -> bool {
        self.part(number)
            .is_some_and(|part| lock(part).insert(number))
    }

    fn part(&self, number: u64) -> Option<&Mutex<Part>> {
        self.parts.get(part_of(number))
    }

    /// Returns the bytes of memory that the tables take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let size = |part: &Mutex<Part>| lock(part).slots.len() * 8;
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
    fn a_number_of_many_takes_at_most_14_2_bytes() {
        let (numbers, state) = (NumberSet::new(), RandomState::new());
        // At every size: a table is least full just after it has grown.
        for count in 1..200_000_usize {
            assert!(numbers.insert(state.hash_one(count)));
            if count >= 100_000 && count.is_multiple_of(100) {
                let memory = numbers.memory();
                assert!(memory * 10 <= count * 142, "{count}: {memory}");
            }
        }
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        /// Numbers whose upper bits are equal are in one part and begin at one slot.
        #[test]
        fn a_number_is_new_once(
            inserted in proptest::collection::vec(0_u64..600, 0..900),
            shift in prop::sample::select(vec![0_u32, 40, 54]),
        ) {
            let (numbers, mut expected) = (NumberSet::new(), HashSet::new());
            for value in inserted {
                prop_assert_eq!(numbers.insert(value << shift), expected.insert(value));
            }
        }
    }
}
