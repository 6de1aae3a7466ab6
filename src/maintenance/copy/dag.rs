//! [`DagBlocks`]: the blocks of the DAGs below some roots that the destination lacks.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, StreamExt};

use super::run::{Block, Blocks, Run, check};
use crate::blocking;
use crate::dag::{self, UnknownCodec};
use crate::error::{Error, Result};
use crate::hash::INLINE_THRESHOLD;
use crate::key::Key;

/// A walk over DAGs that reads many blocks at the same time and visits each block once.
///
/// Parents come before their children, so what is found first can be written first. Nothing relies on the order: a copy
/// that continues walks over the whole DAGs again, and does not conclude from a block in the destination that the DAG
/// below it is complete.
struct DagBlocks<'a> {
    run: &'a Run<'a>,
    /// The blocks that still have to be visited, last in, first out. They are few, because the walk is depth first.
    waiting: Vec<Wanted>,
    /// The bytes of the CIDs of all blocks that were found. A `Cid` takes 96 bytes, whatever its length.
    found: HashSet<Box<[u8]>>,
    visits: FuturesUnordered<BoxFuture<'a, Result<Visited>>>,
}

struct Wanted {
    cid: Cid,
    /// The block that links to it. A root has none.
    parent: Option<Arc<Cid>>,
}

/// A block that was visited.
#[derive(Default)]
struct Visited {
    links: Vec<Wanted>,
    /// The block if the destination lacks it.
    missing: Option<Block>,
}

impl<'a> Run<'a> {
    /// Returns the blocks of the DAGs below these roots that the destination lacks.
    pub(super) fn missing_of_dags(&'a self, roots: &[Cid]) -> Blocks<'a> {
        let mut blocks = DagBlocks {
            run: self,
            waiting: Vec::new(),
            found: HashSet::new(),
            visits: FuturesUnordered::new(),
        };
        let roots = roots.iter().map(|root| Wanted {
            cid: *root,
            parent: None,
        });
        blocks.add(roots.collect());
        let missing = stream::unfold(blocks, |mut blocks| async {
            let next = blocks.next().await?;
            Some((next, blocks))
        });
        missing.boxed()
    }

    async fn visit(&self, wanted: Wanted) -> Result<Visited> {
        let Wanted { cid, parent } = wanted;
        let key = dag::keys(&cid).into_iter().next();
        match self.try_visit(&cid, parent, key.as_ref()).await {
            Ok(visited) => Ok(visited),
            Err(error) => {
                self.tally.fail_if_bad_block(key, error)?;
                Ok(Visited::default())
            }
        }
    }

    async fn try_visit(
        &self,
        cid: &Cid,
        parent: Option<Arc<Cid>>,
        key: Option<&Key>,
    ) -> Result<Visited> {
        let is_leaf = dag::is_leaf(cid, self.unknown_codec)?;
        // A CID that contains its block has no key.
        let mut is_present = key.is_none();
        for key in dag::keys(cid) {
            is_present = is_present || self.destination.has(&key).await?;
        }
        if is_present && key.is_some() {
            self.tally.count(|copied| copied.present += 1);
        }
        if is_present && is_leaf {
            self.done(0).await;
            return Ok(Visited::default());
        }
        let permit = self.permit().await?;
        let block = match dag::load(self.source, cid).await {
            Ok(block) => block,
            Err(error) => {
                self.tally.could_not_read(key.cloned(), error)?;
                self.done(0).await;
                return Ok(Visited::default());
            }
        };
        let block = block.ok_or_else(|| Error::MissingBlock {
            cid: cid.to_string(),
            parent: parent.map(|parent| parent.to_string()),
        })?;
        self.tally.was_read();
        self.done(block.len()).await;
        let is_checked = !self.verified || check(cid, cid, &block).await?;
        let links = links(*cid, &block, self.unknown_codec).await?;
        let parent = Arc::new(*cid);
        let links = links.into_iter().map(|cid| Wanted {
            cid,
            parent: Some(Arc::clone(&parent)),
        });
        let missing = key.filter(|_| !is_present).map(|key| Block {
            key: key.clone(),
            value: block,
            is_unchecked: !is_checked,
            permit,
        });
        Ok(Visited {
            links: links.collect(),
            missing,
        })
    }
}

/// Returns the links of a block without blocking a worker of the runtime.
async fn links(cid: Cid, block: &Bytes, unknown: UnknownCodec) -> Result<Vec<Cid>> {
    if block.len() <= INLINE_THRESHOLD {
        return dag::links(&cid, block, unknown);
    }
    let block = block.clone();
    blocking::run(move || dag::links(&cid, &block, unknown)).await
}

impl<'a> DagBlocks<'a> {
    /// Adds the links that were not found before, the first one on top.
    fn add(&mut self, links: Vec<Wanted>) {
        let found = &mut self.found;
        let new = links.into_iter().filter(|link| {
            // Both versions of a CID are the same block.
            let id = Cid::new_v1(link.cid.codec(), *link.cid.hash()).to_bytes();
            found.insert(id.into())
        });
        let first = self.waiting.len();
        self.waiting.extend(new);
        if let Some(new) = self.waiting.get_mut(first..) {
            new.reverse();
        }
    }

    async fn next(&mut self) -> Option<Result<Block>> {
        loop {
            while self.visits.len() < self.run.concurrency && self.run.reporter.check().is_ok() {
                let Some(wanted) = self.waiting.pop() else {
                    break;
                };
                self.visits.push(self.run.visit(wanted).boxed());
            }
            match self.visits.next().await? {
                Ok(visited) => {
                    self.add(visited.links);
                    if let Some(missing) = visited.missing {
                        return Some(Ok(missing));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
