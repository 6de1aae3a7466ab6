//! [`Ages`] and [`Oldest`] find the oldest garbage that is enough, without a list of all garbage.
//!
//! A first pass adds up the garbage of each period of 18 hours, and a second pass the garbage of each second of the
//! period in which there is enough. So memory holds some ten thousand sums, whatever the number of blocks, and the
//! choice is exact to the second.

use std::collections::BTreeMap;
use std::ops::Range;

/// The seconds of a coarse period, as a power of two.
const COARSE_BITS: u32 = 16;

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

/// The garbage of a range of time, by periods.
#[derive(Debug)]
pub(super) struct Ages {
    /// In seconds since 1970.
    range: Range<u64>,
    period_bits: u32,
    periods: BTreeMap<u64, Amount>,
    /// What is wanted of this range.
    wanted: Wanted,
}

/// The garbage that is removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Oldest {
    /// All garbage that was written before this second is removed.
    pub(super) before: u64,
    /// How much of the garbage that was written in that second is removed.
    pub(super) rest: Wanted,
}

impl Ages {
    /// Begins the first pass.
    pub(super) fn coarse(wanted: Wanted) -> Self {
        Ages {
            range: 0..u64::MAX,
            period_bits: COARSE_BITS,
            periods: BTreeMap::new(),
            wanted,
        }
    }

    /// Adds a block that was written at this second.
    pub(super) fn add(&mut self, second: u64, bytes: u64) {
        if self.range.contains(&second) {
            let amount = self.periods.entry(second >> self.period_bits).or_default();
            amount.blocks += 1;
            amount.bytes = amount.bytes.saturating_add(bytes);
        }
    }

    /// Ends the pass. Returns the next one, or the result.
    pub(super) fn finish(self) -> Result<Oldest, Ages> {
        let mut wanted = self.wanted;
        for (period, amount) in self.periods {
            match wanted.without(amount) {
                Some(rest) => wanted = rest,
                None if self.period_bits > 0 => {
                    let start = period << self.period_bits;
                    return Err(Ages {
                        range: start..start.saturating_add(1 << self.period_bits),
                        period_bits: 0,
                        periods: BTreeMap::new(),
                        wanted,
                    });
                }
                None => {
                    return Ok(Oldest {
                        before: period,
                        rest: wanted,
                    });
                }
            }
        }
        // All of it is not enough.
        Ok(Oldest {
            before: self.range.end,
            rest: wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oldest(garbage: &[(u64, u64)], wanted: Wanted) -> Oldest {
        let mut ages = Ages::coarse(wanted);
        loop {
            garbage
                .iter()
                .for_each(|(second, bytes)| ages.add(*second, *bytes));
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
            mut garbage in proptest::collection::vec((0_u64..300_000, 0_u64..100), 0..60),
            bytes in 0_u64..3_000,
            max_blocks in 0_u64..80,
        ) {
            let wanted = Wanted { bytes, max_blocks };
            let mut oldest = oldest(&garbage, wanted);
            let mut taken = Vec::new();
            for (second, bytes) in &garbage {
                let is_taken = *second < oldest.before
                    || (*second == oldest.before && oldest.rest.take(*bytes));
                if is_taken {
                    taken.push((*second, *bytes));
                }
            }
            garbage.sort_by_key(|(second, _)| *second);
            let mut expected = wanted;
            let expected = garbage.into_iter().filter(|(_, bytes)| expected.take(*bytes));
            let seconds = |taken: Vec<(u64, u64)>| {
                let mut seconds: Vec<u64> = taken.into_iter().map(|(second, _)| second).collect();
                seconds.sort_unstable();
                seconds
            };
            prop_assert_eq!(seconds(taken), seconds(expected.collect()));
        }
    }

    #[test]
    fn nothing_is_taken_if_nothing_is_needed() {
        let none = Wanted {
            bytes: 0,
            max_blocks: 9,
        };
        let mut found = oldest(&[(5, 1), (7, 1)], none);
        assert_eq!(found.before, 5);
        assert!(!found.rest.take(1));
    }
}
