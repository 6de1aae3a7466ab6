//! [`Inspect`]: whether DAGs are complete, how large they are, and what they share.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cid::Cid;
use futures::stream::{FuturesUnordered, StreamExt};

use super::digest_hash::DigestHash;
use super::links::{UnknownCodec, is_leaf};
use super::nodes::Wanted;
use super::pace::Pace;
use super::reachable::Reachable;
use super::report::{BadBlock, DagReport};
use super::visit::{Found, Inner, MAX_LISTED, Shared, Visit, Work};
use crate::blocking;
use crate::datastore::{Datastore, FailuresInARow};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

/// The maximum number of blocks with links, and of blocks without, with which a job begins.
const MAX_INNER: usize = 16;
const MAX_LEAVES: usize = 256;
/// The maximum number of CIDs in a path.
const MAX_PATH: usize = 64;

/// Finds out whether the DAGs below some roots are complete, how large they are, and which blocks they share.
///
/// Each DAG is visited level by level. Blocks with links are read and checked against their hashes. The others are
/// only looked up, which finds missing and empty ones, unless [their hashes](Inspect::check_hashes) are to be checked too.
///
/// It takes up to 15 bytes of memory for each block and about 200 more for each block with links, for one DAG at a time;
/// with more than one root, about 40 bytes more for each block of all DAGs; and the links of the blocks that are being
/// visited.
///
/// ```
/// use ds_flatfs::cid::Cid;
/// use ds_flatfs::dag::Inspect;
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let store = MemoryDatastore::new();
/// let key = Key::for_block(b"hello");
/// store.put(&key, "hello".into()).await?;
/// let reports = Inspect::new(&store).run(&[Cid::try_from(&key)?]).await?;
/// assert!(reports[0].is_complete());
/// assert_eq!((reports[0].blocks, reports[0].bytes), (1, 5));
/// # Ok(()) }
/// ```
#[must_use = "nothing is read until it is run"]
pub struct Inspect<'a> {
    store: &'a dyn Datastore,
    unknown: UnknownCodec,
    check_hashes: bool,
    watch: Box<dyn FnMut(u64) + Send + 'a>,
}

impl<'a> Inspect<'a> {
    /// Prepares an inspection of DAGs in a datastore.
    pub fn new(store: &'a dyn Datastore) -> Self {
        Inspect {
            store,
            unknown: UnknownCodec::default(),
            check_hashes: false,
            watch: Box::new(|_| ()),
        }
    }

    /// Sets what is done with a block of a codec whose links can't be found. By default it is an error.
    pub fn unknown_codec(mut self, unknown_codec: UnknownCodec) -> Self {
        self.unknown = unknown_codec;
        self
    }

    /// Sets whether blocks without links are read and checked against their hashes too.
    pub fn check_hashes(mut self, check: bool) -> Self {
        self.check_hashes = check;
        self
    }

    /// Calls `watch` with the number of blocks that were found, from time to time. `watch` must not block.
    pub fn on_progress(mut self, watch: impl FnMut(u64) + Send + 'a) -> Self {
        self.watch = Box::new(watch);
        self
    }

    /// Runs the inspection. Returns a report for each root, in their order. A root that is given twice shares all
    /// of its blocks.
    ///
    /// # Errors
    ///
    /// Returns [`Error::UnknownCodec`], and errors that are not about one block, such as [`Error::Closed`]; after
    /// a thousand blocks in a row that can't be read, or 64 failed requests in a row to an object store, the next such
    /// error. Those about one block are in the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn run(mut self, roots: &[Cid]) -> Result<Vec<DagReport>> {
        let mut owners = Owners::default();
        let failures = Arc::new(FailuresInARow::default());
        let mut reports = Vec::new();
        for (index, root) in roots.iter().enumerate() {
            let shared = Shared {
                reachable: Arc::new(Reachable::with_hash(owners.hash.clone())),
                unknown: self.unknown,
                check_hashes: self.check_hashes,
                needs_numbers: roots.len() > 1,
                failures: Arc::clone(&failures),
            };
            let mut dag = Dag::new(shared, root, index);
            dag.run(self.store, &mut owners, &mut self.watch).await?;
            reports.push(dag.report);
        }
        for (index, report) in reports.iter_mut().enumerate() {
            report.unique = match roots.len() {
                1 => report.blocks,
                _ => owners.unique.get(&index).copied().unwrap_or(0),
            };
            report.shared = report.blocks - report.unique;
        }
        // It may be large.
        blocking::detach(move || drop(owners));
        Ok(reports)
    }
}

/// The DAG below one root.
struct Dag {
    shared: Shared,
    /// The index of the root.
    root: usize,
    /// The blocks with links, each with the index of a block that links to it.
    inner: Vec<(Cid, Option<usize>)>,
    /// Those of the level that is being visited and have not been taken yet.
    level: std::ops::Range<usize>,
    /// What jobs did not come to.
    rest: Vec<Work>,
    report: DagReport,
}

impl Dag {
    fn new(shared: Shared, root: &Cid, index: usize) -> Self {
        Dag {
            shared,
            root: index,
            inner: Vec::new(),
            level: 0..0,
            rest: Vec::new(),
            report: DagReport::new(root),
        }
    }

    /// Visits the DAG level by level, so that each block is found at its distance from the root.
    async fn run(
        &mut self,
        store: &dyn Datastore,
        owners: &mut Owners,
        watch: &mut (dyn FnMut(u64) + Send),
    ) -> Result<()> {
        let root = self.report.root;
        if is_leaf(&root, self.shared.unknown)? {
            self.shared.reachable.count(root.hash());
            self.rest.push(Work {
                leaves: vec![(root, None)],
                ..Work::default()
            });
        } else {
            self.shared.reachable.insert_inner(&root);
            self.inner.push((root, None));
        }
        let (mut depth, mut pace) = (0, Pace::new());
        self.level = 0..self.inner.len();
        while !self.level.is_empty() || !self.rest.is_empty() {
            let next_level = self.level.end;
            let mut running = FuturesUnordered::new();
            loop {
                while running.len() < pace.max_jobs()
                    && let Some(work) = self.next_work(&pace)
                {
                    running.push(Visit::new(self.shared.clone(), work).run(store));
                }
                let Some(found) = running.next().await else {
                    break;
                };
                let found: Found = found?;
                pace.note(found.time.as_ref());
                self.add(found, depth, owners);
                watch(owners.found + self.report.blocks);
            }
            self.level = next_level..self.inner.len();
            depth += 1;
        }
        owners.found += self.report.blocks;
        Ok(())
    }

    /// Takes the next blocks of the level.
    fn next_work(&mut self, pace: &Pace) -> Option<Work> {
        if let Some(rest) = self.rest.pop() {
            return Some(rest);
        }
        // A share for each job, so that none of them is without work.
        let share = self.level.len().div_ceil(pace.max_jobs()).min(MAX_INNER);
        let indexes = self.level.by_ref().take(share);
        let inner = indexes.filter_map(|index| {
            let (cid, parent) = self.inner.get(index)?;
            let above = parent.and_then(|parent| self.inner.get(parent));
            let wanted = Wanted {
                cid: *cid,
                parent: above.map(|(cid, _)| Arc::new(*cid)),
            };
            Some(Inner {
                wanted,
                index,
                parent: *parent,
            })
        });
        let work = Work {
            inner: inner.collect(),
            ..Work::default()
        };
        (!work.inner.is_empty()).then_some(work)
    }

    /// Adds what a job has found.
    fn add(&mut self, found: Found, depth: u64, owners: &mut Owners) {
        let report = &mut self.report;
        report.blocks += found.blocks;
        report.bytes = report.bytes.saturating_add(found.bytes);
        report.unchecked += found.unchecked;
        if found.is_at_level {
            report.depth = report.depth.max(depth);
        }
        if found.is_below_level {
            report.depth = report.depth.max(depth + 1);
        }
        for number in found.numbers {
            owners.add(number, self.root);
        }
        let next = found.next.into_iter();
        self.inner
            .extend(next.map(|(cid, parent)| (cid, Some(parent))));
        self.report.bad_count += found.bad_count;
        self.report.unreadable += found.unreadable;
        for (cid, parent, error) in found.bad {
            if self.report.bad.len() < MAX_LISTED {
                let path = self.path_to(parent);
                self.report.bad.push(BadBlock { cid, path, error });
            }
        }
        let Work { inner, mut leaves } = found.rest;
        while !leaves.is_empty() {
            let leaves = leaves.split_off(leaves.len().saturating_sub(MAX_LEAVES));
            self.rest.push(Work {
                leaves,
                ..Work::default()
            });
        }
        if !inner.is_empty() {
            let leaves = Vec::new();
            self.rest.push(Work { inner, leaves });
        }
    }

    /// Returns the blocks from the root to this one.
    fn path_to(&self, mut index: Option<usize>) -> Vec<Cid> {
        let mut path = Vec::new();
        while let Some((cid, parent)) = index.and_then(|index| self.inner.get(index)) {
            if path.len() == MAX_PATH {
                path.pop();
            }
            path.push(*cid);
            index = *parent;
        }
        path.reverse();
        path
    }
}

/// Which root leads to each block, if only one does.
#[derive(Debug, Default)]
struct Owners {
    /// Gives the blocks of all DAGs their numbers.
    hash: DigestHash,
    /// By number. `None` for a block of several roots.
    owners: HashMap<u64, Option<usize>>,
    unique: HashMap<usize, u64>,
    /// The number of blocks of the DAGs that were visited.
    found: u64,
}

impl Owners {
    fn add(&mut self, number: u64, root: usize) {
        match self.owners.insert(number, Some(root)) {
            None => *self.unique.entry(root).or_default() += 1,
            Some(before) => {
                self.owners.insert(number, None);
                if let Some(count) = before.and_then(|before| self.unique.get_mut(&before)) {
                    *count -= 1;
                }
            }
        }
    }
}

impl fmt::Debug for Inspect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspect")
            .field("store", &self.store)
            .field("unknown", &self.unknown)
            .field("check_hashes", &self.check_hashes)
            .finish_non_exhaustive()
    }
}
