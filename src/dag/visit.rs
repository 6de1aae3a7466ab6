//! [`Visit`]: a part of an inspection that is one job.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use cid::Cid;
use futures::stream::{self, StreamExt};

use super::block::{checked, load, load_blocking, missing, size, size_blocking};
use super::links::{UnknownCodec, is_leaf};
use super::nodes::{self, Decoder, Node, NodeVisitor, Wanted};
use super::pace::JobTime;
use super::reachable::Reachable;
use crate::blocking;
use crate::datastore::{BlockingReader, Datastore, FailuresInARow};
use crate::error::{Error, Result};
use crate::hash;

/// The number of blocks without links that are looked up at the same time, without blocking reads.
const MAX_LOOKUPS: usize = 8;
/// The maximum number of bad blocks of a visit that are kept.
pub(super) const MAX_LISTED: usize = 1000;

/// What all visits of one DAG share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) reachable: Arc<Reachable>,
    pub(super) unknown: UnknownCodec,
    /// Whether blocks without links are read and checked too.
    pub(super) check_hashes: bool,
    /// Whether to return the numbers of the blocks.
    pub(super) needs_numbers: bool,
    /// The blocks in a row that could not be read.
    pub(super) failures: Arc<FailuresInARow>,
}

/// A block with links. It and the block that links to it are known by their indexes.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) wanted: Wanted,
    pub(super) index: usize,
    pub(super) parent: Option<usize>,
}

/// Blocks of one level that are to be visited.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) inner: VecDeque<Inner>,
    /// The blocks without links that one block links to, each with the index of that block. They are a level below.
    pub(super) leaves: Vec<(Cid, Option<usize>)>,
}

/// What a visit has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is left for later jobs.
    pub(super) rest: Work,
    /// The number of blocks, and their bytes.
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    pub(super) unchecked: u64,
    /// Whether a block of this level, and one of the level below, was found.
    pub(super) is_at_level: bool,
    pub(super) is_below_level: bool,
    /// The numbers of the blocks, by which other DAGs know them.
    pub(super) numbers: Vec<u64>,
    /// The blocks with links of the next level, each with the index of the block that links to it.
    pub(super) next: Vec<(Cid, usize)>,
    pub(super) bad: Vec<(Cid, Option<usize>, Error)>,
    pub(super) bad_count: u64,
    /// The number of bad blocks that are neither missing nor damaged.
    pub(super) unreadable: u64,
    /// How long the job took. `None` if it was not a job.
    pub(super) time: Option<JobTime>,
}

/// Visits blocks.
#[derive(Debug)]
pub(super) struct Visit {
    shared: Shared,
    /// The indexes of the blocks that are decoded next, and of the blocks that link to them.
    indexes: VecDeque<(usize, Option<usize>)>,
    found: Found,
}

impl Visit {
    pub(super) fn new(shared: Shared, work: Work) -> Self {
        let found = Found {
            rest: work,
            ..Found::default()
        };
        Visit {
            shared,
            indexes: VecDeque::new(),
            found,
        }
    }

    pub(super) async fn run(mut self, store: &dyn Datastore) -> Result<Found> {
        if let Some(reader) = store.blocking_reader().await? {
            return blocking::run(move || self.run_job(&*reader)).await;
        }
        let inner = mem::take(&mut self.found.rest.inner).into_iter();
        let wanted;
        (self.indexes, wanted) = inner
            .map(|inner| ((inner.index, inner.parent), inner.wanted))
            .unzip();
        let unknown = self.shared.unknown;
        let mut visit = nodes::read(store, wanted, unknown, self).await?;
        let check = visit.shared.check_hashes;
        let leaves = stream::iter(mem::take(&mut visit.found.rest.leaves));
        let lookups = leaves.map(|(cid, parent)| async move {
            let size = match check {
                true => check_leaf(store, &cid).await,
                false => size(store, &cid).await.map(|size| (size, true)),
            };
            (cid, parent, size)
        });
        let mut lookups = lookups.buffer_unordered(MAX_LOOKUPS);
        while let Some((cid, parent, size)) = lookups.next().await {
            visit.leaf(&cid, parent, size)?;
        }
        Ok(visit.found)
    }

    fn run_job(mut self, reader: &dyn BlockingReader) -> Result<Found> {
        let mut time = JobTime::begin(false);
        let mut decoder = Decoder::new(self.shared.unknown);
        loop {
            if let Some((cid, parent)) = self.found.rest.leaves.pop() {
                let size = match self.shared.check_hashes {
                    true => check_leaf_blocking(reader, &cid),
                    false => size_blocking(reader, &cid).map(|size| (size, true)),
                };
                self.leaf(&cid, parent, size)?;
            } else if let Some(inner) = self.found.rest.inner.pop_front() {
                self.indexes.push_back((inner.index, inner.parent));
                self.visit(&inner.wanted, decoder.read(reader, &inner.wanted))?;
            } else {
                break;
            }
            if !time.count() {
                break;
            }
        }
        self.found.time = Some(time);
        Ok(self.found)
    }

    fn count(&mut self, cid: &Cid, size: u64, is_new: bool) {
        if is_new && hash::inline(cid.hash()).is_none() {
            self.found.blocks += 1;
            self.found.bytes = self.found.bytes.saturating_add(size);
            if self.shared.needs_numbers {
                let number = self.shared.reachable.leaf_number(cid.hash());
                self.found.numbers.push(number);
            }
        }
    }

    fn leaf(
        &mut self,
        cid: &Cid,
        parent: Option<usize>,
        size: Result<(Option<u64>, bool)>,
    ) -> Result<()> {
        // The size of a file that a power cut has emptied. A block of any other size is checked only if that was asked for.
        let size = match size {
            Ok((Some(0), is_checked)) => {
                let result = checked(cid, hash::check(cid.hash(), b""));
                result.map(|_| (Some(0), is_checked))
            }
            size => size,
        };
        match size {
            Ok((Some(size), is_checked)) => {
                self.shared.failures.end();
                // A root has no level above it.
                self.found.is_at_level |= parent.is_none();
                self.found.is_below_level |= parent.is_some();
                self.found.unchecked += u64::from(!is_checked);
                self.count(cid, size, true);
                Ok(())
            }
            Ok((None, _)) => self.bad(cid, parent, missing(cid, None)),
            Err(error) => self.bad(cid, parent, error),
        }
    }

    fn bad(&mut self, cid: &Cid, parent: Option<usize>, error: Error) -> Result<()> {
        let error = match error {
            Error::UnknownCodec { .. } => return Err(error),
            Error::MissingBlock { .. } | Error::Corrupt { .. } | Error::InvalidBlock { .. } => {
                self.shared.failures.end();
                error
            }
            _ => self.shared.failures.add(error)?,
        };
        self.found.bad_count += 1;
        let is_lost = matches!(error, Error::MissingBlock { .. } | Error::Corrupt { .. });
        self.found.unreadable += u64::from(!is_lost);
        if self.found.bad.len() < MAX_LISTED {
            self.found.bad.push((*cid, parent, error));
        }
        Ok(())
    }
}

impl NodeVisitor for Visit {
    fn visit(&mut self, wanted: &Wanted, node: Result<Node<'_>>) -> Result<()> {
        let (index, parent) = self.indexes.pop_front().unzip();
        let cid = &wanted.cid;
        let node = match node {
            Ok(node) => node,
            Err(error) => return self.bad(cid, parent.flatten(), error),
        };
        self.shared.failures.end();
        self.found.is_at_level = true;
        self.found.unchecked += u64::from(!node.is_checked);
        // The same block under another codec was counted.
        let is_new = self.shared.reachable.count(cid.hash());
        self.count(cid, node.size, is_new);
        for link in node.links {
            if is_leaf(link, self.shared.unknown)? {
                if self.shared.reachable.count(link.hash()) {
                    self.found.rest.leaves.push((*link, index));
                }
            } else if self.shared.reachable.insert_inner(link) {
                self.found.next.extend(index.map(|index| (*link, index)));
            }
        }
        Ok(())
    }
}

/// Returns the size of a block, and whether its hash function is known.
async fn check_leaf(store: &dyn Datastore, cid: &Cid) -> Result<(Option<u64>, bool)> {
    let Some(block) = load(store, cid).await? else {
        return Ok((None, true));
    };
    let result = hash::check_without_blocking(*cid.hash(), &block).await?;
    Ok((Some(block.len() as u64), checked(cid, result)?))
}

/// Like [`check_leaf`], in a job on the blocking pool.
fn check_leaf_blocking(reader: &dyn BlockingReader, cid: &Cid) -> Result<(Option<u64>, bool)> {
    let Some(block) = load_blocking(reader, cid)? else {
        return Ok((None, true));
    };
    let is_checked = checked(cid, hash::check(cid.hash(), &block))?;
    Ok((Some(block.len() as u64), is_checked))
}
