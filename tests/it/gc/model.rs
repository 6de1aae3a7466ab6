//! Exactly the blocks that a model finds unreachable are removed.

use std::collections::BTreeSet;

use ds_flatfs::cid::Cid;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::maintenance::{Collected, Gc};
use ds_flatfs::{Datastore, Durability, Error, FlatFs, Key, MemoryDatastore};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{keys, roots};
use crate::dags::{DAG_CBOR, DAG_JSON, DAG_PB, Node, RAW, node, put_all};
use crate::platform::repetitions;

/// What the store has of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fine,
    Missing,
    Damaged,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A block of this codec.
    Block(u64),
    /// A block of dag-pb, to which other nodes link by both versions of its CID.
    BothVersions,
    /// A block with at most one link, which is contained in its CID.
    Inline,
    /// A block of dag-cbor whose hash function is unknown.
    Unchecked,
}

impl Kind {
    /// Returns whether the node has no links.
    fn is_leaf(self) -> bool {
        self == Kind::Block(RAW)
    }

    /// Returns a node of this kind.
    fn node(self, number: u64, links: &[Cid]) -> Node {
        match self {
            Kind::Block(codec) => node(codec, number, links),
            Kind::BothVersions => node(DAG_PB, number, links),
            Kind::Inline => {
                let block = match links {
                    [link] => serde_ipld_dagcbor::to_vec(link).unwrap(),
                    _ => serde_ipld_dagcbor::to_vec(&number).unwrap(),
                };
                let hash = Multihash::wrap(0, &block).unwrap();
                let cid = Cid::new_v1(DAG_CBOR, hash);
                let block = block.into();
                Node { cid, block }
            }
            Kind::Unchecked => {
                let Node { cid, block } = node(DAG_CBOR, number, links);
                let hash = Multihash::wrap(0x9000, cid.hash().digest()).unwrap();
                let cid = Cid::new_v1(DAG_CBOR, hash);
                Node { cid, block }
            }
        }
    }
}

/// Some DAGs, in which a node links only to nodes before it.
#[derive(Clone, Debug)]
struct Dags {
    /// The kind and the links of each node.
    nodes: Vec<(Kind, Vec<usize>)>,
    states: Vec<State>,
    roots: Vec<usize>,
}

fn dags(states: impl Strategy<Value = State> + Clone) -> impl Strategy<Value = Dags> {
    let kinds = prop::sample::select(vec![
        Kind::Block(RAW),
        Kind::Block(RAW),
        Kind::Block(DAG_PB),
        Kind::Block(DAG_CBOR),
        Kind::Block(DAG_JSON),
        Kind::BothVersions,
        Kind::Inline,
        Kind::Unchecked,
    ]);
    let nodes = prop::collection::vec((kinds, prop::collection::vec(0..40_usize, 0..8)), 1..40);
    let states = prop::collection::vec(states, 40);
    let roots = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    (nodes, states, roots).prop_map(|(mut nodes, mut states, roots)| {
        let kinds: Vec<Kind> = nodes.iter().map(|(kind, _)| *kind).collect();
        for (index, (kind, links)) in nodes.iter_mut().enumerate() {
            links.retain(|link| *link < index);
            if *kind == Kind::Inline {
                // There is no room for more, nor for a CID that contains a block.
                links.truncate(1);
                links.retain(|link| kinds[*link] != Kind::Inline);
                states[index] = State::Fine;
            }
            if *kind == Kind::Unchecked && states[index] == State::Damaged {
                states[index] = State::Fine;
            }
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
        for (number, (kind, links)) in self.nodes.iter().enumerate() {
            let links = links.iter().map(|link| {
                let cid = built[*link].cid;
                match self.nodes[*link].0 == Kind::BothVersions && number % 2 == 0 {
                    true => Cid::new_v0(*cid.hash()).unwrap(),
                    false => cid,
                }
            });
            let links: Vec<Cid> = links.collect();
            built.push(kind.node(number as u64, &links));
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
            let (kind, links) = &self.nodes[number];
            let state = self.states[number];
            if !kind.is_leaf() && state != State::Fine {
                expected.missing.insert(number);
            } else if !kind.is_leaf() {
                stack.extend(links);
            } else if state == State::Missing {
                expected.missing.insert(number);
            }
        }
        expected
    }

    async fn fill(&self, store: &dyn Datastore, nodes: &[Node]) {
        for (number, node) in nodes.iter().enumerate() {
            if self.nodes[number].0 == Kind::Inline {
                continue;
            }
            let block = match self.states[number] {
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
        let mut stored = expected.reachable.iter();
        if stored.all(|number| {
            self.nodes[*number].0 == Kind::Inline || expected.missing.contains(number)
        }) {
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
        let is_unchecked = |number: &&usize| {
            self.nodes[**number].0 == Kind::Unchecked && !expected.missing.contains(*number)
        };
        let unchecked = expected.reachable.iter().filter(is_unchecked).count();
        assert_eq!(collected.unchecked, unchecked as u64);
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(repetitions(100)) })]

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
