//! Reports about DAGs.

use std::collections::{BTreeMap, BTreeSet};

use ds_flatfs::cid::Cid;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::dag::{DagReport, Inspect};
use ds_flatfs::{Datastore, Durability, Error, FlatFs, MemoryDatastore};
use proptest::prelude::*;

use crate::dags::{DAG_CBOR, DAG_PB, Node, RAW, leaf, node, of_codec, put_all, with_digest_of};
use crate::support::Home;

#[tokio::test]
async fn a_report_counts_blocks_bytes_and_levels_and_what_roots_share() {
    let store = MemoryDatastore::new();
    let shared = node(DAG_CBOR, 1, &[leaf(1).cid, leaf(2).cid]);
    let one = node(
        DAG_PB,
        2,
        &[shared.cid, leaf(1).cid, leaf(3).cid, leaf(3).cid],
    );
    let nodes = [leaf(1), leaf(2), leaf(3), shared.clone(), one.clone()];
    put_all(&store, &nodes).await;
    let reports = Inspect::new(&store)
        .run(&[one.cid, shared.cid])
        .await
        .unwrap();
    let bytes = |nodes: &[Node]| {
        nodes
            .iter()
            .map(|node| node.block.len() as u64)
            .sum::<u64>()
    };
    let counts = |index: usize| {
        let dag = &reports[index];
        assert!(dag.is_complete());
        (dag.blocks, dag.bytes, dag.depth, dag.unique, dag.shared)
    };
    assert_eq!(counts(0), (5, bytes(&nodes), 2, 2, 3));
    let below = [leaf(1), leaf(2), shared];
    assert_eq!(counts(1), (3, bytes(&below), 1, 0, 3));
}

#[tokio::test]
async fn bad_blocks_are_listed_with_the_path_of_links_to_them() {
    let store = MemoryDatastore::new();
    let damaged = node(DAG_CBOR, 1, &[leaf(9).cid]);
    let middle = node(DAG_CBOR, 2, &[leaf(1).cid, damaged.cid, leaf(2).cid]);
    let root = node(DAG_PB, 3, &[middle.cid]);
    put_all(&store, [&leaf(2), &middle, &root]).await;
    store.put(&damaged.key(), "other".into()).await.unwrap();
    store.put(&leaf(2).key(), "other".into()).await.unwrap();
    for (check_hashes, expected) in [(false, 2), (true, 3)] {
        let inspect = Inspect::new(&store).check_hashes(check_hashes);
        let report = inspect.run(&[root.cid]).await.unwrap().remove(0);
        assert_eq!(report.bad_count, expected);
        let bad: BTreeMap<_, _> = report.bad.iter().map(|bad| (bad.cid, bad)).collect();
        let path = vec![root.cid, middle.cid];
        assert!(bad.values().all(|bad| bad.path == path));
        assert!(matches!(
            bad[&leaf(1).cid].error,
            Error::MissingBlock { .. }
        ));
        assert!(matches!(bad[&damaged.cid].error, Error::Corrupt { .. }));
        assert_eq!(bad.contains_key(&leaf(2).cid), check_hashes);
    }
}

#[tokio::test]
async fn a_block_with_the_same_digest_does_not_pass_for_one_that_is_missing() {
    for other in with_digest_of(&leaf(1)) {
        for links in [[other.cid, leaf(1).cid], [leaf(1).cid, other.cid]] {
            let root = node(DAG_PB, 1, &links);
            for report in inspect(&[&other, &root], root.cid).await {
                let bad: Vec<Cid> = report.bad.iter().map(|bad| bad.cid).collect();
                assert_eq!(bad, [leaf(1).cid]);
            }
        }
    }
}

#[tokio::test]
async fn an_empty_file_is_a_damaged_block_unless_its_digest_is_that_of_no_bytes() {
    let empty = of_codec(RAW, Vec::new());
    let unknown = Node {
        cid: Cid::new_v1(RAW, Multihash::wrap(0x9000, &[1; 32]).unwrap()),
        ..empty.clone()
    };
    let emptied = Node {
        block: empty.block.clone(),
        ..leaf(1)
    };
    let inline = Cid::new_v1(RAW, Multihash::wrap(0, &[]).unwrap());
    let root = node(DAG_CBOR, 1, &[empty.cid, unknown.cid, emptied.cid, inline]);
    for report in inspect(&[&empty, &unknown, &emptied, &root], root.cid).await {
        assert_eq!((report.blocks, report.bad_count), (3, 1));
        assert_eq!(report.bad[0].cid, emptied.cid);
        assert!(matches!(report.bad[0].error, Error::Corrupt { .. }));
    }
}

#[tokio::test]
async fn a_missing_root_has_no_path() {
    let store = MemoryDatastore::new();
    for root in [leaf(1), node(DAG_PB, 1, &[])] {
        let report = Inspect::new(&store)
            .run(&[root.cid])
            .await
            .unwrap()
            .remove(0);
        assert_eq!((report.blocks, report.bad_count), (0, 1));
        assert!(report.bad[0].path.is_empty());
    }
}

#[tokio::test]
async fn the_path_in_a_deep_chain_has_the_root_and_the_last_blocks() {
    let store = MemoryDatastore::new();
    let mut chain = vec![leaf(0)];
    for number in 1..10_000 {
        let below = chain.last().unwrap().cid;
        chain.push(node(DAG_CBOR, number, &[below]));
    }
    put_all(&store, &chain[1..]).await;
    let root = chain.last().unwrap().cid;
    let report = Inspect::new(&store).run(&[root]).await.unwrap().remove(0);
    assert_eq!((report.blocks, report.depth), (9_999, 9_998));
    let path = &report.bad[0].path;
    assert_eq!((path.len(), path[0], path[63]), (64, root, chain[1].cid));
}

#[tokio::test]
async fn a_block_under_two_codecs_is_counted_once() {
    let store = MemoryDatastore::new();
    let inner = node(DAG_CBOR, 1, &[leaf(1).cid]);
    let as_raw = Cid::new_v1(RAW, *inner.cid.hash());
    // As a raw block it is visited before the other one, after it, and on the same level.
    let below = node(DAG_CBOR, 2, &[as_raw]);
    let above = node(DAG_CBOR, 3, &[inner.cid]);
    for links in [
        vec![as_raw, above.cid],
        vec![inner.cid, below.cid],
        vec![as_raw, inner.cid],
    ] {
        let root = node(DAG_PB, 4, &links);
        let nodes = [
            leaf(1),
            inner.clone(),
            below.clone(),
            above.clone(),
            root.clone(),
        ];
        put_all(&store, &nodes).await;
        let report = Inspect::new(&store)
            .run(&[root.cid])
            .await
            .unwrap()
            .remove(0);
        let blocks = links.iter().map(|cid| cid.hash()).collect::<BTreeSet<_>>();
        let middle = [&below, &above].map(|node| (blocks.contains(node.cid.hash()), node));
        let middle = middle.into_iter().filter(|(is_in, _)| *is_in);
        let expected: Vec<&Node> = middle
            .map(|(_, node)| node)
            .chain([&root, &inner, &nodes[0]])
            .collect();
        let bytes: usize = expected.iter().map(|node| node.block.len()).sum();
        assert_eq!(
            (report.blocks, report.bytes),
            (expected.len() as u64, bytes as u64)
        );
        assert!(report.is_complete());
    }
}

#[tokio::test]
async fn blocks_of_unknown_hash_functions_are_counted() {
    let store = MemoryDatastore::new();
    let unknown = |codec, number| {
        let hash = Multihash::wrap(0x9000, &[number; 32]).unwrap();
        (
            Cid::new_v1(codec, hash),
            node(DAG_CBOR, number.into(), &[]).block,
        )
    };
    let (inner, raw) = (unknown(DAG_CBOR, 1), unknown(RAW, 2));
    let root = node(DAG_PB, 3, &[inner.0, raw.0]);
    let nodes = [inner, raw].map(|(cid, block)| Node { cid, block });
    put_all(&store, nodes.iter().chain([&root])).await;
    for (check_hashes, expected) in [(false, 1), (true, 2)] {
        let inspect = Inspect::new(&store).check_hashes(check_hashes);
        let report = inspect.run(&[root.cid]).await.unwrap().remove(0);
        assert_eq!((report.blocks, report.unchecked), (3, expected));
        assert!(report.is_complete());
    }
}

/// Inspects a DAG in a store on disk and in memory, which read in different ways.
async fn inspect(nodes: &[&Node], root: Cid) -> [DagReport; 2] {
    let memory = MemoryDatastore::new();
    put_all(&memory, nodes.iter().copied()).await;
    let home = Home::new();
    let options = FlatFs::options().durability(Durability::OnSync);
    let disk = options.create(home.store()).await.unwrap();
    put_all(&disk, nodes.iter().copied()).await;
    let in_memory = Inspect::new(&memory).run(&[root]).await.unwrap().remove(0);
    let on_disk = Inspect::new(&disk).run(&[root]).await.unwrap().remove(0);
    disk.close().await.unwrap();
    [in_memory, on_disk]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In the model, the distance of each block is found by repeated relaxation.
    #[test]
    fn counts_are_those_of_a_model(
        links in prop::collection::vec(prop::collection::vec(0_usize..20, 0..5), 1..20),
        missing in prop::collection::btree_set(0_usize..20, 0..4),
    ) {
        let mut nodes: Vec<Node> = Vec::new();
        let mut below: Vec<Vec<usize>> = Vec::new();
        for (number, links) in links.iter().enumerate() {
            let links: Vec<usize> = links.iter().copied().filter(|link| *link < number).collect();
            let codec = if links.is_empty() { RAW } else { DAG_CBOR };
            let cids: Vec<_> = links.iter().map(|link| nodes[*link].cid).collect();
            nodes.push(node(codec, number as u64, &cids));
            below.push(links);
        }
        let mut distances = BTreeMap::from([(nodes.len() - 1, 0_u64)]);
        for number in (0..nodes.len()).rev() {
            let Some(distance) = distances.get(&number).copied() else { continue };
            if !missing.contains(&number) {
                for link in &below[number] {
                    let known = distances.entry(*link).or_insert(distance + 1);
                    *known = (*known).min(distance + 1);
                }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let present = nodes.iter().enumerate().filter(|(number, _)| !missing.contains(number));
        let present: Vec<&Node> = present.map(|(_, node)| node).collect();
        let root = nodes.last().unwrap().cid;
        let reports = runtime.block_on(inspect(&present, root));
        let present = distances.iter().filter(|(number, _)| !missing.contains(number));
        let depth = present.clone().map(|(_, distance)| *distance).max().unwrap_or(0);
        let present = present.count() as u64;
        let bad = distances.keys().filter(|number| missing.contains(number)).count();
        for report in reports {
            prop_assert_eq!((report.blocks, report.depth), (present, depth));
            prop_assert_eq!(report.bad_count, bad as u64);
        }
    }
}
