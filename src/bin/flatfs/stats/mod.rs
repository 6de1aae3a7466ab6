//! [`Stats`]: what can be said about a store as a whole.

mod draw;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use self::draw::draw;

/// How many letters base32 has, in which the keys of blocks are written.
const ALPHABET: u64 = 32;

/// The first bin of the histogram ends here, each next one at four times the size.
const FIRST_BIN: u64 = 1 << 10;

/// Counts of blocks by size and by shard. It needs memory for each size and each shard that occurs,
/// not for each block.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    sizes: BTreeMap<u64, u64>,
    shards: BTreeMap<String, u64>,
}

/// Some of the blocks, by size.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Bin {
    /// The smallest size in it, in bytes.
    pub(crate) from: u64,
    /// The smallest size over it.
    pub(crate) below: u64,
    pub(crate) blocks: u64,
}

/// The least, the middle and the greatest of some numbers. Of an even count the middle is the lower
/// of the two in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Spread {
    pub(crate) smallest: u64,
    pub(crate) median: u64,
    pub(crate) largest: u64,
}

impl Stats {
    /// Counts a block of this size, in this shard.
    pub(crate) fn add(&mut self, shard: String, size: u64) {
        *self.sizes.entry(size).or_default() += 1;
        *self.shards.entry(shard).or_default() += 1;
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.sizes.values().sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.iter().map(|(size, blocks)| size * blocks).sum()
    }

    /// Of the sizes of blocks; `None` if there are no blocks.
    pub(crate) fn size_spread(&self) -> Option<Spread> {
        spread(&self.sizes)
    }

    /// The blocks by size, from the smallest sizes to the largest that occurs.
    pub(crate) fn size_bins(&self) -> Vec<Bin> {
        let mut bins = Vec::new();
        let (mut from, mut below) = (0, FIRST_BIN);
        let largest = self.sizes.keys().next_back().copied();
        while largest.is_some_and(|largest| from <= largest) {
            bins.push(Bin {
                from,
                below,
                blocks: self
                    .sizes
                    .range(from..below)
                    .map(|(_, blocks)| blocks)
                    .sum(),
            });
            (from, below) = (below, below.saturating_mul(4));
            if from == below {
                break;
            }
        }
        bins
    }

    /// How many shards have blocks.
    pub(crate) fn shards_used(&self) -> u64 {
        self.shards.len() as u64
    }

    /// Of the number of blocks in a shard that has any; `None` if there are no blocks.
    pub(crate) fn shard_spread(&self) -> Option<Spread> {
        let mut fills = BTreeMap::new();
        for blocks in self.shards.values() {
            *fills.entry(*blocks).or_default() += 1;
        }
        spread(&fills)
    }

    /// The numbers of blocks in the shards, by the shards' names.
    pub(crate) fn shard_fills(&self) -> impl ExactSizeIterator<Item = u64> {
        self.shards.values().copied()
    }
}

/// How many shards there can be for keys in base32, where `length` characters of the key name one.
pub(crate) fn shards_possible(length: usize) -> u64 {
    u32::try_from(length).map_or(u64::MAX, |length| ALPHABET.saturating_pow(length))
}

/// Of numbers that are given with how often they occur.
fn spread(counts: &BTreeMap<u64, u64>) -> Option<Spread> {
    let total: u64 = counts.values().sum();
    let mut before = 0;
    let median = counts.iter().find_map(|(number, count)| {
        before += count;
        (before * 2 >= total).then_some(*number)
    })?;
    Some(Spread {
        smallest: *counts.keys().next()?,
        median,
        largest: *counts.keys().next_back()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(sizes: &[u64]) -> Stats {
        let mut stats = Stats::default();
        for size in sizes {
            stats.add(format!("{}", size % 7), *size);
        }
        stats
    }

    #[test]
    fn nothing_is_said_about_the_sizes_of_no_blocks() {
        let stats = of(&[]);
        assert_eq!((stats.blocks(), stats.bytes()), (0, 0));
        assert_eq!((stats.size_spread(), stats.shard_spread()), (None, None));
        assert_eq!(stats.size_bins(), []);
    }

    #[test]
    fn bins_end_with_the_largest_size_and_have_each_block_once() {
        let bins = of(&[0, 1023, 1024, 5000]).size_bins();
        let bin = |from, below, blocks| Bin {
            from,
            below,
            blocks,
        };
        assert_eq!(
            bins,
            [bin(0, 1024, 2), bin(1024, 4096, 1), bin(4096, 16384, 1)]
        );
        let huge = of(&[u64::MAX - 1]).size_bins();
        assert_eq!(huge.iter().map(|bin| bin.blocks).sum::<u64>(), 1);
    }

    #[test]
    fn shards_are_counted_by_how_full_they_are() {
        let stats = of(&[0, 7, 14, 1, 2]);
        assert_eq!(stats.shards_used(), 3);
        let spread = stats.shard_spread().unwrap();
        assert_eq!((spread.smallest, spread.median, spread.largest), (1, 1, 3));
        assert_eq!(shards_possible(2), 1024);
        assert_eq!(shards_possible(99), u64::MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_spread_is_that_of_the_sorted_sizes(
            mut sizes in proptest::collection::vec(0_u64..50, 1..40),
        ) {
            let stats = of(&sizes);
            sizes.sort_unstable();
            let expected = Spread {
                smallest: sizes[0],
                median: sizes[(sizes.len() - 1) / 2],
                largest: sizes[sizes.len() - 1],
            };
            prop_assert_eq!(stats.size_spread(), Some(expected));
            prop_assert_eq!(stats.blocks(), sizes.len() as u64);
            prop_assert_eq!(stats.bytes(), sizes.iter().sum::<u64>());
        }
    }
}
