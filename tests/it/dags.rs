//! DAGs of blocks for tests.

use bytes::Bytes;
use ds_flatfs::cid::Cid;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::{Datastore, Key};
use ipld_core::ipld;
use ipld_core::ipld::Ipld;

/// The multicodec codes of these codecs.
pub(crate) const RAW: u64 = 0x55;
pub(crate) const DAG_PB: u64 = 0x70;
pub(crate) const DAG_CBOR: u64 = 0x71;
pub(crate) const DAG_JSON: u64 = 0x0129;

/// A block and its CID.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) cid: Cid,
    pub(crate) block: Bytes,
}

impl Node {
    pub(crate) fn key(&self) -> Key {
        Key::from_cid(&self.cid)
    }
}

pub(crate) fn of_codec(codec: u64, block: Vec<u8>) -> Node {
    let hash = Key::for_block(&block).to_multihash().unwrap();
    Node {
        cid: Cid::new_v1(codec, hash),
        block: block.into(),
    }
}

/// Returns a raw block.
pub(crate) fn leaf(number: u64) -> Node {
    of_codec(RAW, format!("leaf {number}").into_bytes())
}

/// Returns a block of this codec with links, in their order. `number` makes it differ from others.
pub(crate) fn node(codec: u64, number: u64, links: &[Cid]) -> Node {
    let links: Vec<Ipld> = links.iter().copied().map(Ipld::Link).collect();
    let block = match codec {
        RAW => return leaf(number),
        DAG_PB => {
            let links = links.into_iter().map(|link| ipld!({ "Hash": link }));
            let links: Vec<Ipld> = links.collect();
            let data = Ipld::Bytes(number.to_le_bytes().to_vec());
            ipld_dagpb::from_ipld(&ipld!({ "Data": data, "Links": links })).unwrap()
        }
        DAG_CBOR => serde_ipld_dagcbor::to_vec(&ipld!([number, links])).unwrap(),
        _ => serde_ipld_dagjson::to_vec(&ipld!({ "links": links, "n": number })).unwrap(),
    };
    of_codec(codec, block)
}

/// Returns raw blocks with the digest of `leaf`: one of another hash function, and one that its CID contains.
pub(crate) fn with_digest_of(leaf: &Node) -> [Node; 2] {
    [0x9000, 0].map(|function| {
        let hash = Multihash::wrap(function, leaf.cid.hash().digest()).unwrap();
        Node {
            cid: Cid::new_v1(RAW, hash),
            block: leaf.cid.hash().digest().to_vec().into(),
        }
    })
}

pub(crate) async fn put_all<'a>(store: &dyn Datastore, nodes: impl IntoIterator<Item = &'a Node>) {
    let batch = store.batch().await.unwrap();
    for node in nodes {
        batch.put(&node.key(), node.block.clone()).await.unwrap();
    }
    batch.commit().await.unwrap();
}
