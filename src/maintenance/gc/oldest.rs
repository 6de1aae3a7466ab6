//! [`Ages`] and [`Oldest`] find the oldest garbage that is enough, without a list of all garbage.
//!
//! A pass adds up the garbage of each period. The periods become longer when there are too many of them, so memory holds
//! about ten thousand sums, whatever the number of blocks. If a period is longer than needed, another pass divides the one
//! in which there is enough. Blocks that were written in the same second are ordered by their keys, so that a dry run and
//! the collection after it choose the same ones.

use std::collections::BTreeMap;
use std::mem;
use std::ops::RangeInclusive;

use crate::key::Key;

/// The maximum number of sums.
const MAX_PERIODS: usize = 1 << 16;

/// Orders garbage: by the second at which it was written, and by a hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    /// `second` counts from 1970.
    pub(super) fn new(second: u64, key: &Key) -> Self {
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        let key = crc32fast::hash(key.as_str().as_bytes());
        Rank(u64::from(second) << u32::BITS | u64::from(key))
    }
}

/// A number of blocks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

/// How much is to be removed: enough bytes, but not more than the maximum number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) bytes: u64,
    pub(super) max_blocks: u64,
}

impl Wanted {
    /// Takes a block if there is not enough yet.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let takes = self.bytes > 0 && self.max_blocks > 0;
        if takes {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.max_blocks -= 1;
        }
        takes
    }

    /// Returns what is still wanted after all of this was taken, or `None` if that is more than enough.
    fn without(self, amount: Amount) -> Option<Self> {
        (amount.bytes < self.bytes && amount.blocks < self.max_blocks).then(|| Wanted {
            bytes: self.bytes - amount.bytes,
            max_blocks: self.max_blocks - amount.blocks,
        })
    }
}

/// The garbage of a range of ranks, by periods.
#[derive(Debug)]
pub(super) struct Ages {
    range: RangeInclusive<u64>,
    /// A period has this number of ranks, as a power of two.
    period_bits: u32,
    periods: BTreeMap<u64, Amount>,
    max_periods: usize,
    /// What is wanted of this range.
    wanted: Wanted,
}

/// The garbage that is removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Oldest {
    /// All garbage before this rank is removed.
    pub(super) before: Rank,
    /// How much of the garbage of that rank is removed.
    pub(super) rest: Wanted,
}

impl Ages {
    /// Begins the first pass.
    pub(super) fn new(wanted: Wanted) -> Self {
        Ages {
            range: 0..=u64::MAX,
            period_bits: 0,
            periods: BTreeMap::new(),
            max_periods: MAX_PERIODS,
            wanted,
        }
    }

    /// Adds a block.
    pub(super) fn add(&mut self, Rank(rank): Rank, bytes: u64) {
        if !self.range.contains(&rank) {
            return;
        }
        let amount = Amount { blocks: 1, bytes };
        self.add_to_period(rank >> self.period_bits, amount);
        while self.periods.len() > self.max_periods {
            self.period_bits += 1;
            for (period, amount) in mem::take(&mut self.periods) {
                self.add_to_period(period >> 1, amount);
            }
        }
    }

    fn add_to_period(&mut self, period: u64, amount: Amount) {
        let sum = self.periods.entry(period).or_default();
        sum.blocks += amount.blocks;
        sum.bytes = sum.bytes.saturating_add(amount.bytes);
    }

    /// Ends the pass. Returns the next one, or the result.
    pub(super) fn finish(self) -> Result<Oldest, Ages> {
        let mut wanted = self.wanted;
        for (period, amount) in self.periods {
            let first = period << self.period_bits;
            match wanted.without(amount) {
                Some(rest) => wanted = rest,
                None if self.period_bits > 0 => {
                    return Err(Ages {
                        range: first..=first | ((1 << self.period_bits) - 1),
                        max_periods: self.max_periods,
                        ..Ages::new(wanted)
                    });
                }
                None => {
                    return Ok(Oldest {
                        before: Rank(first),
                        rest: wanted,
                    });
                }
            }
        }
        // All of it is not enough.
        Ok(Oldest {
            before: Rank(*self.range.end()),
            rest: wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oldest(garbage: &[(u64, u64)], wanted: Wanted) -> Oldest {
        let max_periods = 8;
        let mut ages = Ages {
            max_periods,
            ..Ages::new(wanted)
        };
        loop {
            for (rank, bytes) in garbage {
                ages.add(Rank(*rank), *bytes);
                assert!(ages.periods.len() <= max_periods);
            }
            match ages.finish() {
                Ok(oldest) => return oldest,
                Err(next) => ages = next,
            }
        }
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn the_oldest_blocks_are_taken_and_no_more_than_are_needed(
            mut garbage in proptest::collection::vec((0_u64..3_000, 0_u64..100), 0..60),
            shift in prop::sample::select(vec![0_u32, 20, 52]),
            bytes in 0_u64..3_000,
            max_blocks in 0_u64..80,
        ) {
            garbage.iter_mut().for_each(|(rank, _)| *rank <<= shift);
            let wanted = Wanted { bytes, max_blocks };
            let mut oldest = oldest(&garbage, wanted);
            let mut taken = Vec::new();
            for (rank, bytes) in &garbage {
                let is_taken = Rank(*rank) < oldest.before
                    || (Rank(*rank) == oldest.before && oldest.rest.take(*bytes));
                if is_taken {
                    taken.push((*rank, *bytes));
                }
            }
            garbage.sort_by_key(|(rank, _)| *rank);
            let mut expected = wanted;
            let expected = garbage.into_iter().filter(|(_, bytes)| expected.take(*bytes));
            let ranks = |taken: Vec<(u64, u64)>| {
                let mut ranks: Vec<u64> = taken.into_iter().map(|(rank, _)| rank).collect();
                ranks.sort_unstable();
                ranks
            };
            prop_assert_eq!(ranks(taken), ranks(expected.collect()));
        }
    }

    #[test]
    fn nothing_is_taken_if_nothing_is_needed() {
        let none = Wanted {
            bytes: 0,
            max_blocks: 9,
        };
        let mut found = oldest(&[(5, 1), (7, 1)], none);
        assert_eq!(found.before, Rank(5));
        assert!(!found.rest.take(1));
    }

    #[test]
    fn the_time_comes_before_the_key_and_keys_of_one_second_differ() {
        let rank = |second, key: &str| Rank::new(second, &Key::new(key));
        for key in ["A", "B", "C"] {
            assert!(rank(7, "A") < rank(8, key) && rank(8, key) < rank(u64::MAX, "A"));
        }
        assert_ne!(rank(7, "A"), rank(7, "B"));
    }
}
