//! Wrappers give the same results as a datastore in memory, for random writes and queries.

use std::collections::BTreeSet;
use std::sync::Arc;

use ds_flatfs::query::{Compare, Filter, Order};
use ds_flatfs::wrappers::{AutoBatch, Mount, Namespace};
use ds_flatfs::{Batch, Datastore, Entry, EntryStream, Key, MemoryDatastore, Query};
use futures::StreamExt;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::platform::repetitions;

const KEYS: [&str; 9] = [
    "/", "/a", "/a/b", "/a/b/c", "/a/bb", "/ab", "/ab/c", "/b", "/b/a",
];

/// A put, or a delete if there is no value.
type Write = (&'static str, Option<&'static str>);

#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    Ask(Query),
    Batch {
        before: Vec<Write>,
        meanwhile: Vec<Write>,
        ask: Query,
        commit: bool,
    },
}

fn any_write() -> impl Strategy<Value = Write> {
    let value = prop::option::weighted(0.8, select(vec!["", "x", "y", "yy", "z"]));
    (select(KEYS.to_vec()), value)
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let compare = select(vec![
        Compare::Equal,
        Compare::NotEqual,
        Compare::Less,
        Compare::LessOrEqual,
        Compare::Greater,
        Compare::GreaterOrEqual,
    ]);
    prop_oneof![
        (compare.clone(), select(KEYS.to_vec())).prop_map(|(how, key)| Filter::key(how, key)),
        (compare, select(vec!["x", "y"])).prop_map(|(how, value)| Filter::value(how, value)),
        select(vec!["/", "/a", "/a/", "/b"]).prop_map(Filter::key_prefix),
        Just(Filter::custom(|entry| entry.key.namespaces().count() == 2)),
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    let order = prop_oneof![
        Just(Order::by_key()),
        Just(Order::by_value()),
        Just(Order::custom(|a, b| a
            .key
            .base_namespace()
            .cmp(b.key.base_namespace()))),
    ];
    (order, any::<bool>()).prop_map(|(order, down)| if down { order.descending() } else { order })
}

fn any_query() -> impl Strategy<Value = Query> {
    (
        select(vec!["/", "/", "/a", "/a/b", "/b", "/ab"]),
        prop::collection::vec(any_filter(), 0..2),
        prop::collection::vec(any_order(), 0..3),
        prop_oneof![Just(0), 0_usize..4],
        prop::option::of(0_usize..5),
        any::<(bool, bool)>(),
    )
        .prop_map(|(prefix, filters, orders, offset, limit, (keys, sizes))| {
            let query = Query::new().prefix(prefix).offset(offset);
            let query = filters.into_iter().fold(query, Query::filter);
            let mut query = orders.into_iter().fold(query, Query::order);
            query.limit = limit;
            query.keys_only = keys;
            query.returns_sizes = sizes;
            query
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    let writes = || prop::collection::vec(any_write(), 0..5);
    prop_oneof![
        4 => any_write().prop_map(Step::Write),
        2 => any_query().prop_map(Step::Ask),
        1 => (writes(), writes(), any_query(), any::<bool>()).prop_map(
            |(before, meanwhile, ask, commit)| Step::Batch { before, meanwhile, ask, commit },
        ),
    ]
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 0..20)
}

async fn write(datastore: &dyn Datastore, (key, value): Write) {
    let key = Key::new(key);
    match value {
        Some(value) => datastore.put(&key, value.into()).await.unwrap(),
        None => datastore.delete(&key).await.unwrap(),
    }
}

async fn write_to_batch(batch: &dyn Batch, (key, value): Write) {
    let key = Key::new(key);
    match value {
        Some(value) => batch.put(&key, value.into()).await.unwrap(),
        None => batch.delete(&key).await.unwrap(),
    }
}

async fn all(entries: EntryStream) -> Vec<Entry> {
    entries.map(Result::unwrap).collect().await
}

/// Checks that both datastores return the same entries. Without an order, checks that they return the same number of
/// entries, each of which is among the results without offset and limit.
async fn check(query: &Query, ask: impl AsyncFn(Query) -> [EntryStream; 2]) {
    let [found, expected] = ask(query.clone()).await;
    let (found, expected) = (all(found).await, all(expected).await);
    if !query.orders.is_empty() {
        assert_eq!(found, expected, "{query}");
        return;
    }
    assert_eq!(found.len(), expected.len(), "{query}");
    let mut whole = query.clone().offset(0);
    whole.limit = None;
    let [_, whole] = ask(whole).await;
    let whole = all(whole).await;
    assert!(
        found.iter().all(|entry| whole.contains(entry)),
        "{query}: {found:?}"
    );
    let keys: BTreeSet<_> = found.iter().map(|entry| &entry.key).collect();
    assert_eq!(keys.len(), found.len(), "each key once: {query}");
}

async fn run_steps(subject: &dyn Datastore, steps: Vec<Step>) {
    let model = MemoryDatastore::new();
    let both: [&dyn Datastore; 2] = [subject, &model];
    for step in steps {
        match step {
            Step::Write(put) => {
                for datastore in both {
                    write(datastore, put).await;
                }
            }
            Step::Ask(query) => {
                check(&query, async |query| {
                    [
                        subject.query(query.clone()).await.unwrap(),
                        model.query(query).await.unwrap(),
                    ]
                })
                .await;
            }
            Step::Batch {
                before,
                meanwhile,
                ask,
                commit,
            } => {
                let batches = [subject.batch().await.unwrap(), model.batch().await.unwrap()];
                for (batch, datastore) in batches.iter().zip(both) {
                    for put in &before {
                        write_to_batch(&**batch, *put).await;
                    }
                    for put in &meanwhile {
                        write(datastore, *put).await;
                    }
                }
                let [batch, expected] = &batches;
                check(&ask, async |query| {
                    [
                        batch.query(query.clone()).await.unwrap(),
                        expected.query(query).await.unwrap(),
                    ]
                })
                .await;
                for key in KEYS.map(Key::new) {
                    let [found, expected] = [batch, expected].map(|batch| batch.get(&key));
                    assert_eq!(found.await.unwrap(), expected.await.unwrap(), "{key}");
                }
                for batch in batches {
                    let end = if commit {
                        batch.commit()
                    } else {
                        batch.discard()
                    };
                    end.await.unwrap();
                }
            }
        }
        for key in KEYS.map(Key::new) {
            let expected = model.get(&key).await.unwrap();
            assert_eq!(
                subject.get_size(&key).await.unwrap(),
                model.get_size(&key).await.unwrap()
            );
            assert_eq!(subject.has(&key).await.unwrap(), expected.is_some());
            assert_eq!(subject.get(&key).await.unwrap(), expected, "{key}");
        }
    }
}

fn run(steps: Vec<Step>, subject: impl Future<Output = Arc<dyn Datastore>>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(async { run_steps(&*subject.await, steps).await });
}

/// Returns a mount with `/` and these prefixes. Each datastore has values below other mounts, which must stay hidden.
async fn mount(prefixes: Vec<&'static str>) -> Arc<dyn Datastore> {
    let mut prefixes = prefixes;
    prefixes.push("/");
    let mut builder = Mount::builder();
    for prefix in &prefixes {
        let datastore = MemoryDatastore::new();
        let above = Key::new(prefix);
        for key in KEYS.map(Key::new) {
            let belongs_to = |prefix: &&&str| key.strip_prefix(&Key::new(prefix)).is_some();
            let longest = prefixes
                .iter()
                .filter(belongs_to)
                .max_by_key(|prefix| prefix.len());
            if let Some(below) = key.strip_prefix(&above)
                && longest != Some(prefix)
            {
                datastore.put(&below, "hidden".into()).await.unwrap();
            }
        }
        builder = builder.mount(prefix, Arc::new(datastore));
    }
    Arc::new(builder.build().unwrap())
}

/// Returns a datastore with values everywhere except below `/a/n`.
async fn around_a_namespace() -> Arc<dyn Datastore> {
    let inner = MemoryDatastore::new();
    for key in ["/", "/a", "/a/n2", "/a/n2/b", "/a/m", "/n", "/z/a/n"] {
        inner.put(&Key::new(key), "outside".into()).await.unwrap();
    }
    Arc::new(inner)
}

fn any_mounts() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(vec!["/b", "/a/b", "/ab", "/a", "/a/b/c"], 0..=5).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: repetitions(200),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_mount_behaves_as_one_datastore(steps in any_steps(), prefixes in any_mounts()) {
        run(steps, mount(prefixes));
    }

    #[test]
    fn a_namespace_behaves_as_a_datastore_of_its_own(steps in any_steps()) {
        run(steps, async {
            Arc::new(Namespace::new(around_a_namespace().await, "/a/n")) as Arc<dyn Datastore>
        });
    }

    #[test]
    fn an_auto_batch_behaves_as_a_datastore_that_writes_at_once(
        steps in any_steps(),
        writes in 0_usize..6,
        bytes in 1_usize..5,
    ) {
        let inner = Arc::new(MemoryDatastore::new());
        let subject = AutoBatch::new(inner).max_writes(writes).max_bytes(bytes);
        run(steps, async { Arc::new(subject) as Arc<dyn Datastore> });
    }

    #[test]
    fn nested_wrappers_behave_as_one_datastore(steps in any_steps()) {
        run(steps, async {
            let inner = Namespace::new(around_a_namespace().await, "/a/n");
            let blocks = AutoBatch::new(Arc::new(inner)).max_writes(3);
            let mount = Mount::builder()
                .mount("/top/a", Arc::new(blocks))
                .mount("/", Arc::new(MemoryDatastore::new()));
            Arc::new(Namespace::new(Arc::new(mount.build().unwrap()), "/top")) as Arc<dyn Datastore>
        });
    }
}
