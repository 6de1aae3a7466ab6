//! Suites about bulk reads and writes.

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

/// More keys than a datastore may take before it returns the first result.
const MANY: usize = 100_000;

/// `get_many` returns a result for each key, in the order of the keys, even for a key that occurs twice.
pub async fn get_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let (wanted, expected) = lookups(keys, &contents);
    let found = collect(datastore.get_many(stream_of(&wanted))).await;
    check_results(found, wanted, expected, "get_many");
    let none = collect(datastore.get_many(stream_of(&[]))).await;
    equal(none, Vec::new(), "get_many of no keys");
    check_laziness(|keys| datastore.get_many(keys), &contents).await;
    finish(datastore).await;
}

/// `has_many` returns a result for each key, in the order of the keys, even for a key that occurs twice.
pub async fn has_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let (wanted, expected) = lookups(keys, &contents);
    let expected = expected.iter().map(Option::is_some).collect();
    let found = collect(datastore.has_many(stream_of(&wanted))).await;
    check_results(found, wanted, expected, "has_many");
    let none = collect(datastore.has_many(stream_of(&[]))).await;
    equal(none, Vec::new(), "has_many of no keys");
    check_laziness(|keys| datastore.has_many(keys), &contents).await;
    finish(datastore).await;
}

/// `put_many` stores all values, or none if the source of the values fails. If a key occurs twice, the value that
/// takes effect is the same as in a batch.
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
    assert!(failed.is_err(), "put_many should fail if its input fails");
    check_query(datastore, &[], Query::new()).await;

    let (key, value) = puts().last().expect("there are entries");
    let earlier = Bytes::from_static(b"the other value");
    let later = (key.clone(), keys.effective(earlier.clone(), value.clone()));
    let first = (key, keys.effective(value, earlier));
    let others = puts().take(contents.len() - 1);
    let all = [first].into_iter().chain(others).chain([later]).map(Ok);
    let put = datastore.put_many(stream::iter(all).boxed()).await;
    ok(put, "put_many");
    check_query(datastore, &contents, Query::new()).await;

    let none = datastore.put_many(stream::empty().boxed()).await;
    ok(none, "put_many of nothing");
    check_query(datastore, &contents, Query::new()).await;
    finish(datastore).await;
}

/// `delete_many` deletes the keys that have a value, and no others.
pub async fn delete_many(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let (deleted, remaining) = contents.split_at(contents.len() / 2);
    let mut wanted: Vec<Key> = deleted.iter().map(|entry| entry.key.clone()).collect();
    wanted.insert(1, keys.key("absent"));
    wanted.extend(wanted.first().cloned());
    let delete = datastore.delete_many(stream_of(&wanted)).await;
    ok(delete, "delete_many");
    check_query(datastore, remaining, Query::new()).await;

    let none = datastore.delete_many(stream_of(&[])).await;
    ok(none, "delete_many of no keys");
    check_query(datastore, remaining, Query::new()).await;
    finish(datastore).await;
}

/// Returns the keys to read and their values: the key of each entry twice, the first time followed by a key without
/// a value.
fn lookups(keys: Keys, contents: &[Entry]) -> (Vec<Key>, Vec<Option<Bytes>>) {
    let found = |entry: &Entry| (entry.key.clone(), entry.value.clone());
    let once = contents.iter().enumerate().flat_map(|(number, entry)| {
        let absent = keys.key(&format!("absent{number}"));
        [found(entry), (absent, None)]
    });
    once.chain(contents.iter().rev().map(found)).unzip()
}

fn pair(entry: Entry) -> (Key, Bytes) {
    (entry.key, entry.value.expect("it has a value"))
}

fn stream_of(keys: &[Key]) -> KeyStream<'_> {
    stream::iter(keys.iter().cloned()).boxed()
}

async fn collect<T>(results: ResultStream<'_, T>) -> Vec<(Key, T)> {
    let values = results.map(|(key, result)| {
        let value = ok(result, format_args!("the result for {key}"));
        (key, value)
    });
    values.collect().await
}

fn check_results<T>(found: Vec<(Key, T)>, wanted: Vec<Key>, expected: Vec<T>, call: &str)
where
    T: PartialEq + Debug,
{
    equal(
        found.len(),
        wanted.len(),
        format_args!("the number of results of {call}"),
    );
    let expected = wanted.into_iter().zip(expected);
    for (number, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        equal(
            found,
            expected,
            format_args!("result number {number} of {call}"),
        );
    }
}

/// Checks that the first result is returned before all keys have been taken.
async fn check_laziness<'d, T>(
    read: impl FnOnce(KeyStream<'d>) -> ResultStream<'d, T>,
    contents: &'d [Entry],
) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let keys = contents.iter().map(|entry| entry.key.clone());
    let counted = keys.cycle().take(MANY).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut results = read(stream::iter(counted).boxed());
    let (_, first) = results.next().await.expect("there are keys");
    ok(first, "the first of many results");
    let taken = taken.load(Ordering::SeqCst);
    assert!(
        taken < MANY,
        "all {MANY} keys were taken before the first result"
    );
}
