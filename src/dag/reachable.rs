//! [`Reachable`]: the blocks that a mark has found.

use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use cid::Cid;
use cid::multihash::Multihash;

use super::digest_hash::DigestHash;
use super::digest_set::{DigestSet, PARTS};
use super::leaf_set::{LeafBuffer, LeafSet};
use super::links::has_links;
use super::number_set::NumberSet;
use crate::blocking;
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
    leaves: LeafSet,
    /// The numbers of all blocks that an inspection has counted.
    counted: NumberSet,
    leaf_hash: DigestHash,
    /// The digests of blocks that may have links, by what else is in their CIDs.
    inner: RwLock<Vec<(CidKind, Arc<DigestSet>)>>,
    /// The multihashes and codecs of more such blocks. They are in use only if a DAG was made to have many
    /// different hash functions.
    other_inner: Mutex<BTreeSet<(Vec<u8>, u64)>>,
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

impl Drop for Reachable {
    /// Frees the memory on a thread where that may take time: it takes a tenth of a second for a gigabyte.
    fn drop(&mut self) {
        let leaves = mem::replace(&mut self.leaves, LeafSet::new());
        let counted = mem::replace(&mut self.counted, NumberSet::new());
        let inner = mem::take(&mut *write(&self.inner));
        let other_inner = mem::take(&mut *lock(&self.other_inner));
        blocking::detach(move || drop((leaves, counted, inner, other_inner)));
    }
}

impl CidKind {
    fn cid(self, digest: &[u8]) -> Option<Cid> {
        let hash = Multihash::wrap(self.hash.function, digest).ok()?;
        Some(Cid::new_v1(self.codec, hash))
    }
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
        Reachable::with_hash(DigestHash::default())
    }

    /// Creates an empty set that has the same numbers for blocks as others with this hash.
    pub(super) fn with_hash(leaf_hash: DigestHash) -> Self {
        Reachable {
            leaves: LeafSet::new(),
            counted: NumberSet::new(),
            leaf_hash,
            inner: RwLock::default(),
            other_inner: Mutex::default(),
            inner_count: AtomicU64::new(0),
        }
    }

    /// Adds a block without links, as soon as the buffer is full or [flushed](Reachable::flush).
    pub(super) fn insert_leaf(&self, hash: &Multihash<64>, buffer: &mut LeafBuffer) {
        buffer.push(self.leaf_number(hash), &self.leaves);
    }

    /// Adds the blocks without links in the buffer.
    pub(super) fn flush(&self, buffer: &mut LeafBuffer) {
        buffer.flush(&self.leaves);
    }

    /// Counts a block. Returns whether no block of that multihash was counted before.
    pub(super) fn count(&self, hash: &Multihash<64>) -> bool {
        self.counted.insert(self.leaf_number(hash))
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
            sets.push((kind, Arc::new(DigestSet::new(kind.hash.len))));
        }
        find(&sets)
    }

    /// Returns whether the block of a key is reachable, by whatever CID. `None` if the key is not that of a block. No
    /// block has the key of an empty digest, or of a CID that contains its block; such a key is a short text that happens
    /// to decode as one.
    pub(crate) fn has(&self, key: &Key) -> Option<bool> {
        let cid = key.to_cid()?;
        if cid.hash().digest().is_empty() || hash::inline(cid.hash()).is_some() {
            return None;
        }
        let kind = HashKind::of(cid.hash());
        let digest = cid.hash().digest();
        let is_inner = || {
            let sets = read(&self.inner);
            let mut sets = sets.iter().filter(|(found, _)| found.hash == kind);
            sets.any(|(_, digests)| digests.contains(digest))
        };
        let is_other = || {
            let others = lock(&self.other_inner);
            if others.is_empty() {
                return false;
            }
            let multihash = cid.hash().to_bytes();
            let mut from = others.range((multihash.clone(), 0)..);
            from.next().is_some_and(|(other, _)| *other == multihash)
        };
        Some(self.leaves.contains(self.leaf_number(cid.hash())) || is_inner() || is_other())
    }

    /// Returns how many blocks were found. Before the mark has [ended](Reachable::finish), some may count several times.
    pub(super) fn len(&self) -> u64 {
        self.leaves.len() + self.inner_count.load(Ordering::Relaxed)
    }

    /// Returns the number by which a block without links is known. Two hash functions that give the same digest are told
    /// apart: otherwise a block, or bytes that are contained in a CID, could pass for another block that is missing.
    pub(super) fn leaf_number(&self, hash: &Multihash<64>) -> u64 {
        self.leaf_hash.hash(hash)
    }

    /// Ends the mark, in which lookups have found the blocks without links that have these
    /// [numbers](Reachable::leaf_number). After that, no block may be added.
    pub(super) fn finish(&self, found: &[u64]) {
        self.leaves.finish();
        found.iter().for_each(|number| self.leaves.see(*number));
    }

    /// Notes that a listing of the store has these keys. The mark must have ended.
    ///
    /// The key of the bytes of a CID whose codec has links is left out: a lookup of a block without links does not try
    /// it. Codecs without links are not told apart.
    pub(crate) fn see<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) {
        let cids = keys.into_iter().filter_map(Key::to_cid);
        for cid in cids.filter(|cid| !has_links(cid.codec())) {
            self.leaves.see(self.leaf_number(cid.hash()));
        }
    }

    /// Returns the number of blocks without links that neither a lookup nor a listing has found.
    pub(crate) fn count_unseen(&self) -> u64 {
        self.leaves.count_unseen()
    }

    /// Returns whether this is a reachable block without links that no listing had.
    pub(super) fn is_unseen(&self, hash: &Multihash<64>) -> bool {
        self.leaves.is_unseen(self.leaf_number(hash))
    }

    /// Returns the CIDs of the blocks that may have links, in portions.
    pub(super) fn inner(&self) -> impl Iterator<Item = Vec<Cid>> + use<> {
        let sets = read(&self.inner).clone();
        let of_part = |(kind, digests): (CidKind, Arc<DigestSet>)| {
            (0..PARTS).map(move |part| {
                let digests = digests.of_part(part).into_iter();
                digests
                    .filter_map(|digest| kind.cid(&digest))
                    .collect::<Vec<_>>()
            })
        };
        let others = lock(&self.other_inner);
        let others = others.iter().filter_map(|(multihash, codec)| {
            let hash = Multihash::from_bytes(multihash).ok()?;
            Some(Cid::new_v1(*codec, hash))
        });
        let others: Vec<Cid> = others.collect();
        sets.into_iter().flat_map(of_part).chain([others])
    }
}
