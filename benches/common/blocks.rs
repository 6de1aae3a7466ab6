//! [`Blocks`]: blocks with names like kubo's, and different contents that cannot be compressed.

use std::iter;
use std::thread;

use bytes::Bytes;
use ds_flatfs::Key;

/// The number of different contents, after which they repeat.
const DISTINCT_CONTENTS: usize = 1 << 20;

/// Names, their keys, and a value for each.
pub(crate) struct Blocks {
    pub(crate) names: Vec<String>,
    pub(crate) keys: Vec<Key>,
    /// Each value is a part of these bytes.
    random: Bytes,
    size: usize,
}

impl Blocks {
    /// Returns the blocks with these numbers, of `size` bytes each.
    pub(crate) fn new(numbers: impl IntoIterator<Item = usize>, size: usize) -> Self {
        let names: Vec<String> = numbers.into_iter().map(name).collect();
        let keys = names.iter().map(Key::new).collect();
        let words = (size + names.len().min(DISTINCT_CONTENTS)).div_ceil(8);
        let random: Vec<u8> = random(names.len() as u64)
            .take(words)
            .flat_map(u64::to_le_bytes)
            .collect();
        Blocks {
            names,
            keys,
            random: Bytes::from(random),
            size,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn value(&self, index: usize) -> Bytes {
        let begin = index % DISTINCT_CONTENTS;
        self.random.slice(begin..begin + self.size)
    }

    /// Calls `work` for each block, with its name and its index, on this number of threads.
    pub(crate) fn by_threads(&self, threads: usize, work: impl Fn(&str, usize) + Sync) {
        let work = &work;
        let share = self.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            for (part, names) in self.names.chunks(share).enumerate() {
                scope.spawn(move || {
                    for (name, index) in names.iter().zip(part * share..) {
                        work(name, index);
                    }
                });
            }
        });
    }
}

/// Returns a name that is distributed like a hash and has 55 characters, like the names of kubo's blocks.
pub(crate) fn name(number: usize) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = random(number as u64)
        .take(52)
        .map(|mixed| char::from(DIGITS[(mixed >> 59) as usize]));
    format!("CIQ{}", digits.collect::<String>())
}

/// Returns the numbers of the generator `SplitMix64`.
fn random(mut state: u64) -> impl Iterator<Item = u64> {
    iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}
