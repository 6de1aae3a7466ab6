//! DAGs of two kinds of blocks: plain bytes, and lists of links in DAG-CBOR.

use std::collections::HashSet;

use anyhow::Result;
use ds_flatfs::cid::Cid;
use futures::stream::{FuturesUnordered, TryStreamExt as _};
use multihash_codetable::{Code, MultihashDigest as _};

use crate::node::Node;

/// The multicodec code of plain bytes.
const RAW: u64 = 0x55;
/// The multicodec code of DAG-CBOR.
const DAG_CBOR: u64 = 0x71;

/// A block and its CID.
pub type CidBlock = (Cid, Vec<u8>);

/// Makes a block of plain bytes.
#[must_use]
pub fn leaf(bytes: Vec<u8>) -> CidBlock {
    (Cid::new_v1(RAW, Code::Sha2_256.digest(&bytes)), bytes)
}

/// Makes a block of links.
///
/// # Errors
///
/// Fails if the links cannot be encoded.
pub fn list(links: &[Cid]) -> Result<CidBlock> {
    let bytes = serde_ipld_dagcbor::to_vec(links)?;
    let cid = Cid::new_v1(DAG_CBOR, Code::Sha2_256.digest(&bytes));
    Ok((cid, bytes))
}

/// Gets all blocks of the DAG with this root, and returns their CIDs.
///
/// # Errors
///
/// Fails if a block cannot be got, or is not a list although its CID has the codec of lists.
pub async fn fetch(node: &Node, root: Cid) -> Result<HashSet<Cid>> {
    let mut found = HashSet::from([root]);
    let mut lists = FuturesUnordered::from_iter([fetch_links(node, root)]);
    while let Some(links) = lists.try_next().await? {
        let new = links.into_iter().filter(|link| found.insert(*link));
        lists.extend(new.map(|link| fetch_links(node, link)));
    }
    Ok(found)
}

async fn fetch_links(node: &Node, cid: Cid) -> Result<Vec<Cid>> {
    let block = node.get(cid).await?;
    match cid.codec() {
        DAG_CBOR => Ok(serde_ipld_dagcbor::from_slice(&block)?),
        _ => Ok(Vec::new()),
    }
}
