//! [`read`]: reads, checks and decodes some blocks at a time.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::stream::{self, StreamExt};

use super::block::{checked, keys};
use super::links::{UnknownCodec, links};
use crate::blocking;
use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::hash;

/// Checking and decoding this number of bytes takes less time than a hop to the blocking pool.
const INLINE_THRESHOLD: usize = 16 * 1024;

/// A block that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) cid: Cid,
    /// The block that links to it. A root has none.
    pub(super) parent: Option<Arc<Cid>>,
}

/// A block that was read, and has the hash of its CID.
#[derive(Debug)]
pub(super) struct Node {
    /// Its size in bytes.
    pub(super) size: u64,
    /// The CIDs that it links to.
    pub(super) links: Vec<Cid>,
}

/// Reads some blocks and passes each of them, or why it could not be read, to `visit`, on a thread where that
/// may take time. Returns what `visit` returned.
pub(super) async fn read<T: Send + 'static>(
    store: &dyn Datastore,
    wanted: Vec<Wanted>,
    unknown: UnknownCodec,
    visit: impl Fn(Wanted, Result<Node>) -> T + Send + 'static,
) -> Result<Vec<T>> {
    let blocks = load_all(store, &wanted).await;
    let found = blocks.iter().flatten().flatten();
    let len: usize = found.map(Bytes::len).sum();
    let decode = move || {
        let blocks = wanted.into_iter().zip(blocks);
        let nodes = blocks.map(|(wanted, block)| {
            let node = block.and_then(|block| decode(&wanted, block, unknown));
            visit(wanted, node)
        });
        Ok(nodes.collect())
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

fn decode(wanted: &Wanted, block: Option<Bytes>, unknown: UnknownCodec) -> Result<Node> {
    let cid = &wanted.cid;
    let block = block.ok_or_else(|| Error::MissingBlock {
        cid: cid.to_string(),
        parent: wanted.parent.as_ref().map(ToString::to_string),
    })?;
    checked(cid, hash::check(cid.hash(), &block))?;
    Ok(Node {
        size: block.len() as u64,
        links: links(cid, &block, unknown)?,
    })
}
