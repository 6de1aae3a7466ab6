//! Nodes exchange blocks, and the received blocks are on disk.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use blockstore::Blockstore as _;
use ds_flatfs::cid::Cid;
use ds_flatfs::{FlatFs, Key, Query};
use ds_flatfs_bitswap::{Node, dag};
use futures::TryStreamExt as _;
use multihash_codetable::{Code, MultihashDigest as _};
use tempfile::TempDir;
use tokio::time::timeout;

/// Ends a test that hangs. The tests take about a second.
const TIMEOUT: Duration = Duration::from_secs(120);

type Blocks = HashMap<Cid, Vec<u8>>;

/// Returns a DAG of 20 lists of 20 leaves each, from a few bytes to a megabyte, and its root.
fn sample() -> (Cid, Blocks) {
    let mut blocks = Blocks::new();
    let mut lists = Vec::new();
    for list in 0..20_usize {
        let leaves = (0..20).map(|leaf| {
            let number = 20 * list + leaf;
            let length = if number == 0 { 1 << 20 } else { 67 * number };
            let text = format!("{number} ").repeat(length);
            dag::leaf(text.as_bytes()[..length].to_vec())
        });
        let leaves: Vec<_> = leaves.collect();
        let links: Vec<Cid> = leaves.iter().map(|(cid, _)| *cid).collect();
        blocks.extend(leaves);
        lists.push(dag::list(&links).unwrap());
    }
    let links: Vec<Cid> = lists.iter().map(|(cid, _)| *cid).collect();
    let (root, block) = dag::list(&links).unwrap();
    blocks.extend(lists);
    blocks.insert(root, block);
    (root, blocks)
}

async fn start(dir: &TempDir, name: &str) -> Node {
    Node::start(dir.path().join(name)).await.unwrap()
}

/// Waits until beetswap has stored all blocks.
async fn wait_until_stored(node: &Node, blocks: &Blocks) {
    for cid in blocks.keys() {
        while !node.blocks().has(cid).await.unwrap() {
            tokio::task::yield_now().await;
        }
    }
}

/// Returns the contents of a store that is not open.
async fn on_disk(path: &Path) -> HashMap<Key, Vec<u8>> {
    let flatfs = FlatFs::options().read_only(true).open(path).await.unwrap();
    let entries = flatfs.query(Query::new()).await.unwrap();
    let entries = entries.map_ok(|entry| (entry.key, entry.value.unwrap().into()));
    entries.try_collect().await.unwrap()
}

async fn exchange() {
    let dir = tempfile::tempdir().unwrap();
    let (root, blocks) = sample();
    let provider = start(&dir, "provider").await;
    provider
        .blocks()
        .put_many_keyed(blocks.clone())
        .await
        .unwrap();

    let receiver = start(&dir, "receiver").await;
    receiver.dial(provider.address().clone()).await.unwrap();
    let got = dag::fetch(&receiver, root).await.unwrap();
    assert_eq!(got, blocks.keys().copied().collect());
    wait_until_stored(&receiver, &blocks).await;
    receiver.stop().await.unwrap();
    provider.stop().await.unwrap();

    let mut found = on_disk(&dir.path().join("receiver")).await;
    assert_eq!(found.len(), blocks.len());
    for (cid, block) in blocks {
        let received = found.remove(&Key::from_cid(&cid)).unwrap();
        assert_eq!(*cid.hash(), Code::Sha2_256.digest(&received));
        assert_eq!(received, block);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_is_copied_from_one_store_to_another() {
    timeout(TIMEOUT, exchange()).await.unwrap();
}

#[tokio::test]
async fn a_node_without_peers_returns_blocks_from_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(&dir, "alone").await;
    let (cid, block) = dag::leaf(b"mine".to_vec());
    node.blocks().put_keyed(&cid, &block).await.unwrap();
    let got = timeout(TIMEOUT, node.get(cid)).await.unwrap();
    assert_eq!(got.unwrap(), block);
    node.stop().await.unwrap();
}
