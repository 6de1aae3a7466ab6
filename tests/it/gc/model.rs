//! Exactly the blocks that a model finds unreachable are removed.

use std::collections::BTreeSet;

use ds_flatfs::maintenance::{Collected, Gc};
use ds_flatfs::{Datastore, Durability, Error, FlatFs, Key, MemoryDatastore};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{keys, roots};
use crate::dags::{DAG_CBOR, DAG_JSON, DAG_PB, Node, RAW, node, put_all};

/// What the store has of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fine,
    Missing,
    Damaged,
}

/// Some DAGs, in which a node links only to nodes before it.
#[derive(Clone, Debug)]
struct Dags {
    /// The codec and the links of each node.
    nodes: Vec<(u64, Vec<usize>)>,
    states: Vec<State>,
    roots: Vec<usize>,
}

fn dags(states: impl Strategy<Value = State> + Clone) -> impl Strategy<Value = Dags> {
    let codecs = prop::sample::select(vec![RAW, RAW, DAG_PB, DAG_CBOR, DAG_JSON]);
    let nodes = prop::collection::vec((codecs, prop::collection::vec(0..40_usize, 0..8)), 1..40);
    let states = prop::collection::vec(states, 40);
    let roots = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    (nodes, states, roots).prop_map(|(mut nodes, states, roots)| {
        for (index, (_, links)) in nodes.iter_mut().enumerate() {
            links.retain(|link| *link < index);
        }
        let roots = roots.iter().map(|root| root.index(nodes.len())).collect();
        Dags {
            nodes,
            states,
            roots,
        }
    })
}

/// What a collection must find.
#[derive(Debug, Default)]
struct Expected {
    reachable: BTreeSet<usize>,
    /// The reachable blocks that are missing, and those with links that are damaged.
    missing: BTreeSet<usize>,
}

impl Dags {
    fn build(&self) -> Vec<Node> {
        let mut built: Vec<Node> = Vec::new();
        for (number, (codec, links)) in self.nodes.iter().enumerate() {
            let links: Vec<_> = links.iter().map(|link| built[*link].cid).collect();
            built.push(node(*codec, number as u64, &links));
        }
        built
    }

    fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        let mut stack = self.roots.clone();
        while let Some(number) = stack.pop() {
            if !expected.reachable.insert(number) {
                continue;
            }
            let (codec, links) = &self.nodes[number];
            let state = self.states[number];
            if *codec != RAW && state != State::Fine {
                expected.missing.insert(number);
            } else if *codec != RAW {
                stack.extend(links);
            } else if state == State::Missing {
                expected.missing.insert(number);
            }
        }
        expected
    }

    async fn fill(&self, store: &dyn Datastore, nodes: &[Node]) {
        for (node, state) in nodes.iter().zip(&self.states) {
            let block = match state {
                State::Fine => node.block.clone(),
                State::Damaged => "damaged".into(),
                State::Missing => continue,
            };
            store.put(&node.key(), block).await.unwrap();
        }
        store
            .put(&Key::new("/NOTABLOCK"), "x".into())
            .await
            .unwrap();
    }

    /// Checks what is in the store and what the collection has counted.
    fn check(
        &self,
        nodes: &[Node],
        (before, after): (BTreeSet<Key>, BTreeSet<Key>),
        collected: ds_flatfs::Result<Collected>,
        allow_missing: bool,
    ) {
        let expected = self.expected();
        if !expected.missing.is_empty() && !allow_missing {
            assert_eq!(after, before, "something was removed");
            let error = collected.unwrap_err();
            let is_right = matches!(error, Error::MissingBlock { .. } | Error::Corrupt { .. });
            assert!(is_right, "{error}");
            return;
        }
        if expected.missing == expected.reachable {
            assert_eq!(after, before, "everything was removed");
            let error = collected.unwrap_err();
            assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
            return;
        }
        let collected = collected.unwrap();
        let garbage = nodes.iter().enumerate();
        let garbage = garbage.filter(|(number, _)| !expected.reachable.contains(number));
        let garbage: BTreeSet<Key> = garbage.map(|(_, node)| node.key()).collect();
        let gone: BTreeSet<Key> = before.difference(&after).cloned().collect();
        assert_eq!(gone, garbage.intersection(&before).cloned().collect());
        assert_eq!(collected.removed, gone.len() as u64);
        assert_eq!(collected.kept + 1, after.len() as u64);
        assert_eq!(collected.foreign, 1);
        assert_eq!(collected.missing_count, expected.missing.len() as u64);
        assert_eq!(collected.missing.len(), expected.missing.len());
    }
}

async fn check_open_store(dags: &Dags, allow_missing: bool) {
    let dir = TempDir::new().unwrap();
    let options = FlatFs::options().durability(Durability::OnSync);
    let store = options.create(dir.path().join("store")).await.unwrap();
    let nodes = dags.build();
    dags.fill(&store, &nodes).await;
    let before = keys(&store).await;
    let starts: Vec<_> = dags.roots.iter().map(|root| &nodes[*root]).collect();
    let gc = || {
        Gc::open(&store)
            .roots(roots(starts.clone()))
            .allow_missing(allow_missing)
    };
    let dry = gc().dry_run(true).run().await;
    assert_eq!(keys(&store).await, before, "a dry run removed something");
    let dry = dry.map(|dry| (dry.removed, dry.removed_bytes)).ok();
    let collected = gc().run().await;
    let done = collected.as_ref();
    let done = done.map(|done| (done.removed, done.removed_bytes)).ok();
    assert_eq!(dry, done);
    dags.check(
        &nodes,
        (before, keys(&store).await),
        collected,
        allow_missing,
    );
    store.close().await.unwrap();
}

async fn check_any_datastore(dags: &Dags, allow_missing: bool) {
    let store = MemoryDatastore::new();
    let nodes = dags.build();
    dags.fill(&store, &nodes).await;
    let before = keys(&store).await;
    let starts = dags.roots.iter().map(|root| &nodes[*root]);
    let gc = Gc::over(store.clone())
        .roots(roots(starts))
        .allow_missing(allow_missing);
    let collected = gc.run().await;
    dags.check(
        &nodes,
        (before, keys(&store).await),
        collected,
        allow_missing,
    );
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).build().unwrap();
    runtime.block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn exactly_the_unreachable_blocks_are_removed(dags in dags(Just(State::Fine))) {
        run(check_open_store(&dags, false));
    }

    #[test]
    fn missing_and_damaged_blocks_stop_a_collection_or_are_listed(
        dags in dags(prop_oneof![6 => Just(State::Fine), 1 => Just(State::Missing), 1 => Just(State::Damaged)]),
        allow_missing in any::<bool>(),
    ) {
        run(check_open_store(&dags, allow_missing));
    }

    #[test]
    fn any_datastore_is_collected_alike(
        dags in dags(prop_oneof![12 => Just(State::Fine), 1 => Just(State::Missing), 1 => Just(State::Damaged)]),
        allow_missing in any::<bool>(),
    ) {
        run(check_any_datastore(&dags, allow_missing));
    }
}

#[tokio::test]
async fn an_empty_store_has_no_garbage() {
    let store = MemoryDatastore::new();
    put_all(&store, []).await;
    let gc = Gc::over(store.clone()).remove_everything(true);
    assert_eq!(gc.run().await.unwrap().removed, 0);
}
