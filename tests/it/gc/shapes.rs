//! DAGs of unusual shapes.

use std::collections::BTreeSet;

use ds_flatfs::Datastore;
use ds_flatfs::cid::Cid;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::dag::UnknownCodec;
use ds_flatfs::maintenance::Gc;
use ds_flatfs::{Error, Key, MemoryDatastore};
use futures::stream;

use super::faulty::Faulty;
use super::{keys, keys_of, roots};
use crate::dags::{DAG_CBOR, DAG_PB, Node, RAW, leaf, node, of_codec, put_all};
use crate::support::Home;

/// Checks a collection in a store whose blocks are read by jobs on the blocking pool, and in one without such reads.
async fn check(root: &Node, nodes: &[Node]) {
    let memory = MemoryDatastore::new();
    check_in(&memory, Gc::over(memory.clone()), (root, nodes)).await;
    let (_home, store) = Home::with_store("prefix/1").await;
    check_in(&store, Gc::open(&store), (root, nodes)).await;
    store.close().await.unwrap();
}

/// Puts the nodes and some garbage into a datastore, collects it from the root, and checks that exactly the nodes
/// are left.
async fn check_in(store: &dyn Datastore, gc: Gc, (root, nodes): (&Node, &[Node])) {
    put_all(store, nodes).await;
    let garbage = [leaf(1 << 40), node(DAG_PB, 1 << 40, &[root.cid])];
    put_all(store, &garbage).await;
    let gc = gc.roots(roots([root]));
    assert_eq!(gc.run().await.unwrap().removed, 2);
    assert_eq!(keys(store).await, keys_of(nodes));
}

#[tokio::test]
async fn a_chain_of_10_000_blocks_is_kept_without_overflowing_the_stack() {
    let mut nodes = vec![leaf(0)];
    for number in 1..10_000 {
        let below = nodes.last().unwrap().cid;
        nodes.push(node(DAG_CBOR, number, &[below]));
    }
    check(nodes.last().unwrap(), &nodes).await;
}

#[tokio::test]
async fn a_node_of_8_000_links_is_kept_with_all_of_them() {
    let mut nodes: Vec<Node> = (0..4_000).map(leaf).collect();
    nodes.extend((4_000..8_000).map(|number| node(DAG_CBOR, number, &[])));
    let links: Vec<Cid> = nodes.iter().map(|node| node.cid).collect();
    nodes.push(node(DAG_PB, 0, &links));
    check(nodes.last().unwrap(), &nodes).await;
}

#[tokio::test]
async fn a_block_that_is_linked_many_times_is_read_once() {
    let below = node(DAG_PB, 0, &[leaf(0).cid]);
    let links = vec![below.cid; 1_000];
    let nodes = [leaf(0), below, node(DAG_PB, 1, &links)];
    let store = Faulty::default();
    put_all(&store.store, &nodes).await;
    let gc = Gc::over(store.clone()).roots(roots([&nodes[2]]));
    assert_eq!(gc.run().await.unwrap().kept, 3);
    assert_eq!(
        [0, 1, 2].map(|node| store.reads(&nodes[node].key())),
        [0, 1, 1]
    );
}

#[tokio::test]
async fn the_same_bytes_under_another_codec_have_other_links() {
    let linked = leaf(7);
    let inner = node(DAG_CBOR, 3, &[linked.cid]);
    let as_raw = Cid::new_v1(0x55, *inner.cid.hash());
    // As a raw block it is visited first, and is not read.
    let root = node(DAG_CBOR, 4, &[as_raw, inner.cid]);
    let nodes = [linked, inner, root];
    check(&nodes[2], &nodes).await;
}

#[tokio::test]
async fn both_versions_of_a_cid_name_one_block() {
    let below = node(DAG_PB, 0, &[leaf(0).cid]);
    let v0 = Cid::new_v0(*below.cid.hash()).unwrap();
    let nodes = [leaf(0), below, node(DAG_CBOR, 1, &[v0])];
    check(&nodes[2], &nodes).await;
}

#[tokio::test]
async fn links_in_a_block_that_its_cid_contains_are_followed() {
    let linked = leaf(0);
    // A CID in CBOR takes 43 bytes, so the block has room in an identity hash of 64.
    let block = serde_ipld_dagcbor::to_vec(&linked.cid).unwrap();
    let inline = Cid::new_v1(DAG_CBOR, Multihash::wrap(0, &block).unwrap());
    let nodes = [linked, node(DAG_PB, 1, &[inline])];
    check(&nodes[1], &nodes).await;
}

#[tokio::test]
async fn blocks_under_the_keys_of_old_repos_are_found_and_kept() {
    let (linked, inner) = (leaf(0), node(DAG_CBOR, 1, &[leaf(0).cid]));
    let store = MemoryDatastore::new();
    let old_keys: BTreeSet<Key> = [&linked, &inner]
        .map(|node| Key::from_cid_bytes(&node.cid))
        .into();
    for node in [&linked, &inner] {
        let key = Key::from_cid_bytes(&node.cid);
        store.put(&key, node.block.clone()).await.unwrap();
    }
    put_all(&store, [&leaf(9)]).await;
    let gc = Gc::over(store.clone()).roots(roots([&inner]));
    assert_eq!(gc.run().await.unwrap().removed, 1);
    assert_eq!(keys(&store).await, old_keys);
}

#[tokio::test]
async fn a_direct_root_in_an_old_repo_is_kept_and_by_its_cid_as_raw_it_is_missing() {
    let (direct, kept) = (node(DAG_PB, 0, &[leaf(9).cid]), leaf(1));
    let store = MemoryDatastore::new();
    put_all(&store, [&kept, &leaf(9)]).await;
    let key = Key::from_cid_bytes(&direct.cid);
    store.put(&key, direct.block.clone()).await.unwrap();
    let gc = || Gc::over(store.clone()).roots(roots([&kept]));
    let as_raw = Cid::new_v1(RAW, *direct.cid.hash());
    let error = gc().roots(stream::iter([Ok(as_raw)])).run().await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::MissingBlock { .. }), "{error}");
    assert_eq!(keys(&store).await.len(), 3);
    let collected = gc().direct_roots(roots([&direct])).run().await.unwrap();
    assert_eq!((collected.kept, collected.removed), (2, 1));
    assert_eq!(keys(&store).await, [kept.key(), key].into());
}

#[tokio::test]
async fn a_block_under_the_old_key_of_its_cid_of_version_1_is_found_by_a_link_of_version_0() {
    let linked = node(DAG_PB, 0, &[leaf(0).cid]);
    let v0 = Cid::new_v0(*linked.cid.hash()).unwrap();
    let root = node(DAG_CBOR, 1, &[v0, linked.cid]);
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let memory = MemoryDatastore::new();
    for datastore in [&store as &dyn Datastore, &memory] {
        put_all(datastore, [&leaf(0), &leaf(9), &root]).await;
        let key = Key::from_cid_bytes(&linked.cid);
        datastore.put(&key, linked.block.clone()).await.unwrap();
    }
    for gc in [Gc::open(&store), Gc::over(memory)] {
        let collected = gc.roots(roots([&root])).run().await.unwrap();
        assert_eq!((collected.kept, collected.removed), (3, 1));
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_unknown_codec_is_an_error_before_anything_is_removed_or_a_leaf() {
    let opaque = of_codec(0x1234, b"opaque".to_vec());
    let root = node(DAG_PB, 1, &[opaque.cid]);
    let store = MemoryDatastore::new();
    put_all(&store, [&opaque, &root, &leaf(9)]).await;
    let gc = || Gc::over(store.clone()).roots(roots([&root]));
    let error = gc().allow_missing(true).run().await.unwrap_err();
    assert!(matches!(error, Error::UnknownCodec { codec: 0x1234, .. }));
    assert_eq!(keys(&store).await.len(), 3);
    let collected = gc().unknown_codec(UnknownCodec::TakeAsLeaf).run().await;
    assert_eq!(collected.unwrap().removed, 1);
    assert_eq!(keys(&store).await, keys_of([&opaque, &root]));
}

#[tokio::test]
async fn blocks_of_many_hash_functions_are_told_apart() {
    // More than there are sets for them. The hashes can't be checked.
    let blocks: Vec<Node> = (0..200_u64)
        .map(|number| {
            let hash = Multihash::wrap(0x9000 + number, &[7; 32]).unwrap();
            Node {
                cid: Cid::new_v1(DAG_CBOR, hash),
                block: node(DAG_CBOR, number, &[leaf(number).cid]).block,
            }
        })
        .collect();
    let links: Vec<Cid> = blocks.iter().map(|node| node.cid).collect();
    let mut nodes: Vec<Node> = (0..200).map(leaf).collect();
    nodes.extend(blocks);
    nodes.push(node(DAG_PB, 1, &links));
    check(nodes.last().unwrap(), &nodes).await;
}
