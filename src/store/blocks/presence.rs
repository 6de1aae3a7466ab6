//! [`PresenceFilter`]: tells from memory that a block is absent, so that most reads of absent blocks need neither
//! the disk nor another thread.
//!
//! The writer's lock makes this process the only one that adds blocks. So after a listing of a shard directory, or its
//! creation, the names that were listed and those that were published since are all that the directory can have. They
//! are in a Bloom filter: a block that is not in it is absent, and any other block is looked up on disk. A name can't
//! be removed from the filter, so a deleted block is looked up on disk, too.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use fastbloom::BloomFilter;

use crate::format::BlockKey;
use crate::observe;
use crate::sync::{lock, read, write};

/// The number of bits per block in a new filter. About one absent key in 800 is then looked up on disk, and one in
/// 150 when the filter is full.
const BITS_PER_BLOCK: usize = 14;
/// The number of blocks that can be added to a new filter, besides a quarter of the number that were listed. A directory
/// that this process has created is therefore listed when it has about as many.
const MIN_ROOM: usize = 64;
/// The approximate number of bytes that a shard takes besides its filter: its entry in the map and its name.
const SHARD_OVERHEAD: usize = 200;
/// The number of reads of a shard after which it is listed even if the kernel's cache of names knew that the blocks
/// were absent. Such a read costs ten times as much as one that the filter serves, but far less than a listing.
const READS_PER_LISTING: u32 = 32;
/// The maximum number of shards with an entry, for stores that have a directory for each block.
const MAX_SHARDS: usize = 1 << 16;
/// The maximum number of shards that are listed at a time. The listings compete with reads for the disk.
const MAX_FILLS: usize = 2;

/// The blocks that may exist in the shards in which a read has missed a block, and in those that this process has
/// created.
pub(crate) struct PresenceFilter {
    /// 0 turns the filter off.
    max_bytes: usize,
    hasher: RandomState,
    shards: RwLock<HashMap<Box<str>, Arc<ShardFilter>>>,
    /// The hashes of the blocks that are being published. Locked before the contents of a shard.
    publishing: Mutex<Vec<u64>>,
    bytes: AtomicUsize,
    /// How many shards are being listed.
    fills: AtomicUsize,
    fills_begun: AtomicU64,
}

struct ShardFilter {
    /// The number of reads of blocks in the shard.
    asked: AtomicU32,
    contents: RwLock<Contents>,
}

/// What is known about the blocks of a shard.
#[derive(Default)]
enum Contents {
    #[default]
    Unknown,
    /// The directory is being listed. The listing may miss these blocks, which are published while it runs.
    Listing {
        /// The number of the fill that lists it.
        fill: u64,
        added: Vec<u64>,
    },
    Known(KnownBlocks),
    /// The filter of this shard alone would be larger than all filters may be.
    TooLarge,
}

struct KnownBlocks {
    filter: BloomFilter,
    /// How many blocks can be added before too many absent blocks are looked up on disk.
    room: usize,
}

impl PresenceFilter {
    pub(super) fn new(max_bytes: usize) -> Self {
        PresenceFilter {
            max_bytes,
            hasher: RandomState::new(),
            shards: RwLock::default(),
            publishing: Mutex::default(),
            bytes: AtomicUsize::new(0),
            fills: AtomicUsize::new(0),
            fills_begun: AtomicU64::new(0),
        }
    }

    /// Returns whether the block is certainly absent. It does not block.
    pub(super) fn excludes(&self, shard: &str, block: &BlockKey) -> bool {
        if self.max_bytes == 0 {
            return false;
        }
        let shards = read(&self.shards);
        let Some(shard) = shards.get(shard) else {
            return false;
        };
        shard.asked.fetch_add(1, Ordering::Relaxed);
        match &*read(&shard.contents) {
            Contents::Known(known) => !known.filter.contains_hash(self.hash(block)),
            Contents::Unknown | Contents::Listing { .. } | Contents::TooLarge => false,
        }
    }

    /// Adds a block that is about to be published. The guard must be held until the block has its name, or the publish
    /// has failed.
    pub(super) fn publishing(&self, shard: &str, block: &BlockKey) -> Publishing<'_> {
        if self.max_bytes == 0 {
            return Publishing { entry: None };
        }
        let hash = self.hash(block);
        // A listing that begins after this takes the block from the list, since it may not see the block's name yet. A
        // listing that has already begun gets the block here.
        let mut publishing = lock(&self.publishing);
        publishing.push(hash);
        if let Some(shard) = read(&self.shards).get(shard) {
            self.add(&mut write(&shard.contents), hash);
        }
        Publishing {
            entry: Some((self, hash)),
        }
    }

    fn add(&self, contents: &mut Contents, hash: u64) {
        match contents {
            Contents::Unknown | Contents::TooLarge => {}
            Contents::Listing { added, .. } => added.push(hash),
            Contents::Known(known) => {
                known.insert(hash);
                if known.room == 0 {
                    // The next read of an absent block lists the directory again.
                    self.forget(contents);
                }
            }
        }
    }

    /// Returns whether [`begin_fill`](Self::begin_fill) would list the shard.
    pub(crate) fn is_fill_due(&self, shard: &str) -> bool {
        if self.max_bytes == 0 {
            return false;
        }
        let shards = read(&self.shards);
        match shards.get(shard) {
            None => shards.len() < MAX_SHARDS,
            Some(shard) => {
                matches!(&*read(&shard.contents), Contents::Unknown)
                    // Searching for a shard that is read less often takes time, so it is done rarely.
                    && (self.has_memory() || shard.asked.load(Ordering::Relaxed).is_power_of_two())
            }
        }
    }

    /// Returns whether the shard should be listed, although the kernel's cache of names knew that a block is absent.
    pub(crate) fn is_fill_worth(&self, shard: &str) -> bool {
        if !self.is_fill_due(shard) {
            return false;
        }
        let asked = read(&self.shards)
            .get(shard)
            .map(|shard| shard.asked.load(Ordering::Relaxed));
        match asked {
            // From now on its reads are counted.
            None => _ = self.entry(shard),
            Some(asked) => return asked % READS_PER_LISTING == 0,
        }
        false
    }

    fn entry(&self, shard: &str) -> Arc<ShardFilter> {
        let mut shards = write(&self.shards);
        let new = || {
            Arc::new(ShardFilter {
                asked: AtomicU32::new(0),
                contents: RwLock::default(),
            })
        };
        Arc::clone(shards.entry(shard.into()).or_insert_with(new))
    }

    /// Begins to fill the filter of a shard, before its directory is listed. Returns `None` if it is filled or
    /// being filled, if too many others are being filled, or if no memory is left and no other shard is read much
    /// less often.
    pub(super) fn begin_fill(&self, shard: &str) -> Option<Fill<'_>> {
        if !self.is_fill_due(shard) {
            return None;
        }
        let shard = self.entry(shard);
        if !self.has_memory() && !self.evict_below(shard.asked.load(Ordering::Relaxed)) {
            return None;
        }
        if self.fills.fetch_add(1, Ordering::Relaxed) >= MAX_FILLS {
            self.fills.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // Held until the listing has begun: a block that is published in between would be neither in this list nor
        // added to the listing.
        let publishing = lock(&self.publishing);
        let mut contents = write(&shard.contents);
        if !matches!(*contents, Contents::Unknown) {
            self.fills.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let number = self.fills_begun.fetch_add(1, Ordering::Relaxed);
        *contents = Contents::Listing {
            fill: number,
            added: publishing.clone(),
        };
        drop(contents);
        Some(Fill {
            filter: self,
            number,
            shard,
            listed: Vec::new(),
        })
    }

    fn has_memory(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < self.max_bytes
    }

    /// Forgets the shard with the fewest reads, if these are less than half of `asked`: otherwise two shards could
    /// evict each other, with a listing for each read. Returns whether a shard was forgotten.
    fn evict_below(&self, asked: u32) -> bool {
        if asked < 2 {
            return false;
        }
        let shards = read(&self.shards);
        let known = shards
            .values()
            .filter(|shard| matches!(&*read(&shard.contents), Contents::Known(_)));
        let least = known.min_by_key(|shard| shard.asked.load(Ordering::Relaxed));
        let least = least.map(Arc::clone);
        drop(shards);
        match least {
            Some(shard) if shard.asked.load(Ordering::Relaxed) < asked / 2 => {
                self.forget(&mut write(&shard.contents));
                true
            }
            _ => false,
        }
    }

    fn forget(&self, contents: &mut Contents) {
        // The shard may have been forgotten in the meantime and be listed again. The new listing must not lose the
        // blocks that are published while it runs.
        if let Contents::Known(known) = contents {
            let bytes = known.bytes();
            *contents = Contents::Unknown;
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            observe::presence_filter_shrank(bytes);
        }
    }

    fn hash(&self, block: &BlockKey) -> u64 {
        self.hasher.hash_one(block.name())
    }

    /// Returns the size of the filters in bytes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for PresenceFilter {
    fn drop(&mut self) {
        observe::presence_filter_shrank(*self.bytes.get_mut());
    }
}

impl fmt::Debug for PresenceFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceFilter")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl KnownBlocks {
    fn new(hashes: &[u64]) -> Self {
        let bits = BITS_PER_BLOCK * (hashes.len() + MIN_ROOM);
        let room = MIN_ROOM + hashes.len() / 4;
        let mut filter = BloomFilter::with_num_bits(bits).expected_items(hashes.len() + room);
        for hash in hashes {
            filter.insert_hash(*hash);
        }
        KnownBlocks { filter, room }
    }

    fn insert(&mut self, hash: u64) {
        let is_new = !self.filter.insert_hash(hash);
        self.room = self.room.saturating_sub(usize::from(is_new));
    }

    fn bytes(&self) -> usize {
        self.filter.num_bits() / 8 + SHARD_OVERHEAD
    }
}

/// A block that is being published.
#[must_use = "the block counts as published when this is dropped"]
pub(crate) struct Publishing<'a> {
    entry: Option<(&'a PresenceFilter, u64)>,
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        if let Some((filter, hash)) = self.entry {
            let mut publishing = lock(&filter.publishing);
            if let Some(index) = publishing.iter().position(|other| *other == hash) {
                publishing.swap_remove(index);
            }
        }
    }
}

/// The filter of a shard that is being filled. If this is dropped before the end, nothing is known about the
/// shard.
#[must_use = "the filter of a shard is filled by finish"]
pub(super) struct Fill<'a> {
    filter: &'a PresenceFilter,
    number: u64,
    shard: Arc<ShardFilter>,
    listed: Vec<u64>,
}

impl Fill<'_> {
    /// Adds a block that was listed. Returns `false` if the filter would become too large, so that the listing can
    /// end.
    pub(super) fn add(&mut self, block: &BlockKey) -> bool {
        self.listed.push(self.filter.hash(block));
        if self.listed.len() * BITS_PER_BLOCK / 8 <= self.filter.max_bytes {
            return true;
        }
        let mut contents = write(&self.shard.contents);
        if self.is_listed(&contents) {
            *contents = Contents::TooLarge;
        }
        false
    }

    /// Puts the filter into use, after the whole directory was listed.
    pub(super) fn finish(self) {
        // Built before the lock is taken, because reads wait for that lock on workers of the runtime.
        let mut known = KnownBlocks::new(&self.listed);
        let mut contents = write(&self.shard.contents);
        if let Contents::Listing { fill, added } = &*contents
            && *fill == self.number
        {
            added.iter().for_each(|hash| known.insert(*hash));
            let bytes = known.bytes();
            *contents = Contents::Known(known);
            self.filter.bytes.fetch_add(bytes, Ordering::Relaxed);
            observe::presence_filter_grew(bytes);
        }
    }

    /// Returns whether the shard is being listed by this fill.
    fn is_listed(&self, contents: &Contents) -> bool {
        matches!(contents, Contents::Listing { fill, .. } if *fill == self.number)
    }
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        self.filter.fills.fetch_sub(1, Ordering::Relaxed);
        let mut contents = write(&self.shard.contents);
        if self.is_listed(&contents) {
            *contents = Contents::Unknown;
        }
    }
}

#[cfg(test)]
mod tests;
