//! Datastores that stand on other datastores.

mod auto_batch;
mod model;
mod mount;
mod namespace;
mod rigged;
#[cfg(feature = "conformance")]
mod suites;
#[cfg(feature = "verify")]
mod verifying;

use std::sync::Arc;

use ds_flatfs::{Datastore, Entry, Key, MemoryDatastore, Query, Result};
use futures::TryStreamExt;

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

fn shared(datastore: &(impl Datastore + Clone + 'static)) -> Arc<dyn Datastore> {
    Arc::new(datastore.clone())
}
