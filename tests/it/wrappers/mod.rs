//! Datastores that stand on other datastores.

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

/// A datastore with these values.
async fn holding(entries: &[(&str, &'static str)]) -> MemoryDatastore {
    let datastore = MemoryDatastore::new();
    put_all(&datastore, entries).await;
    datastore
}

async fn put_all(datastore: &dyn Datastore, entries: &[(&str, &'static str)]) {
    for &(key, value) in entries {
        datastore.put(&Key::new(key), value.into()).await.unwrap();
    }
}

/// The value of a key as text.
async fn value(datastore: &dyn Datastore, key: &str) -> Option<String> {
    let value = datastore.get(&Key::new(key)).await.unwrap()?;
    Some(String::from_utf8(value.into()).unwrap())
}

/// The keys that a query finds, as they come.
async fn keys(datastore: &dyn Datastore, query: Query) -> Vec<String> {
    let entries: Vec<_> = answer(datastore, query).await.unwrap();
    entries.into_iter().map(|entry| entry.key.into()).collect()
}

async fn answer(datastore: &dyn Datastore, query: Query) -> Result<Vec<Entry>> {
    datastore.query(query).await?.try_collect().await
}

/// What `get_many` answers, as text, after `has_many` said the same of what is there.
async fn values_of_many(datastore: &dyn Datastore, keys: &[&str]) -> Vec<Option<String>> {
    let wanted = || stream::iter(keys.iter().map(Key::new)).boxed();
    let answers = datastore.get_many(wanted()).enumerate();
    let values: Vec<_> = answers
        .map(|(number, (key, value))| {
            assert_eq!(key, Key::new(keys[number]));
            let value = value.unwrap()?;
            Some(String::from_utf8(value.into()).unwrap())
        })
        .collect()
        .await;
    let has = datastore.has_many(wanted());
    let has: Vec<_> = has.map(|(_, has)| has.unwrap()).collect().await;
    let there: Vec<_> = values.iter().map(Option::is_some).collect();
    assert_eq!(has, there);
    values
}

/// An answer comes before the key behind its own is there.
async fn answers_each_key_alone(datastore: &dyn Datastore, keys: &[&str]) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let wanted = stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
    let mut answers = datastore.get_many(wanted);
    for key in keys {
        sender.send(Key::new(key)).unwrap();
        let (found, _) = answers.next().await.unwrap();
        assert_eq!(found, Key::new(key));
    }
    drop(sender);
    assert!(answers.next().await.is_none());
}

fn shared(datastore: &(impl Datastore + Clone + 'static)) -> Arc<dyn Datastore> {
    Arc::new(datastore.clone())
}
