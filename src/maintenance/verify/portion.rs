//! [`KeySubset`] and [`RateLimiter`]: how much of a store is checked, and how fast.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::key::Key;
use crate::sync::lock;

/// One of several equal subsets of all keys, by their CRC-32: keys are not spread evenly by their characters, because
/// many keys begin or end with the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeySubset {
    /// From 0.
    index: u32,
    of: NonZeroU32,
}

impl KeySubset {
    /// `number` counts from 1.
    pub(super) fn new(number: u32, of: NonZeroU32) -> Self {
        let index = number.clamp(1, of.get()) - 1;
        KeySubset { index, of }
    }

    pub(super) fn has(self, key: &Key) -> bool {
        let hash = u64::from(crc32fast::hash(key.as_str().as_bytes()));
        (hash * u64::from(self.of.get())) >> 32 == u64::from(self.index)
    }
}

/// Delays reads so that all jobs together read at most this number of bytes per second.
#[derive(Debug)]
pub(super) struct RateLimiter {
    bytes_per_second: NonZeroU64,
    /// The earliest time at which the reads so far are within the rate.
    due: Mutex<Instant>,
}

impl RateLimiter {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Arc<Self> {
        Arc::new(RateLimiter {
            bytes_per_second,
            due: Mutex::new(Instant::now()),
        })
    }

    /// Waits until the rate allows these bytes, or until `stopped` is set.
    pub(super) fn wait(&self, bytes: usize, stopped: &AtomicBool) {
        const MAX_SLEEP: Duration = Duration::from_millis(100);
        let due = self.reserve(bytes, Instant::now());
        while !stopped.load(Ordering::Relaxed) {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(MAX_SLEEP));
        }
    }

    fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut due = lock(&self.due);
        // A time in which nothing was read is not made up for, so that no burst follows a pause.
        let begin = (*due).max(now);
        *due = begin.checked_add(time).unwrap_or(begin);
        *due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_in_exactly_one_subset_and_the_subsets_are_about_equal() {
        let of = NonZeroU32::new(7).unwrap();
        let subsets: Vec<KeySubset> = (1..=7).map(|number| KeySubset::new(number, of)).collect();
        let mut counts = [0; 7];
        for number in 0_u32..7_000 {
            let key = Key::for_block(&number.to_le_bytes());
            let having: Vec<usize> = (0..7).filter(|index| subsets[*index].has(&key)).collect();
            assert_eq!(having.len(), 1);
            counts[having[0]] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_subset_stays_the_same_in_every_version() {
        let of = NonZeroU32::new(1_000_000).unwrap();
        let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
        let found = (1..=1_000_000).find(|number| KeySubset::new(*number, of).has(&key));
        assert_eq!(found, Some(SUBSET_OF_THE_EMPTY_BLOCK));
    }

    const SUBSET_OF_THE_EMPTY_BLOCK: u32 = 266_775;

    #[test]
    fn reads_are_due_at_the_rate_and_a_pause_is_not_made_up_for() {
        let limiter = RateLimiter::new(NonZeroU64::new(1_000).unwrap());
        let begin = *lock(&limiter.due);
        let after = |milliseconds| begin + Duration::from_millis(milliseconds);
        assert_eq!(limiter.reserve(500, begin), after(500));
        assert_eq!(limiter.reserve(500, begin), after(1_000));
        assert_eq!(limiter.reserve(100, after(5_000)), after(5_100));
    }
}
