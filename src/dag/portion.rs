//! [`Portion`]: a part of a mark that is one job.

use std::mem;
use std::sync::Arc;

use cid::Cid;
use futures::stream::{self, StreamExt};

use super::block::{missing, size, size_blocking};
use super::leaf_set::LeafBuffer;
use super::links::{UnknownCodec, is_leaf};
use super::nodes::{self, Decoder, Node, NodeVisitor, Wanted};
use super::pace::JobTime;
use super::reachable::Reachable;
use super::root::Root;
use super::waiting::{Links, Waiting};
use crate::blocking;
use crate::datastore::{BlockingReader, Datastore};
use crate::error::{Error, Result};
use crate::hash;

/// The number of roots without links that are looked up at the same time, without blocking reads.
const MAX_LOOKUPS: usize = 16;

/// Blocks that are to be marked, and what became of them.
#[derive(Debug)]
pub(super) struct Portion {
    reachable: Arc<Reachable>,
    unknown: UnknownCodec,
    roots: Vec<Root>,
    wanted: Vec<Wanted>,
    /// Whether other jobs wait for its links.
    is_awaited: bool,
    leaves: LeafBuffer,
    pub(super) done: Done,
}

/// What a portion has found.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What still has to be read.
    pub(super) waiting: Waiting,
    /// The blocks that are missing or damaged, or can't be read, by their [numbers](Reachable::leaf_number).
    pub(super) errors: Vec<(u64, Error)>,
    /// How many of them may have links.
    pub(super) lost_inner: u64,
    /// The number of blocks that were read and could not be checked, because their hash function is unknown.
    pub(super) unchecked: u64,
    /// The numbers of roots without links that were found.
    pub(super) found: Vec<u64>,
    /// How long the job took. `None` if it was not a job.
    pub(super) time: Option<JobTime>,
}

impl Portion {
    pub(super) fn new(
        reachable: &Arc<Reachable>,
        unknown: UnknownCodec,
        (roots, wanted): (Vec<Root>, Vec<Wanted>),
        is_awaited: bool,
    ) -> Self {
        Portion {
            reachable: Arc::clone(reachable),
            unknown,
            roots,
            wanted,
            is_awaited,
            leaves: LeafBuffer::new(),
            done: Done::default(),
        }
    }

    /// Marks the blocks, and with blocking reads also what they link to, for a while.
    pub(super) async fn run(mut self, store: &dyn Datastore) -> Result<Done> {
        if let Some(reader) = store.blocking_reader().await? {
            return blocking::run(move || self.run_job(&*reader)).await;
        }
        let unknown = self.unknown;
        let lookups = stream::iter(mem::take(&mut self.roots)).map(|root| async move {
            let found = match root.is_leaf(unknown)? {
                true => size(store, &root.cid).await,
                false => Ok(None),
            };
            Ok::<_, Error>((root, found))
        });
        let mut lookups = lookups.buffered(MAX_LOOKUPS);
        while let Some(looked_up) = lookups.next().await {
            let (root, found) = looked_up?;
            self.mark_root(&root, found)?;
        }
        drop(lookups);
        let wanted = mem::take(&mut self.wanted);
        let mut portion = nodes::read(store, wanted, self.unknown, self).await?;
        portion.reachable.flush(&mut portion.leaves);
        Ok(portion.done)
    }

    fn run_job(mut self, reader: &dyn BlockingReader) -> Result<Done> {
        let mut time = JobTime::begin(self.is_awaited);
        for root in mem::take(&mut self.roots) {
            let found = match root.is_leaf(self.unknown)? {
                true => size_blocking(reader, &root.cid),
                false => Ok(None),
            };
            self.mark_root(&root, found)?;
            time.count();
        }
        let mut decoder = Decoder::new(self.unknown);
        let mut wanted = mem::take(&mut self.wanted).into_iter();
        // All that was wanted, and then for a while what it links to, so that a chain of blocks is not one job each.
        let mut goes_on = true;
        loop {
            let next = match wanted.next() {
                Some(wanted) => Some(wanted),
                None if goes_on => self.done.waiting.next()?,
                None => None,
            };
            let Some(next) = next else {
                break;
            };
            self.visit(&next, decoder.read(reader, &next))?;
            goes_on = time.count();
        }
        self.reachable.flush(&mut self.leaves);
        self.done.time = Some(time);
        Ok(self.done)
    }

    /// Marks a root. `found` is the result of its lookup, if it has no links: other blocks without links are not
    /// looked up, but a root that is missing may be a mistake.
    fn mark_root(&mut self, root: &Root, found: Result<Option<u64>>) -> Result<()> {
        let cid = &root.cid;
        if !root.is_leaf(self.unknown)? {
            return self.mark_links(None, std::slice::from_ref(cid));
        }
        match found {
            Ok(Some(_)) => {
                self.mark_leaf(cid);
                if hash::inline(cid.hash()).is_none() {
                    let number = self.reachable.leaf_number(cid.hash());
                    self.done.found.push(number);
                }
            }
            Ok(None) => {
                // An old repo may have the block under the key of a CID with another codec.
                self.mark_leaf(cid);
                self.lose(cid, missing(cid, None));
            }
            Err(error) => {
                // It may be there.
                self.mark_leaf(cid);
                self.lose(cid, error);
            }
        }
        Ok(())
    }

    fn lose(&mut self, cid: &Cid, error: Error) {
        let number = self.reachable.leaf_number(cid.hash());
        self.done.errors.push((number, error));
    }

    fn mark_leaf(&mut self, cid: &Cid) {
        if hash::inline(cid.hash()).is_none() {
            self.reachable.insert_leaf(cid.hash(), &mut self.leaves);
        }
    }

    /// Adds links to the reachable blocks.
    fn mark_links(&mut self, parent: Option<&Cid>, links: &[Cid]) -> Result<()> {
        let mut inner = Links::default();
        for link in links {
            if is_leaf(link, self.unknown)? {
                self.mark_leaf(link);
            } else if self.reachable.insert_inner(link) {
                inner.push(link)?;
            }
        }
        self.done.waiting.push(parent, inner);
        Ok(())
    }
}

impl NodeVisitor for Portion {
    fn visit(&mut self, wanted: &Wanted, node: Result<Node<'_>>) -> Result<()> {
        match node {
            Ok(node) => {
                self.done.unchecked += u64::from(!node.is_checked);
                self.mark_links(Some(&wanted.cid), node.links)?;
            }
            Err(error) => {
                self.lose(&wanted.cid, error);
                self.done.lost_inner += 1;
            }
        }
        Ok(())
    }
}
