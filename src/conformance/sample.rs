//! The entries that the suites write. They are the same in every run, so that a failure can be reproduced.

use bytes::Bytes;

use super::Keys;
use crate::key::Key;
use crate::query::Entry;

/// Returns `len` bytes that look random and do not compress, different ones for each seed.
pub(super) fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&splitmix64(&mut state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// Returns the next number of the generator SplitMix64 by Steele, Lea and Flood.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns `count` entries in each namespace: `/0key0`, `/prefix/0key0` and so on. Some values are equal, and one
/// in each namespace is empty.
pub(super) fn entries(keys: Keys, count: usize) -> Vec<Entry> {
    let namespaces: &[&str] = match keys {
        Keys::Any => &["", "/prefix", "/prefix/sub", "/Capital"],
        Keys::Flat | Keys::Blocks => &[""],
    };
    let numbers = || 0..count;
    namespaces
        .iter()
        .flat_map(|namespace| numbers().map(move |i| (namespace, i)))
        .map(|(namespace, i)| {
            let key = Key::new(keys.text(&format!("{namespace}/{i}key{i}")));
            Entry::with_value(key, value(i))
        })
        .collect()
}

/// Returns the value of entry number `i`: one of forty values, all of different lengths.
pub(super) fn value(i: usize) -> Bytes {
    let which = i % 40;
    noise(which as u64, which)
}

/// A value in the middle: about as many values are less than this one as are greater.
pub(super) const MIDDLE: &[u8] = &[0x80];
