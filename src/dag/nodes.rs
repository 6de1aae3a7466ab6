//! [`Decoder`] checks and decodes blocks with links, and [`read`] reads some of them at a time.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::stream::{self, StreamExt};

use super::block::{checked, keys, load_blocking, missing};
use super::links::{UnknownCodec, add_links};
use crate::blocking;
use crate::datastore::{BlockingReader, Datastore};
use crate::error::Result;
use crate::hash;

/// The number of blocks that are in memory at the same time.
const MAX_LOADED: usize = 8;
/// Checking and decoding this number of bytes takes less time than a hop to the blocking pool.
const INLINE_THRESHOLD: usize = 16 * 1024;

/// A block that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) cid: Cid,
    /// The block that links to it. A root has none.
    pub(super) parent: Option<Arc<Cid>>,
}

/// A block that was read. It has the hash of its CID, unless that could not be checked.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Its size in bytes.
    pub(super) size: u64,
    /// The CIDs that it links to.
    pub(super) links: &'a [Cid],
    /// Whether its hash function is known.
    pub(super) is_checked: bool,
}

/// Takes blocks that were read, or why they could not be read.
pub(super) trait NodeVisitor: Send + 'static {
    fn visit(&mut self, wanted: &Wanted, node: Result<Node<'_>>) -> Result<()>;
}

/// Checks and decodes blocks. It keeps the memory for their links.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    unknown: UnknownCodec,
    links: Vec<Cid>,
}

impl Decoder {
    pub(super) fn new(unknown: UnknownCodec) -> Self {
        Decoder {
            unknown,
            links: Vec::new(),
        }
    }

    pub(super) fn read(
        &mut self,
        reader: &dyn BlockingReader,
        wanted: &Wanted,
    ) -> Result<Node<'_>> {
        self.decode(wanted, load_blocking(reader, &wanted.cid))
    }

    fn decode(&mut self, wanted: &Wanted, block: Result<Option<Bytes>>) -> Result<Node<'_>> {
        let Wanted { cid, parent } = wanted;
        let block = block?.ok_or_else(|| missing(cid, parent.as_deref()))?;
        let is_checked = checked(cid, hash::check(cid.hash(), &block))?;
        self.links.clear();
        add_links(cid, &block, self.unknown, &mut self.links)?;
        Ok(Node {
            size: block.len() as u64,
            links: &self.links,
            is_checked,
        })
    }
}

/// Reads blocks of a datastore without blocking reads, a few at a time, and passes them to the visitor, on a thread where that
/// may take time.
pub(super) async fn read<V: NodeVisitor>(
    store: &dyn Datastore,
    wanted: Vec<Wanted>,
    unknown: UnknownCodec,
    mut visitor: V,
) -> Result<V> {
    let mut wanted = wanted.into_iter();
    loop {
        let next: Vec<Wanted> = wanted.by_ref().take(MAX_LOADED).collect();
        if next.is_empty() {
            return Ok(visitor);
        }
        visitor = read_some(store, next, unknown, visitor).await?;
    }
}

async fn read_some<V: NodeVisitor>(
    store: &dyn Datastore,
    wanted: Vec<Wanted>,
    unknown: UnknownCodec,
    mut visitor: V,
) -> Result<V> {
    let blocks = load_all(store, &wanted).await;
    let found = blocks.iter().flatten().flatten();
    let len: usize = found.map(Bytes::len).sum();
    let decode = move || {
        let mut decoder = Decoder::new(unknown);
        for (wanted, block) in wanted.iter().zip(blocks) {
            visitor.visit(wanted, decoder.decode(wanted, block))?;
        }
        Ok(visitor)
    };
    if len > INLINE_THRESHOLD {
        return blocking::run(decode).await;
    }
    // Without this, a task whose reads are all cached would never yield to other tasks.
    tokio::task::consume_budget().await;
    decode()
}

/// Returns the blocks in the order of `wanted`.
async fn load_all(store: &dyn Datastore, wanted: &[Wanted]) -> Vec<Result<Option<Bytes>>> {
    let all_keys: Vec<_> = wanted.iter().map(|wanted| keys(&wanted.cid)).collect();
    let first: Vec<_> = all_keys
        .iter()
        .filter_map(|keys| keys.first().cloned())
        .collect();
    let mut found = store.get_many(stream::iter(first).boxed());
    let mut blocks = Vec::with_capacity(wanted.len());
    for (wanted, keys) in wanted.iter().zip(&all_keys) {
        blocks.push(match (keys.first(), hash::inline(wanted.cid.hash())) {
            (_, Some(block)) => Ok(Some(Bytes::copy_from_slice(block))),
            (None, None) => Ok(None),
            (Some(_), None) => found.next().await.map_or(Ok(None), |(_, block)| block),
        });
    }
    drop(found);
    // A repo of an old version has the block under the key of its CID.
    for (block, keys) in blocks.iter_mut().zip(&all_keys) {
        if let (Ok(None), Some(old_key)) = (&*block, keys.get(1)) {
            *block = store.get(old_key).await;
        }
    }
    blocks
}
