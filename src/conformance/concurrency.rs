//! Suites about concurrent calls.

use bytes::Bytes;
use futures::future::{join, join_all, join3};

use super::check::{begin, commit, delete, finish, has_no_value, has_value, ok, put, start};
use super::expected::check_query;
use super::sample::noise;
use super::{ELEMENTS, Keys};
use crate::datastore::Datastore;
use crate::key::Key;
use crate::query::{Entry, Query};

fn many_entries(keys: Keys) -> Vec<Entry> {
    (0..ELEMENTS)
        .map(|i| {
            let value = noise(i as u64, 1_000 + i);
            Entry::with_value(keys.key(&format!("concurrent{i}")), value)
        })
        .collect()
}

/// Concurrent calls with different keys do not affect each other.
pub async fn concurrent_keys(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let entries = many_entries(keys);
    let (first, second) = entries.split_at(ELEMENTS / 2);
    let put_all = async |entries: &[Entry]| {
        let put = |entry: &Entry| {
            let Entry { key, value, .. } = entry.clone();
            async move { put(datastore, &key, value.expect("it has a value")).await }
        };
        join_all(entries.iter().map(put)).await;
    };
    let read_all = async |entries: &[Entry]| {
        let read = |entry: &Entry| {
            let Entry { key, value, .. } = entry.clone();
            let value = value.expect("it has a value");
            async move { has_value(datastore, &key, value, "other keys are in use").await }
        };
        join_all(entries.iter().map(read)).await;
    };
    let delete_all = async |entries: &[Entry]| {
        join_all(entries.iter().map(|entry| delete(datastore, &entry.key))).await;
    };
    put_all(first).await;
    join(put_all(second), read_all(first)).await;
    check_query(datastore, &entries, Query::new()).await;
    join(delete_all(first), read_all(second)).await;
    check_query(datastore, second, Query::new()).await;
    finish(datastore).await;
}

/// A read that runs concurrently with writes of its key returns one of the values as a whole, or none. After the
/// writes the key has the value of one of the puts.
pub async fn concurrent_writes_of_one_key(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let key = &keys.key("contended");
    let values: Vec<_> = (0..32).map(|i| noise(i, 500 * i as usize)).collect();
    let read = async || {
        let found = ok(datastore.get(key).await, "get of a key being written");
        check_whole(key, found, &values);
    };
    let puts = || {
        join_all(
            values
                .iter()
                .map(|value| put(datastore, key, value.clone())),
        )
    };
    let reads = || join_all(values.iter().map(|_| read()));
    let deletes = || join_all(values.iter().map(|_| delete(datastore, key)));

    join(puts(), reads()).await;
    let found = ok(datastore.get(key).await, "get of a key");
    let found = found.expect("a value after concurrent puts");
    has_value(datastore, key, &found, "after concurrent puts").await;
    check_whole(key, Some(found), &values);

    join3(puts(), deletes(), reads()).await;
    let found = ok(datastore.get(key).await, "get of a key");
    let why = "after concurrent puts and deletes";
    match &found {
        Some(found) => has_value(datastore, key, found, why).await,
        None => has_no_value(datastore, key, why).await,
    }
    check_whole(key, found, &values);
    put(datastore, key, "last").await;
    has_value(datastore, key, "last", "put after all others").await;
    finish(datastore).await;
}

fn check_whole(key: &Key, found: Option<Bytes>, values: &[Bytes]) {
    if let Some(found) = found {
        let len = found.len();
        let whole = values.contains(&found);
        assert!(whole, "{key} has a value of {len} bytes that was never put");
    }
}

/// One batch accepts concurrent puts and reads.
pub async fn concurrent_batch_puts(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let entries = many_entries(keys);
    let batch = begin(datastore).await;
    let batch_ref = &*batch;
    let put_and_read = |entry: &Entry| {
        let Entry { key, value, .. } = entry.clone();
        let value = value.expect("it has a value");
        async move {
            put(batch_ref, &key, value.clone()).await;
            has_value(batch_ref, &key, &value, "just put into the batch").await;
        }
    };
    join_all(entries.iter().map(put_and_read)).await;
    check_query(&*batch, &entries, Query::new()).await;
    commit(batch).await;
    check_query(datastore, &entries, Query::new()).await;
    finish(datastore).await;
}
