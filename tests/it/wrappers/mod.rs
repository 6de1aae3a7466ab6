//! The wrappers: datastores that wrap other datastores.

mod auto_batch;
mod model;
mod mount;
mod namespace;
mod pointers;
mod rigged;
#[cfg(feature = "conformance")]
mod suites;
#[cfg(feature = "verify")]
mod verifying;

use std::sync::Arc;

use ds_flatfs::{Datastore, Entry, Key, MemoryDatastore, Query, Result};
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;

/// Returns a datastore with these values.
async fn datastore_of(entries: &[(&str, &'static str)]) -> MemoryDatastore {
    let datastore = MemoryDatastore::new();
    put_all(&datastore, entries).await;
    datastore
}

async fn put_all(datastore: &dyn Datastore, entries: &[(&str, &'static str)]) {
    for &(key, value) in entries {
        datastore.put(&Key::new(key), value.into()).await.unwrap();
    }
}

/// Returns the value of a key as text.
async fn value(datastore: &dyn Datastore, key: &str) -> Option<String> {
    let value = datastore.get(&Key::new(key)).await.unwrap()?;
    Some(String::from_utf8(value.into()).unwrap())
}

/// Returns the keys that a query finds, in the order of the stream.
async fn keys(datastore: &dyn Datastore, query: Query) -> Vec<String> {
    let entries: Vec<_> = entries(datastore, query).await.unwrap();
    entries.into_iter().map(|entry| entry.key.into()).collect()
}

async fn entries(datastore: &dyn Datastore, query: Query) -> Result<Vec<Entry>> {
    datastore.query(query).await?.try_collect().await
}

/// Returns the results of `get_many` as text, and checks that `has_many` agrees.
async fn get_many_values(datastore: &dyn Datastore, keys: &[&str]) -> Vec<Option<String>> {
    let wanted = || stream::iter(keys.iter().map(Key::new)).boxed();
    let results = datastore.get_many(wanted()).enumerate();
    let values: Vec<_> = results
        .map(|(number, (key, value))| {
            assert_eq!(key, Key::new(keys[number]));
            let value = value.unwrap()?;
            Some(String::from_utf8(value.into()).unwrap())
        })
        .collect()
        .await;
    let has = datastore.has_many(wanted());
    let has: Vec<_> = has.map(|(_, has)| has.unwrap()).collect().await;
    let expected: Vec<_> = values.iter().map(Option::is_some).collect();
    assert_eq!(has, expected);
    values
}

/// Checks that the result for a key is returned before the next key is available.
async fn needs_no_later_key(datastore: &dyn Datastore, keys: &[&str]) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let wanted = stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
    let mut results = datastore.get_many(wanted);
    for key in keys {
        sender.send(Key::new(key)).unwrap();
        let (found, _) = results.next().await.unwrap();
        assert_eq!(found, Key::new(key));
    }
    drop(sender);
    assert!(results.next().await.is_none());
}

fn shared(datastore: &(impl Datastore + Clone + 'static)) -> Arc<dyn Datastore> {
    Arc::new(datastore.clone())
}
