//! [`Mark`]: finds every block that can be reached from some roots.

use std::sync::Arc;
use std::task::Poll;

use cid::Cid;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, ReadyChunks, StreamExt};

use super::block::has;
use super::links::{UnknownCodec, is_leaf};
use super::nodes::{self, Node, Wanted};
use super::reachable::Reachable;
use crate::datastore::Datastore;
use crate::error::{Error, Result};

/// The number of blocks that are read together, and how often that happens at the same time. All of them are in
/// memory.
const BATCH: usize = 16;
const MAX_BATCHES: usize = 8;

/// The roots of a mark, which are taken while it runs.
pub(crate) type Roots = BoxStream<'static, Result<Cid>>;

/// Finds every block that can be reached from some roots. Each block that may have links is read once, checked
/// against its CID, and decoded; a block of a codec without links is not read.
///
/// Blocks are visited depth first, so that few blocks wait to be read: the links of those on the path to the
/// current one, and not a whole level of the DAG.
pub(crate) struct Mark<'a> {
    store: &'a dyn Datastore,
    unknown: UnknownCodec,
    reachable: Arc<Reachable>,
    waiting: Waiting,
    roots: Option<ReadyChunks<Roots>>,
}

impl<'a> Mark<'a> {
    pub(crate) fn new(store: &'a dyn Datastore, roots: Roots, unknown: UnknownCodec) -> Self {
        Mark {
            store,
            unknown,
            reachable: Arc::new(Reachable::new()),
            waiting: Waiting::default(),
            roots: Some(roots.ready_chunks(BATCH)),
        }
    }

    /// Runs the mark. Passes the error of each block that is missing, damaged or can't be read to `skip`, which
    /// decides whether to go on without what the block links to. Calls `progress` with the
    /// number of blocks that were found, between reads.
    ///
    /// # Errors
    ///
    /// Returns the errors of `skip`, of `progress` and of the roots, and [`Error::UnknownCodec`].
    pub(crate) async fn run(
        mut self,
        mut skip: impl FnMut(Error) -> Result<()>,
        mut progress: impl FnMut(u64) -> BoxFuture<'static, Result<()>>,
    ) -> Result<Arc<Reachable>> {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < MAX_BATCHES {
                let batch = self.waiting.take(BATCH)?;
                if !batch.is_empty() {
                    let (reachable, unknown) = (Arc::clone(&self.reachable), self.unknown);
                    let visit = move |wanted: Wanted, node: Result<Node>| match node {
                        Ok(node) => {
                            let parent = Some(Arc::new(wanted.cid));
                            Links::mark(&reachable, parent, &node.links, unknown).map(Ok)
                        }
                        Err(error) => Ok(Err(error)),
                    };
                    running.push(nodes::read(self.store, batch, self.unknown, visit));
                    continue;
                }
                match self.next_roots(running.is_empty()).await? {
                    Some(roots) => self.mark_roots(&roots, &mut skip).await?,
                    None => break,
                }
            }
            let Some(found) = running.next().await else {
                return Ok(self.reachable);
            };
            for links in found? {
                match links? {
                    Ok(links) => self.waiting.push(links),
                    Err(error) => skip(error)?,
                }
            }
            let (leaves, inner) = self.reachable.counts();
            progress(leaves + inner).await?;
        }
    }

    /// Returns the next roots that are ready. Waits for them if `wait`.
    async fn next_roots(&mut self, wait: bool) -> Result<Option<Vec<Cid>>> {
        let Some(roots) = &mut self.roots else {
            return Ok(None);
        };
        let taken = match futures::poll!(roots.next()) {
            Poll::Ready(taken) => taken,
            Poll::Pending if wait => roots.next().await,
            Poll::Pending => return Ok(None),
        };
        if taken.is_none() {
            self.roots = None;
        }
        taken.map(|roots| roots.into_iter().collect()).transpose()
    }

    async fn mark_roots(
        &mut self,
        roots: &[Cid],
        skip: &mut impl FnMut(Error) -> Result<()>,
    ) -> Result<()> {
        for root in roots {
            // Other leaves are not looked up. But a root that is missing may be a mistake, and then blocks that should
            // be kept would be garbage.
            if !is_leaf(root, self.unknown)? {
                continue;
            }
            self.reachable.insert_leaf(root);
            if !has(self.store, root).await? {
                skip(Error::MissingBlock {
                    cid: root.to_string(),
                    parent: None,
                })?;
            }
        }
        let links = Links::mark(&self.reachable, None, roots, self.unknown)?;
        self.waiting.push(links);
        Ok(())
    }
}

/// The blocks that one block links to, that were not found before, and that have to be read.
#[derive(Debug)]
struct Links {
    parent: Option<Arc<Cid>>,
    /// The bytes of their CIDs, one after another: a `Cid` takes 96 bytes, whatever its length.
    cids: Vec<u8>,
    /// How many of the bytes have been taken.
    taken: usize,
}

impl Links {
    /// Adds all links of a block to the reachable blocks.
    fn mark(
        reachable: &Reachable,
        parent: Option<Arc<Cid>>,
        links: &[Cid],
        unknown: UnknownCodec,
    ) -> Result<Self> {
        let mut cids = Vec::new();
        for link in links {
            if is_leaf(link, unknown)? {
                reachable.insert_leaf(link);
            } else if reachable.insert_inner(link) {
                cids.extend(link.to_bytes());
            }
        }
        Ok(Links {
            parent,
            cids,
            taken: 0,
        })
    }

    fn next(&mut self) -> Result<Option<Wanted>> {
        let Some(mut rest) = self.cids.get(self.taken..).filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        // The bytes are those of CIDs. If that were wrong, the rest of the links must not be forgotten.
        let cid = Cid::read_bytes(&mut rest).map_err(|error| Error::Backend {
            message: "cannot read a link again".to_owned(),
            source: Some(error.into()),
        })?;
        self.taken = self.cids.len() - rest.len();
        let parent = self.parent.clone();
        Ok(Some(Wanted { cid, parent }))
    }
}

/// The blocks that still have to be read, last in, first out.
#[derive(Debug, Default)]
struct Waiting(Vec<Links>);

impl Waiting {
    fn push(&mut self, links: Links) {
        if !links.cids.is_empty() {
            self.0.push(links);
        }
    }

    fn take(&mut self, max: usize) -> Result<Vec<Wanted>> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(last) = self.0.last_mut()
        {
            match last.next()? {
                Some(wanted) => taken.push(wanted),
                None => _ = self.0.pop(),
            }
        }
        Ok(taken)
    }
}
