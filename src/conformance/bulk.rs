//! Suites about calls for many keys.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::check::{equal, fill, finish, ok, start};
use super::expected::check_query;
use super::{ELEMENTS, Keys, sample};
use crate::datastore::{Datastore, KeyStream, ResultStream};
use crate::error::Error;
use crate::key::Key;
use crate::query::{Entry, Query};

/// More keys than a datastore should take before it answers the first one.
const MANY: usize = 100_000;

/// `get_many` answers each key in its order, with its value or none, also one that comes twice.
pub async fn get_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let (wanted, expected) = questions(keys, &contents);
    let found = collect(datastore.get_many(stream_of(&wanted))).await;
    check_answers(found, wanted, expected, "get_many");
    let none = collect(datastore.get_many(stream_of(&[]))).await;
    equal(none, Vec::new(), "get_many of no keys");
    check_laziness(|keys| datastore.get_many(keys), &contents).await;
    finish(datastore).await;
}

/// `has_many` answers each key in its order, also one that comes twice.
pub async fn has_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let (wanted, expected) = questions(keys, &contents);
    let expected = expected.iter().map(Option::is_some).collect();
    let found = collect(datastore.has_many(stream_of(&wanted))).await;
    check_answers(found, wanted, expected, "has_many");
    let none = collect(datastore.has_many(stream_of(&[]))).await;
    equal(none, Vec::new(), "has_many of no keys");
    check_laziness(|keys| datastore.has_many(keys), &contents).await;
    finish(datastore).await;
}

/// `put_many` stores everything, the first value of a key that comes twice, and nothing if what makes the
/// values fails.
pub async fn put_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    let puts = || contents.iter().cloned().map(pair);

    let failure = Err(Error::Backend {
        message: "no more values".into(),
        source: None,
    });
    let failing = stream::iter(puts().map(Ok).chain([failure])).boxed();
    let failed = datastore.put_many(failing).await;
    assert!(failed.is_err(), "put_many should say that its input failed");
    check_query(datastore, &[], Query::new()).await;

    let again = puts()
        .last()
        .map(|(key, _)| (key, "the second value".into()));
    let again = puts().chain(again);
    let put = datastore
        .put_many(stream::iter(again.map(Ok)).boxed())
        .await;
    ok(put, "put_many");
    check_query(datastore, &contents, Query::new()).await;

    let none = datastore.put_many(stream::empty().boxed()).await;
    ok(none, "put_many of nothing");
    check_query(datastore, &contents, Query::new()).await;
    finish(datastore).await;
}

/// `delete_many` removes the keys that there are, and no others.
pub async fn delete_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let (going, staying) = contents.split_at(contents.len() / 2);
    let mut wanted: Vec<Key> = going.iter().map(|entry| entry.key.clone()).collect();
    wanted.insert(1, keys.key("absent"));
    wanted.extend(wanted.first().cloned());
    let delete = datastore.delete_many(stream_of(&wanted)).await;
    ok(delete, "delete_many");
    check_query(datastore, staying, Query::new()).await;

    let none = datastore.delete_many(stream_of(&[])).await;
    ok(none, "delete_many of no keys");
    check_query(datastore, staying, Query::new()).await;
    finish(datastore).await;
}

/// Every entry's key twice, the first time with an absent one behind it, and the values that they have.
fn questions(keys: Keys, contents: &[Entry]) -> (Vec<Key>, Vec<Option<Bytes>>) {
    let there = |entry: &Entry| (entry.key.clone(), entry.value.clone());
    let once = contents.iter().enumerate().flat_map(|(number, entry)| {
        let absent = keys.key(&format!("absent{number}"));
        [there(entry), (absent, None)]
    });
    once.chain(contents.iter().rev().map(there)).unzip()
}

fn pair(entry: Entry) -> (Key, Bytes) {
    (entry.key, entry.value.expect("it has a value"))
}

fn stream_of(keys: &[Key]) -> KeyStream<'_> {
    stream::iter(keys.iter().cloned()).boxed()
}

async fn collect<T>(answers: ResultStream<'_, T>) -> Vec<(Key, T)> {
    let good = answers.map(|(key, answer)| {
        let answer = ok(answer, format_args!("the answer for {key}"));
        (key, answer)
    });
    good.collect().await
}

fn check_answers<T>(found: Vec<(Key, T)>, wanted: Vec<Key>, expected: Vec<T>, call: &str)
where
    T: PartialEq + Debug,
{
    equal(
        found.len(),
        wanted.len(),
        format_args!("the number of answers of {call}"),
    );
    let expected = wanted.into_iter().zip(expected);
    for (number, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        equal(
            found,
            expected,
            format_args!("answer number {number} of {call}"),
        );
    }
}

/// The first answer comes while there are keys left to take.
async fn check_laziness<'d, T>(
    ask: impl FnOnce(KeyStream<'d>) -> ResultStream<'d, T>,
    contents: &'d [Entry],
) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let keys = contents.iter().map(|entry| entry.key.clone());
    let counted = keys.cycle().take(MANY).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut answers = ask(stream::iter(counted).boxed());
    let (_, answer) = answers.next().await.expect("there are keys");
    ok(answer, "the first answer of many");
    let taken = taken.load(Ordering::SeqCst);
    assert!(
        taken < MANY,
        "all {MANY} keys were taken before the first answer"
    );
}
