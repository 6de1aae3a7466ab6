//! [`Walk`]: the blocks below some roots.

use std::collections::HashSet;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use cid::Cid;
use ds_flatfs::Datastore;
use ds_flatfs::hash::HashError;

use crate::{blocks, hash, links};

/// Goes through the DAGs below some roots depth first, parents before children, each block once. Each
/// block is checked against its CID.
///
/// In memory it holds one block at a time, the CIDs that were met, and those still to go to.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    store: &'a dyn Datastore,
    /// With the CID that links there, to be named if the block is missing.
    ahead: Vec<(Cid, Option<Cid>)>,
    met: HashSet<Cid>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a dyn Datastore, roots: &[Cid]) -> Self {
        Walk {
            store,
            ahead: roots.iter().rev().map(|root| (*root, None)).collect(),
            met: HashSet::new(),
        }
    }

    /// The next block, or `None` if all have been met.
    ///
    /// # Errors
    ///
    /// If a block is missing, can't be read, hasn't the hash of its CID or can't be decoded; the error
    /// names its CID.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<(Cid, Bytes)>> {
        while let Some((cid, parent)) = self.ahead.pop() {
            if !self.met.insert(as_v1(&cid)) {
                continue;
            }
            let block = self.load(&cid, parent).await?;
            let links = links::links(&cid, &block)?;
            let new = links
                .into_iter()
                .filter(|link| !self.met.contains(&as_v1(link)));
            self.ahead.extend(new.rev().map(|link| (link, Some(cid))));
            return Ok(Some((cid, block)));
        }
        Ok(None)
    }

    async fn load(&self, cid: &Cid, parent: Option<Cid>) -> anyhow::Result<Bytes> {
        let block = blocks::load(self.store, cid).await?;
        let block = block.ok_or_else(|| match parent {
            Some(parent) => {
                anyhow!("the block {cid} is missing from the store; {parent} links to it")
            }
            None => anyhow!("the root {cid} is not in the store"),
        })?;
        check(cid, &block)?;
        Ok(block)
    }
}

/// Whether the block is that of the CID, as far as the hash function is known.
///
/// # Errors
///
/// If it isn't.
pub(crate) fn check(cid: &Cid, block: &[u8]) -> anyhow::Result<()> {
    match hash::verify(cid, block) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.why, HashError::Unknown(_)) => Ok(()),
        Err(error) => Err(error)
            .context("a block of the store is damaged, which 'flatfs verify --repair' sees to"),
    }
}

/// The same for both versions of a CID, which name the same node.
fn as_v1(cid: &Cid) -> Cid {
    Cid::new_v1(cid.codec(), *cid.hash())
}
