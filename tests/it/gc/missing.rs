//! Reachable blocks that are missing, and blocks that can't be checked.

use std::sync::Arc;

use ds_flatfs::cid::Cid;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::maintenance::Gc;
use ds_flatfs::{Datastore, Error, MemoryDatastore};

use super::{keys, roots};
use crate::dags::{DAG_CBOR, DAG_PB, Node, leaf, node, put_all};
use crate::support::Home;

/// Returns a root with two nodes below it, which both link to leaves 0 to 9.
fn dag() -> (Node, Vec<Node>) {
    let mut nodes: Vec<Node> = (0..10).map(leaf).collect();
    let links: Vec<Cid> = nodes.iter().map(|node| node.cid).collect();
    let parents = [node(DAG_CBOR, 1, &links), node(DAG_PB, 2, &links)];
    let root = node(DAG_PB, 3, &parents.each_ref().map(|parent| parent.cid));
    nodes.extend(parents);
    (root, nodes)
}

#[tokio::test]
async fn a_missing_block_without_links_ends_a_collection_before_anything_is_removed() {
    let home = Home::new();
    let store = ds_flatfs::FlatFs::options();
    let store = store.create(home.store()).await.unwrap();
    let stores: [Arc<dyn Datastore>; 2] =
        [Arc::new(store.clone()), Arc::new(MemoryDatastore::new())];
    let (root, nodes) = dag();
    for datastore in stores {
        put_all(&datastore, &nodes).await;
        put_all(&datastore, [&root, &leaf(99)]).await;
        for missing in [3, 7] {
            datastore.delete(&leaf(missing).key()).await.unwrap();
        }
        let before = keys(&datastore).await;
        let gc = || Gc::over(Arc::clone(&datastore)).roots(roots([&root]));
        for gc in [gc(), gc().dry_run(true)] {
            let error = gc.run().await.unwrap_err();
            let Error::MissingBlock { cid, parent } = &error else {
                panic!("{error}");
            };
            assert!(
                [3, 7]
                    .map(|leaf_| leaf(leaf_).cid.to_string())
                    .contains(cid)
            );
            let parents = [&nodes[10], &nodes[11]].map(|node| node.cid.to_string());
            assert!(parents.contains(parent.as_ref().unwrap()));
        }
        assert_eq!(keys(&datastore).await, before);

        let collected = gc().allow_missing(true).run().await.unwrap();
        assert_eq!((collected.kept, collected.removed), (11, 1));
        // Each of them once, although two blocks link to it.
        assert_eq!((collected.missing_count, collected.missing.len()), (2, 2));
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_root_that_is_also_linked_is_reported_once() {
    let store = MemoryDatastore::new();
    let parent = node(DAG_PB, 1, &[leaf(1).cid]);
    put_all(&store, [&parent]).await;
    let gc = Gc::over(store.clone()).roots(roots([&leaf(1), &parent]));
    let collected = gc.allow_missing(true).run().await.unwrap();
    assert_eq!(collected.missing_count, 1);
}

#[tokio::test]
async fn of_very_many_missing_blocks_the_first_thousand_are_listed() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let links: Vec<Cid> = (0..1_500).map(|number| leaf(number).cid).collect();
    let root = node(DAG_PB, 1, &links);
    put_all(&store, [&root]).await;
    let gc = Gc::open(&store).roots(roots([&root])).allow_missing(true);
    let collected = gc.run().await.unwrap();
    assert_eq!(
        (collected.missing_count, collected.missing.len()),
        (1_500, 1_000)
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn blocks_of_unknown_hash_functions_are_followed_and_counted() {
    let store = MemoryDatastore::new();
    let mut unchecked = node(DAG_CBOR, 1, &[leaf(1).cid]);
    unchecked.cid = Cid::new_v1(DAG_CBOR, Multihash::wrap(0x9000, &[7; 32]).unwrap());
    let root = node(DAG_PB, 2, &[unchecked.cid]);
    put_all(&store, [&leaf(1), &unchecked, &root]).await;
    let gc = Gc::over(store.clone()).roots(roots([&root]));
    let collected = gc.run().await.unwrap();
    assert_eq!((collected.kept, collected.unchecked), (3, 1));
}
