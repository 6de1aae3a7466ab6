//! [`Stats`]: counts of the blocks of a store by size and by shard.

mod draw;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use self::draw::draw;

/// The number of characters of base32, in which the keys of blocks are written.
const BASE32_CHARACTERS: u64 = 32;

/// The end of the first bin of the histogram, in bytes. Each further bin ends at four times the size of the one before.
const FIRST_BIN: u64 = 1 << 10;

/// Counts of blocks by size and by shard. It takes memory for each size and each shard that occurs, not
/// for each block.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    sizes: BTreeMap<u64, u64>,
    shards: BTreeMap<String, u64>,
}

/// The blocks in a range of sizes.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Bin {
    /// The smallest size in the range, in bytes.
    pub(crate) from: u64,
    /// The smallest size above the range.
    pub(crate) below: u64,
    pub(crate) blocks: u64,
}

/// The smallest, median and largest of some numbers. The median of an even count is the lower one of the
/// two in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Spread {
    pub(crate) smallest: u64,
    pub(crate) median: u64,
    pub(crate) largest: u64,
}

impl Stats {
    /// Counts a block of this size, in this shard if the store has shards.
    pub(crate) fn add(&mut self, shard: impl Into<Option<String>>, size: u64) {
        *self.sizes.entry(size).or_default() += 1;
        if let Some(shard) = shard.into() {
            *self.shards.entry(shard).or_default() += 1;
        }
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.sizes.values().sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        // Sparse files can be so large that their sum overflows.
        let products = self
            .sizes
            .iter()
            .map(|(size, blocks)| size.saturating_mul(*blocks));
        products.fold(0, u64::saturating_add)
    }

    /// Returns the spread of the sizes of blocks, or `None` if there are no blocks.
    pub(crate) fn size_spread(&self) -> Option<Spread> {
        spread(&self.sizes)
    }

    /// Returns the blocks by size, up to the bin of the largest block.
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

    /// Returns how many shards have blocks.
    pub(crate) fn shards_used(&self) -> u64 {
        self.shards.len() as u64
    }

    /// Returns the spread of the numbers of blocks in the shards that are used, or `None` if there are none.
    pub(crate) fn shard_spread(&self) -> Option<Spread> {
        let mut fills = BTreeMap::new();
        for blocks in self.shards.values() {
            *fills.entry(*blocks).or_default() += 1;
        }
        spread(&fills)
    }

    /// Returns the numbers of blocks in the shards, in the order of the shards' names.
    pub(crate) fn shard_fills(&self) -> impl ExactSizeIterator<Item = u64> {
        self.shards.values().copied()
    }
}

/// Returns how many shards base32 keys can have if `length` characters of the key name the shard.
pub(crate) fn shards_possible(length: usize) -> u64 {
    u32::try_from(length).map_or(u64::MAX, |length| BASE32_CHARACTERS.saturating_pow(length))
}

/// Returns the spread of numbers, each given with how often it occurs.
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
    fn an_empty_store_has_no_spreads_and_no_bins() {
        let stats = of(&[]);
        assert_eq!((stats.blocks(), stats.bytes()), (0, 0));
        assert_eq!((stats.size_spread(), stats.shard_spread()), (None, None));
        assert_eq!(stats.size_bins(), []);
    }

    #[test]
    fn bins_end_with_the_largest_size_and_count_each_block_once() {
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
