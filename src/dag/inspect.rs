//! [`Inspect`]: whether DAGs are complete, how large they are, and what they share.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use cid::Cid;
use futures::stream::{self, StreamExt};

use super::block::{check, keys, load};
use super::links::{UnknownCodec, is_leaf};
use super::nodes::{self, Node, Wanted};
use super::reachable::Reachable;
use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::hash;

/// The number of blocks with links that are read together, and how often that happens at the same time.
const BATCH: usize = 16;
const MAX_BATCHES: usize = 8;
/// The number of blocks without links that are looked up at the same time.
const MAX_LOOKUPS: usize = 32;
/// The maximum number of bad blocks of a root that are listed, and of CIDs in a path.
const MAX_LISTED: usize = 1000;
const MAX_PATH: usize = 64;

/// Finds out whether the DAGs below some roots are complete, how large they are, and which blocks they share.
///
/// Each DAG is visited level by level. Blocks with links are read and checked against their hashes. The others are
/// only looked up, unless [their hashes](Inspect::check_hashes) are to be checked too.
///
/// It takes up to 14 bytes of memory for each block without links and about 200 for each other block, for one DAG at a
/// time; with more than one root, about 40 bytes more for each block of all DAGs.
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

/// What was found below a root.
#[derive(Debug)]
#[non_exhaustive]
pub struct DagReport {
    /// The root.
    pub root: Cid,
    /// The number of blocks of the DAG that the datastore has, without those that are contained in their CIDs.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of links from the root to the block that is farthest from it.
    pub depth: u64,
    /// The number of blocks that no other root leads to.
    pub unique: u64,
    /// The number of blocks that another root leads to, too.
    pub shared: u64,
    /// The blocks that are missing or damaged, or can't be read. Only the first thousand are listed.
    pub bad: Vec<BadBlock>,
    /// The number of all such blocks.
    pub bad_count: u64,
}

/// A block of a DAG that is missing or damaged, or can't be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct BadBlock {
    /// The block.
    pub cid: Cid,
    /// The blocks whose links lead to it, from the root to the block that links to it. If the path has more than 64
    /// blocks, only the root and the last 63 are listed.
    pub path: Vec<Cid>,
    /// What is wrong with it.
    pub error: Error,
}

impl DagReport {
    /// Returns whether no block is missing or damaged.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.bad_count == 0
    }
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
    /// Returns [`Error::UnknownCodec`], and errors that are not about one block: [`Error::Closed`] and
    /// [`Error::Runtime`]. Those about one block are in the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn run(mut self, roots: &[Cid]) -> Result<Vec<DagReport>> {
        let mut owners = Owners::default();
        let mut reports = Vec::new();
        let mut found = 0;
        for (index, root) in roots.iter().enumerate() {
            let mut dag = Dag::new(root, index, (roots.len() > 1).then_some(&mut owners));
            let mut level = Level::default();
            dag.add(&mut level, None, std::slice::from_ref(root), self.unknown)?;
            while !level.is_empty() {
                level = self.visit(&mut dag, level, &mut found).await?;
            }
            reports.push(dag.report);
        }
        for (index, report) in reports.iter_mut().enumerate() {
            report.unique = match roots.len() {
                1 => report.blocks,
                _ => owners.unique.get(&index).copied().unwrap_or(0),
            };
            report.shared = report.blocks - report.unique;
        }
        Ok(reports)
    }

    /// Visits the blocks of a level, and returns the next one.
    async fn visit(&mut self, dag: &mut Dag<'_>, level: Level, found: &mut u64) -> Result<Level> {
        let mut next = Level::default();
        let (store, unknown, check_hashes) = (self.store, self.unknown, self.check_hashes);
        let depth = level.depth;
        next.depth = depth + 1;
        let batches = level.inner.chunks(BATCH).map(|batch| {
            let wanted = batch.iter().map(|index| dag.wanted(*index)).collect();
            let indexes = batch.to_vec();
            async move {
                let visit = |wanted: Wanted, node: Result<Node>| (wanted.cid, node);
                let nodes = nodes::read(store, wanted, unknown, visit).await?;
                Ok::<_, Error>(indexes.into_iter().zip(nodes).collect::<Vec<_>>())
            }
        });
        let batches: Vec<_> = batches.collect();
        let mut batches = stream::iter(batches).buffer_unordered(MAX_BATCHES);
        while let Some(nodes) = batches.next().await {
            for (index, (cid, node)) in nodes? {
                match node {
                    Ok(node) => {
                        *found += 1;
                        dag.count(&cid, node.size, depth);
                        dag.add(&mut next, Some(index), &node.links, unknown)?;
                    }
                    Err(error) => dag.bad(cid, dag.parent_of(index), error)?,
                }
            }
            (self.watch)(*found);
        }
        let lookups = stream::iter(level.leaves).map(|(cid, parent)| async move {
            let size = leaf_size(store, &cid, check_hashes).await;
            (cid, parent, size)
        });
        let mut lookups = lookups.buffer_unordered(MAX_LOOKUPS);
        while let Some((cid, parent, size)) = lookups.next().await {
            match size {
                Ok(size) => {
                    *found += 1;
                    dag.count(&cid, size, depth);
                }
                Err(error) => dag.bad(cid, parent, error)?,
            }
            if found.is_multiple_of(1024) {
                (self.watch)(*found);
            }
        }
        Ok(next)
    }
}

/// Returns the size of a block without links.
async fn leaf_size(store: &dyn Datastore, cid: &Cid, check_hash: bool) -> Result<u64> {
    if check_hash {
        if let Some(block) = load(store, cid).await? {
            check(cid, &block).await?;
            return Ok(block.len() as u64);
        }
    } else {
        for key in keys(cid) {
            if let Some(size) = store.get_size(&key).await? {
                return Ok(size);
            }
        }
        if let Some(block) = hash::inline(cid.hash()) {
            return Ok(block.len() as u64);
        }
    }
    Err(Error::MissingBlock {
        cid: cid.to_string(),
        parent: None,
    })
}

/// The blocks at the same distance from a root that are still to be visited.
#[derive(Debug, Default)]
struct Level {
    depth: u64,
    /// The indexes of those with links.
    inner: Vec<usize>,
    /// Those without links, with the index of a block that links to them.
    leaves: Vec<(Cid, Option<usize>)>,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.inner.is_empty() && self.leaves.is_empty()
    }
}

/// The DAG below one root.
struct Dag<'o> {
    index: usize,
    reachable: Reachable,
    /// The blocks with links, each with the index of a block that links to it.
    inner: Vec<(Cid, Option<usize>)>,
    owners: Option<&'o mut Owners>,
    report: DagReport,
}

impl<'o> Dag<'o> {
    fn new(root: &Cid, index: usize, owners: Option<&'o mut Owners>) -> Self {
        Dag {
            index,
            reachable: Reachable::new(),
            inner: Vec::new(),
            owners,
            report: DagReport {
                root: *root,
                blocks: 0,
                bytes: 0,
                depth: 0,
                unique: 0,
                shared: 0,
                bad: Vec::new(),
                bad_count: 0,
            },
        }
    }

    /// Adds the links of a block that were not found before.
    fn add(
        &mut self,
        level: &mut Level,
        parent: Option<usize>,
        links: &[Cid],
        unknown: UnknownCodec,
    ) -> Result<()> {
        for link in links {
            if is_leaf(link, unknown)? {
                if self.reachable.insert_leaf(link) {
                    level.leaves.push((*link, parent));
                }
            } else if self.reachable.insert_inner(link) {
                level.inner.push(self.inner.len());
                self.inner.push((*link, parent));
            }
        }
        Ok(())
    }

    fn wanted(&self, index: usize) -> Wanted {
        let found = self.inner.get(index);
        let parent = found.and_then(|(_, parent)| self.inner.get((*parent)?));
        Wanted {
            cid: found.map_or(self.report.root, |(cid, _)| *cid),
            parent: parent.map(|(cid, _)| Arc::new(*cid)),
        }
    }

    fn parent_of(&self, index: usize) -> Option<usize> {
        self.inner.get(index).and_then(|(_, parent)| *parent)
    }

    fn count(&mut self, cid: &Cid, size: u64, depth: u64) {
        self.report.depth = self.report.depth.max(depth);
        if hash::inline(cid.hash()).is_some() {
            return;
        }
        self.report.blocks += 1;
        self.report.bytes = self.report.bytes.saturating_add(size);
        if let Some(owners) = &mut self.owners {
            owners.add(cid, self.index);
        }
    }

    fn bad(&mut self, cid: Cid, parent: Option<usize>, error: Error) -> Result<()> {
        if matches!(
            error,
            Error::Closed | Error::Runtime | Error::UnknownCodec { .. }
        ) {
            return Err(error);
        }
        self.report.bad_count += 1;
        if self.report.bad.len() < MAX_LISTED {
            let path = self.path_to(parent);
            self.report.bad.push(BadBlock { cid, path, error });
        }
        Ok(())
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
    state: RandomState,
    /// By a hash of the multihash. `None` for a block of several roots.
    owners: HashMap<u64, Option<usize>>,
    unique: HashMap<usize, u64>,
}

impl Owners {
    fn add(&mut self, cid: &Cid, root: usize) {
        let hash = self
            .state
            .hash_one((cid.hash().code(), cid.hash().digest()));
        match self.owners.insert(hash, Some(root)) {
            None => *self.unique.entry(root).or_default() += 1,
            // The same block under two codecs.
            Some(Some(before)) if before == root => {}
            Some(before) => {
                self.owners.insert(hash, None);
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
