//! [`Reachable`]: the blocks that a mark has found.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use cid::Cid;
use cid::multihash::Multihash;

use super::digest_set::DigestSet;
use crate::hash;
use crate::key::Key;
use crate::sync::{lock, read, write};

/// The blocks that can be reached from some roots.
///
/// For a block that may have links, the set has the whole digest and the codec: a block that was mistaken for another
/// one would not be read, and what it links to would be lost. For a leaf it has 64 bits of a hash whose key is random
/// and differs in every run. If two leaves have the same 64 bits, the only effect is that a block that is not reachable
/// counts as reachable: with 60 million leaves, that is one block in 300 billion.
#[derive(Debug)]
pub(crate) struct Reachable {
    leaves: DigestSet,
    leaf_hash: RandomState,
    /// The digests of blocks that may have links, by what else is in their CIDs.
    inner: RwLock<Vec<(CidKind, Arc<DigestSet>)>>,
    /// The multihashes and codecs of more such blocks. They are in use only if a DAG was made to have many
    /// different hash functions.
    other_inner: Mutex<BTreeSet<(Vec<u8>, u64)>>,
    leaf_count: AtomicU64,
    inner_count: AtomicU64,
}

/// The maximum number of sets. Usual DAGs need one or two.
const MAX_KINDS: usize = 64;

/// What is in a CID besides the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CidKind {
    codec: u64,
    hash: HashKind,
}

/// What is in a multihash besides the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HashKind {
    function: u64,
    len: usize,
}

impl HashKind {
    fn of(hash: &Multihash<64>) -> Self {
        HashKind {
            function: hash.code(),
            len: hash.digest().len(),
        }
    }
}

impl Reachable {
    pub(super) fn new() -> Self {
        Reachable {
            leaves: DigestSet::of_random_numbers(),
            leaf_hash: RandomState::new(),
            inner: RwLock::default(),
            other_inner: Mutex::default(),
            leaf_count: AtomicU64::new(0),
            inner_count: AtomicU64::new(0),
        }
    }

    /// Adds a block without links. Returns whether it is new.
    pub(super) fn insert_leaf(&self, cid: &Cid) -> bool {
        let is_new = self.leaves.insert(&self.leaf_number(cid.hash()));
        if is_new && hash::inline(cid.hash()).is_none() {
            self.leaf_count.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    /// Adds a block that may have links. Returns whether it is new. The same bytes under another codec are
    /// another block, because they have other links.
    pub(super) fn insert_inner(&self, cid: &Cid) -> bool {
        let kind = CidKind {
            codec: cid.codec(),
            hash: HashKind::of(cid.hash()),
        };
        let is_new = match self.digests_of(kind) {
            Some(digests) => digests.insert(cid.hash().digest()),
            None => lock(&self.other_inner).insert((cid.hash().to_bytes(), cid.codec())),
        };
        if is_new && hash::inline(cid.hash()).is_none() {
            self.inner_count.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    fn digests_of(&self, kind: CidKind) -> Option<Arc<DigestSet>> {
        let find = |sets: &[(CidKind, Arc<DigestSet>)]| {
            let set = sets.iter().find(|(found, _)| *found == kind);
            set.map(|(_, digests)| Arc::clone(digests))
        };
        if let Some(found) = find(&read(&self.inner)) {
            return Some(found);
        }
        let mut sets = write(&self.inner);
        if find(&sets).is_none() && sets.len() < MAX_KINDS {
            sets.push((kind, Arc::new(DigestSet::of_digests(kind.hash.len))));
        }
        find(&sets)
    }

    /// Returns whether the block of a key is reachable, by whatever CID. `None` if the key is not that of a
    /// block.
    pub(crate) fn has(&self, key: &Key) -> Option<bool> {
        let cid = key.to_cid()?;
        let kind = HashKind::of(cid.hash());
        let digest = cid.hash().digest();
        let is_inner = || {
            let sets = read(&self.inner);
            let mut sets = sets.iter().filter(|(found, _)| found.hash == kind);
            sets.any(|(_, digests)| digests.contains(digest))
        };
        let is_other = || {
            let others = lock(&self.other_inner);
            let multihash = cid.hash().to_bytes();
            let mut from = others.range((multihash.clone(), 0)..);
            from.next().is_some_and(|(other, _)| *other == multihash)
        };
        Some(self.leaves.contains(&self.leaf_number(cid.hash())) || is_inner() || is_other())
    }

    /// Returns how many blocks were found: those that have no links, and all others.
    pub(super) fn counts(&self) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.leaf_count), count(&self.inner_count))
    }

    fn leaf_number(&self, hash: &Multihash<64>) -> [u8; 8] {
        let number = self.leaf_hash.hash_one((hash.code(), hash.digest()));
        number.to_le_bytes()
    }
}
