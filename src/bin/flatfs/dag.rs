//! [`DagWalk`]: the blocks of the DAGs below some roots.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use cid::Cid;
use ds_flatfs::Datastore;
use ds_flatfs::hash::HashError;

use crate::links::UnknownCodec;
use crate::{blocking, blocks, hash, links};

/// Visits the blocks of the DAGs below some roots depth first, parents before children, each block once,
/// and checks each block against its CID.
///
/// Memory holds one block and its links, and each CID of the DAGs that was met, once.
#[derive(Debug)]
pub(crate) struct DagWalk<'a> {
    store: &'a dyn Datastore,
    unknown_codec: UnknownCodec,
    queue: LinkQueue,
}

impl<'a> DagWalk<'a> {
    pub(crate) fn new(
        store: &'a dyn Datastore,
        roots: &[Cid],
        unknown_codec: UnknownCodec,
    ) -> Self {
        let mut queue = LinkQueue::default();
        for root in roots.iter().rev() {
            queue.push(root, None);
        }
        DagWalk {
            store,
            unknown_codec,
            queue,
        }
    }

    /// Returns the next block, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// Fails if a block is missing, can't be read, does not have the hash of its CID, or can't be
    /// decoded. The error names the CID.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<(Cid, Bytes)>> {
        let Some(link) = self.queue.pop() else {
            return Ok(None);
        };
        let cid = link.cid()?;
        let block = blocks::load(self.store, &cid).await?;
        let block = block.ok_or_else(|| match link.parent {
            Some(parent) => {
                anyhow!("the block {cid} is missing from the store; {parent} links to it")
            }
            None => anyhow!("the root {cid} is not in the store"),
        })?;
        let (unknown_codec, shared) = (self.unknown_codec, block.clone());
        let links = blocking::compute(block.len(), move || {
            check(&cid, &shared)?;
            links::links(&cid, &shared, unknown_codec)
        });
        let links = links.await??;
        let parent = Arc::new(cid);
        for link in links.iter().rev() {
            self.queue.push(link, Some(&parent));
        }
        Ok(Some((cid, block)))
    }
}

/// Checks that the block has the hash of the CID, if the hash function is known.
///
/// # Errors
///
/// Fails if it has another hash.
pub(crate) fn check(cid: &Cid, block: &[u8]) -> anyhow::Result<()> {
    match hash::verify(cid, block) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.reason, HashError::Unknown(_)) => Ok(()),
        Err(error) => Err(error)
            .context("a block of the store is damaged, which 'flatfs verify --repair' sees to"),
    }
}

/// The links that a walk has still to follow, last in, first out, and the nodes that it has visited.
///
/// A node is in the queue once, however many blocks link to it: else a few blocks of many equal links
/// would fill the memory. The last block that links to it determines its position, which makes the walk
/// depth first.
#[derive(Debug, Default)]
struct LinkQueue {
    /// `None` for a link that was pushed again later.
    stack: Vec<Option<Link>>,
    /// All nodes that were ever in the queue. `None` for those that have been visited.
    positions: HashMap<NodeId, Option<usize>>,
    /// How many entries of the stack are not `None`.
    len: usize,
}

/// The bytes of a CID of version 1, since both versions of a CID name the same node. A `Cid` takes 96
/// bytes, whatever its length.
type NodeId = Arc<[u8]>;

#[derive(Debug)]
struct Link {
    node: NodeId,
    is_v0: bool,
    /// The block that has the link. A root has none.
    parent: Option<Arc<Cid>>,
}

impl Link {
    fn new(cid: &Cid, parent: Option<&Arc<Cid>>) -> Self {
        let v1 = Cid::new_v1(cid.codec(), *cid.hash());
        Link {
            node: v1.to_bytes().into(),
            is_v0: cid.version() == cid::Version::V0,
            parent: parent.cloned(),
        }
    }

    fn cid(&self) -> anyhow::Result<Cid> {
        let cid = Cid::try_from(&*self.node)?;
        Ok(match self.is_v0 {
            true => Cid::new_v0(*cid.hash())?,
            false => cid,
        })
    }
}

impl LinkQueue {
    /// Adds a link, or moves it to the front. A node that was visited is not added again.
    fn push(&mut self, cid: &Cid, parent: Option<&Arc<Cid>>) {
        let link = Link::new(cid, parent);
        let position = Some(self.stack.len());
        match self.positions.get_mut(&link.node) {
            Some(None) => return,
            Some(known) => {
                let outdated = known.and_then(|position| self.stack.get_mut(position));
                outdated.map(Option::take);
                *known = position;
            }
            None => {
                self.positions.insert(Arc::clone(&link.node), position);
                self.len += 1;
            }
        }
        self.stack.push(Some(link));
        if self.stack.len() / 2 > self.len {
            self.remove_outdated();
        }
    }

    fn pop(&mut self) -> Option<Link> {
        while let Some(entry) = self.stack.pop() {
            if let Some(link) = entry {
                self.positions.insert(Arc::clone(&link.node), None);
                self.len -= 1;
                return Some(link);
            }
        }
        None
    }

    fn remove_outdated(&mut self) {
        self.stack.retain(Option::is_some);
        for (position, link) in self.stack.iter().flatten().enumerate() {
            self.positions
                .insert(Arc::clone(&link.node), Some(position));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::hash::raw_cid;

    fn cid(number: u8) -> Cid {
        raw_cid(&[number])
    }

    #[test]
    fn a_link_that_is_queued_again_takes_no_more_memory() {
        let mut queue = LinkQueue::default();
        for _ in 0..1000 {
            for number in 0..3 {
                queue.push(&cid(number), None);
            }
        }
        assert!(queue.stack.len() <= 7, "{}", queue.stack.len());
        assert_eq!(queue.positions.len(), 3);
        let popped: Vec<Cid> = std::iter::from_fn(|| queue.pop())
            .map(|link| link.cid().unwrap())
            .collect();
        assert_eq!(popped, [cid(2), cid(1), cid(0)]);
        queue.push(&cid(1), None);
        assert!(queue.pop().is_none());
    }

    #[test]
    fn both_versions_of_a_cid_are_one_node_and_keep_their_form() {
        let mut queue = LinkQueue::default();
        let v0 = Cid::new_v0(*cid(0).hash()).unwrap();
        queue.push(&Cid::new_v1(0x70, *v0.hash()), None);
        queue.push(&v0, None);
        assert_eq!(queue.pop().unwrap().cid().unwrap(), v0);
        assert!(queue.pop().is_none());
    }

    proptest! {
        /// The simple walk queues each link again, and skips those that it has visited.
        #[test]
        fn the_order_is_that_of_a_simple_depth_first_walk(
            graph in proptest::collection::vec(proptest::collection::vec(0_u8..12, 0..8), 12),
        ) {
            let (mut expected, mut visited, mut stack) = (Vec::new(), HashSet::new(), vec![0]);
            while let Some(node) = stack.pop() {
                if visited.insert(node) {
                    expected.push(cid(node));
                    stack.extend(graph[usize::from(node)].iter().rev());
                }
            }
            let (mut found, mut queue) = (Vec::new(), LinkQueue::default());
            queue.push(&cid(0), None);
            while let Some(link) = queue.pop() {
                let here = link.cid().unwrap();
                found.push(here);
                let node = (0..12).find(|number| cid(*number) == here).unwrap();
                for next in graph[usize::from(node)].iter().rev() {
                    queue.push(&cid(*next), None);
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
