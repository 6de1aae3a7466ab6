//! [`DagWalk`]: the blocks of the DAGs below some roots.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use super::block::{check, load};
use super::links::{UnknownCodec, links};
use crate::blocking;
use crate::datastore::Datastore;
use crate::error::{Error, Result};

/// The size in bytes up to which finding the links of a block takes less time than a hop to the blocking pool.
const INLINE_THRESHOLD: usize = 16 * 1024;

/// Visits the blocks of the DAGs below some roots depth first, parents before children, each block once,
/// and checks each block against its CID.
///
/// It keeps in memory one block with its links, and each CID that it has found, once.
///
/// ```
/// use ds_flatfs::cid::Cid;
/// use ds_flatfs::dag::DagWalk;
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let store = MemoryDatastore::new();
/// let key = Key::for_block(b"hello");
/// store.put(&key, "hello".into()).await?;
/// let mut walk = DagWalk::new(&store, &[Cid::try_from(&key)?]);
/// while let Some((cid, block)) = walk.next().await? {
///     println!("{cid}: {} bytes", block.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until the next block is asked for"]
pub struct DagWalk<'a> {
    store: &'a dyn Datastore,
    unknown_codec: UnknownCodec,
    queue: LinkQueue,
}

impl<'a> DagWalk<'a> {
    /// Prepares a walk from `roots`, in their order.
    pub fn new(store: &'a dyn Datastore, roots: &[Cid]) -> Self {
        let mut queue = LinkQueue::default();
        for root in roots.iter().rev() {
            queue.push(root, None);
        }
        DagWalk {
            store,
            unknown_codec: UnknownCodec::default(),
            queue,
        }
    }

    /// Sets what is done with a block of a codec whose links can't be found. By default it is an error.
    pub fn unknown_codec(self, unknown_codec: UnknownCodec) -> Self {
        DagWalk {
            unknown_codec,
            ..self
        }
    }

    /// Returns the next block, or `None` after the last one. A block that is contained in its CID is returned
    /// too.
    ///
    /// # Errors
    ///
    /// - [`Error::MissingBlock`]: the datastore does not have the block.
    /// - [`Error::Corrupt`]: the block does not have the hash of its CID.
    /// - [`Error::InvalidBlock`] or [`Error::UnknownCodec`]: the links of the block can't be found.
    /// - The errors of [`Datastore::get`].
    ///
    /// The block that failed is not visited again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the walk has lost a block. Don't continue it.
    pub async fn next(&mut self) -> Result<Option<(Cid, Bytes)>> {
        let Some(link) = self.queue.pop() else {
            return Ok(None);
        };
        let cid = link.cid()?;
        let block = load(self.store, &cid).await?;
        let block = block.ok_or_else(|| Error::MissingBlock {
            cid: cid.to_string(),
            parent: link.parent.map(|parent| parent.to_string()),
        })?;
        check(&cid, &block).await?;
        let links = find_links(cid, &block, self.unknown_codec).await?;
        let parent = Arc::new(cid);
        for link in links.iter().rev() {
            self.queue.push(link, Some(&parent));
        }
        Ok(Some((cid, block)))
    }
}

/// Returns the links of a block without blocking a worker of the runtime.
async fn find_links(cid: Cid, block: &Bytes, unknown: UnknownCodec) -> Result<Vec<Cid>> {
    if block.len() <= INLINE_THRESHOLD {
        return links(&cid, block, unknown);
    }
    let block = block.clone();
    blocking::run(move || links(&cid, &block, unknown)).await
}

/// The links that a walk still has to follow, last in, first out, and the nodes that it has visited.
///
/// A node is in the queue once, however many blocks link to it: otherwise a few blocks of many equal links
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

    fn cid(&self) -> Result<Cid> {
        let v0_or_v1 = Cid::try_from(&*self.node).and_then(|cid| match self.is_v0 {
            true => Cid::new_v0(*cid.hash()),
            false => Ok(cid),
        });
        // Never happens, because the bytes come from a CID.
        v0_or_v1.map_err(|error| Error::Backend {
            message: "cannot decode a CID".to_owned(),
            source: Some(error.into()),
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
    use crate::key::Key;

    fn cid(number: u8) -> Cid {
        Key::for_block(&[number]).to_cid().unwrap()
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
        #![proptest_config(crate::testing::proptest_config())]

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
