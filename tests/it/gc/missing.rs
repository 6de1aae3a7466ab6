//! Reachable blocks that are missing, and blocks that can't be checked.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests access the disk directly"
)]

use std::fs;
use std::sync::Arc;

use ds_flatfs::cid::Cid;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::maintenance::Gc;
use ds_flatfs::{Datastore, Error, Key, MemoryDatastore};

use super::faulty::Faulty;
use super::{keys, roots};
use crate::dags::{DAG_CBOR, DAG_PB, Node, RAW, leaf, node, put_all, with_digest_of};
use crate::platform::symlink;
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
async fn a_block_with_the_same_digest_does_not_pass_for_one_that_is_missing() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    for other in with_digest_of(&leaf(1)) {
        let root = node(DAG_CBOR, 1, &[other.cid, leaf(1).cid]);
        let memory = MemoryDatastore::new();
        for datastore in [&store as &dyn Datastore, &memory] {
            put_all(datastore, [&other, &root]).await;
        }
        for gc in [Gc::open(&store), Gc::over(memory)] {
            let error = gc.roots(roots([&root])).run().await.unwrap_err();
            let missing = leaf(1).cid.to_string();
            assert!(matches!(error, Error::MissingBlock { cid, .. } if cid == missing));
        }
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_block_without_links_is_not_found_under_the_old_key_of_a_codec_with_links() {
    let inner = node(DAG_PB, 1, &[]);
    let as_raw = Cid::new_v1(RAW, *inner.cid.hash());
    let root = node(DAG_CBOR, 2, &[inner.cid, as_raw]);
    let store = MemoryDatastore::new();
    put_all(&store, [&root]).await;
    let old_key = Key::from_cid_bytes(&inner.cid);
    store.put(&old_key, inner.block.clone()).await.unwrap();
    let gc = || Gc::over(store.clone()).roots(roots([&root]));
    let error = gc().run().await.unwrap_err();
    assert!(matches!(error, Error::MissingBlock { cid, .. } if cid == as_raw.to_string()));
    let collected = gc().allow_missing(true).run().await.unwrap();
    assert_eq!((collected.removed, collected.missing_count), (0, 1));
}

#[tokio::test]
async fn a_missing_root_that_is_repeated_and_linked_is_reported_once() {
    let store = MemoryDatastore::new();
    let parent = node(DAG_PB, 1, &[leaf(1).cid]);
    put_all(&store, [&parent]).await;
    let gc = Gc::over(store.clone()).roots(roots([&leaf(1), &leaf(1), &parent]));
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
async fn blocks_that_cannot_be_checked_are_followed_and_counted() {
    for hash in [
        Multihash::wrap(0x9000, &[7; 32]),
        // SHA2-256, but too short to be trusted.
        Multihash::wrap(0x12, &[7; 16]),
    ] {
        let store = MemoryDatastore::new();
        let mut unchecked = node(DAG_CBOR, 1, &[leaf(1).cid]);
        unchecked.cid = Cid::new_v1(DAG_CBOR, hash.unwrap());
        let root = node(DAG_PB, 2, &[unchecked.cid]);
        put_all(&store, [&leaf(1), &unchecked, &root]).await;
        let gc = Gc::over(store.clone()).roots(roots([&root]));
        let collected = gc.run().await.unwrap();
        assert_eq!((collected.kept, collected.unchecked), (3, 1));
    }
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_shard_directory_that_is_a_symbolic_link_is_not_taken_for_a_lost_one() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let inner = node(DAG_PB, 1, &[leaf(1).cid]);
    let root = node(DAG_CBOR, 2, &[inner.cid, leaf(2).cid]);
    put_all(&store, [&leaf(1), &leaf(2), &inner, &root]).await;
    let path = home.block(&inner.key());
    let (shard, elsewhere) = (path.parent().unwrap(), home.beside("elsewhere"));
    fs::rename(shard, &elsewhere).unwrap();
    symlink(&elsewhere, shard).unwrap();
    store.close().await.unwrap();
    let gc = Gc::new(home.store()).roots(roots([&root]));
    let error = gc.allow_missing(true).run().await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
    let store = ds_flatfs::FlatFs::options().open(home.store()).await;
    let store = store.unwrap();
    assert!(store.has(&leaf(1).key()).await.unwrap());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_block_that_cannot_be_read_again_ends_a_collection_before_anything_is_removed() {
    // Without its leaf, so that the parent is read again.
    let parent = node(DAG_PB, 1, &[leaf(1).cid]);
    let store = Faulty {
        bad_later: Some(parent.key()),
        ..Faulty::default()
    };
    put_all(&store.store, [&parent, &leaf(9)]).await;
    for allow in [false, true] {
        let gc = Gc::over(store.clone()).roots(roots([&parent]));
        let error = gc.allow_missing(allow).run().await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        assert_eq!(keys(&store.store).await.len(), 2);
    }
}

#[tokio::test]
async fn a_missing_block_whose_lookup_fails_is_reported_like_others() {
    let parent = node(DAG_PB, 1, &[leaf(1).cid, leaf(2).cid]);
    let store = Faulty {
        bad_size: Some(leaf(1).key()),
        ..Faulty::default()
    };
    put_all(&store.store, [&parent, &leaf(9)]).await;
    let gc = Gc::over(store.clone()).roots(roots([&parent]));
    let collected = gc.allow_missing(true).run().await.unwrap();
    assert_eq!((collected.missing_count, collected.removed), (2, 1));
}

#[tokio::test]
async fn roots_that_lead_to_no_block_remove_nothing_unless_that_is_asked_for() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let inline = Node {
        cid: Cid::new_v1(RAW, Multihash::wrap(0, b"inline").unwrap()),
        block: "inline".into(),
    };
    // A missing root that a block inside a CID links to as well.
    let linking = serde_ipld_dagcbor::to_vec(&leaf(4).cid).unwrap();
    let linking = Node {
        cid: Cid::new_v1(DAG_CBOR, Multihash::wrap(0, &linking).unwrap()),
        block: linking.into(),
    };
    let of_another_store = [node(DAG_PB, 1, &[leaf(1).cid]), leaf(2)];
    put_all(&store, [&leaf(3)]).await;
    for datastore in [
        Arc::new(store.clone()) as Arc<dyn Datastore>,
        Arc::new(MemoryDatastore::new()),
    ] {
        put_all(&datastore, [&leaf(3)]).await;
        let found = [
            roots([&inline]),
            roots(&of_another_store),
            roots([&leaf(4), &linking]),
        ];
        for found in found {
            let gc = Gc::over(Arc::clone(&datastore)).roots(found);
            let error = gc.allow_missing(true).run().await.unwrap_err();
            assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
            assert!(datastore.has(&leaf(3).key()).await.unwrap());
        }
    }
    let gc = Gc::open(&store).roots(roots(&of_another_store));
    let gc = gc.allow_missing(true).remove_everything(true);
    assert_eq!(gc.run().await.unwrap().removed, 1);
    store.close().await.unwrap();
}
