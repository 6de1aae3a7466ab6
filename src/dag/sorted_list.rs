//! [`SortedList`]: a sorted list of random numbers, into which others are merged.

use std::mem;
use std::ops::Range;

/// The numbers of a chunk, of 2 KiB.
const CHUNK: usize = 256;
/// The maximum number of steps that estimate the index of a number. Three are enough for random numbers.
const MAX_ESTIMATES: usize = 4;
/// The number of indexes on each side of an estimate among which a binary search is faster than another estimate.
const NEAR: usize = 16;

/// A sorted list of different numbers, in chunks of one size. A merge uses each chunk of the old list for the new one as
/// soon as it is copied. With two lists, whose memory would be allocated by one thread and freed by another, the process
/// took twice as much memory as the numbers.
#[derive(Debug, Default)]
pub(super) struct SortedList {
    /// All of them are full, except the last one.
    chunks: Vec<Vec<u64>>,
}

impl SortedList {
    pub(super) fn len(&self) -> usize {
        let last = self.chunks.last();
        last.map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Sorts numbers into the list, and empties the vector.
    pub(super) fn merge(&mut self, numbers: &mut Vec<u64>) {
        numbers.sort_unstable();
        numbers.dedup();
        let max_chunks = (self.len() + numbers.len()).div_ceil(CHUNK);
        let old = mem::replace(&mut self.chunks, Vec::with_capacity(max_chunks));
        let (mut new, mut spare, mut merged) = (numbers.as_slice(), Vec::new(), empty_chunk());
        for mut chunk in old {
            let mut sorted = chunk.as_slice();
            while !sorted.is_empty() {
                move_both(&mut sorted, &mut new, &mut merged);
                self.push_if_full(&mut merged, &mut spare);
            }
            chunk.clear();
            spare.push(chunk);
        }
        while !new.is_empty() {
            move_one(&mut new, &mut merged);
            self.push_if_full(&mut merged, &mut spare);
        }
        if !merged.is_empty() {
            self.chunks.push(merged);
        }
        numbers.clear();
    }

    /// Adds a chunk to the list if it is full, and replaces it by a spare one.
    fn push_if_full(&mut self, chunk: &mut Vec<u64>, spare: &mut Vec<Vec<u64>>) {
        if chunk.len() == CHUNK {
            let next = spare.pop().unwrap_or_else(empty_chunk);
            self.chunks.push(mem::replace(chunk, next));
        }
    }

    fn get(&self, index: usize) -> Option<u64> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK).copied()
    }

    /// Returns the index of a number. The distance of two random numbers tells about how many are between them; with
    /// numbers that are not random it takes longer.
    pub(super) fn index_of(&self, number: u64) -> Option<usize> {
        let near = self.estimate(number)?;
        let is_near = self.get(near.start)? <= number && self.get(near.end - 1)? >= number;
        let mut range = match is_near {
            true => near,
            false => 0..self.len(),
        };
        while !range.is_empty() {
            let middle = range.start + range.len() / 2;
            let found = self.get(middle)?;
            if found == number {
                return Some(middle);
            }
            match found < number {
                true => range.start = middle + 1,
                false => range.end = middle,
            }
        }
        None
    }

    /// Returns the indexes among which a number is in all but a few cases. `None` if the list is empty.
    fn estimate(&self, number: u64) -> Option<Range<usize>> {
        let len = self.len();
        let count_up_to = |distance: u64| {
            let count = (u128::from(distance) * len as u128) >> u64::BITS;
            usize::try_from(count).unwrap_or(len)
        };
        // Of random numbers, the count is wrong by less than twice its square root, in all but a few cases.
        let error = |count: usize| 2 * count.isqrt() + 2;
        let mut guess = count_up_to(number).min(len.checked_sub(1)?);
        let mut is_within = error(len);
        for _ in 0..MAX_ESTIMATES {
            if is_within <= NEAR {
                break;
            }
            let found = self.get(guess)?;
            let count = count_up_to(number.abs_diff(found));
            guess = match found < number {
                true => (guess + count).min(len - 1),
                false => guess.saturating_sub(count),
            };
            is_within = error(count);
        }
        Some(guess.saturating_sub(is_within)..(guess + is_within + 1).min(len))
    }

    /// Returns the bytes of memory that the numbers take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.chunks.capacity() * size_of::<Vec<u64>>() + self.chunks.len() * CHUNK * 8
    }
}

fn empty_chunk() -> Vec<u64> {
    Vec::with_capacity(CHUNK)
}

/// Moves numbers from the beginnings of two sorted slices to a chunk, until this is full or `sorted` is empty.
fn move_both(sorted: &mut &[u64], new: &mut &[u64], chunk: &mut Vec<u64>) {
    let (mut from_sorted, mut from_new) = (0, 0);
    while chunk.len() < CHUNK
        && let (Some(one), Some(other)) = (sorted.get(from_sorted), new.get(from_new))
    {
        // No branch depends on which one is less: with random numbers, a processor would often predict it wrongly.
        chunk.push(*one.min(other));
        from_sorted += usize::from(one <= other);
        from_new += usize::from(other <= one);
    }
    *sorted = sorted.get(from_sorted..).unwrap_or_default();
    *new = new.get(from_new..).unwrap_or_default();
    if new.is_empty() {
        move_one(sorted, chunk);
    }
}

/// Moves numbers from the beginning of a slice to a chunk, until this is full or the slice is empty.
fn move_one(numbers: &mut &[u64], chunk: &mut Vec<u64>) {
    let room = CHUNK.saturating_sub(chunk.len());
    let moved = numbers.split_off(..room.min(numbers.len()));
    chunk.extend_from_slice(moved.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        /// Also numbers that are not random, and several chunks.
        #[test]
        fn each_number_is_found_at_its_index_and_no_other_number(
            portions in proptest::collection::vec(proptest::collection::vec(any::<u64>(), 0..1_500), 1..5),
            shift in prop::sample::select(vec![0_u32, 50, 63]),
        ) {
            let (mut list, mut expected) = (SortedList::default(), BTreeSet::new());
            for mut portion in portions {
                portion.iter_mut().for_each(|number| *number >>= shift);
                expected.extend(portion.iter().copied());
                list.merge(&mut portion);
            }
            prop_assert_eq!(list.len(), expected.len());
            for (index, number) in expected.iter().enumerate() {
                prop_assert_eq!(list.index_of(*number), Some(index));
                let next = number.wrapping_add(1);
                prop_assert_eq!(list.index_of(next).is_some(), expected.contains(&next));
            }
        }
    }

    #[test]
    fn an_empty_list_has_no_number() {
        assert_eq!(SortedList::default().index_of(0), None);
    }
}
