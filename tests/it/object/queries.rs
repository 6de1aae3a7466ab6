//! Queries of a datastore in an object store: which requests they make.

use std::sync::Arc;

use ds_flatfs::query::{Compare, Filter, Order};
use ds_flatfs::{Datastore, Entry, Error, Key, Query};
use futures::TryStreamExt;

use super::options;
use super::rigged::Rigged;

async fn query(datastore: &dyn Datastore, query: Query) -> Result<Vec<Entry>, Error> {
    datastore.query(query).await?.try_collect().await
}

#[tokio::test]
async fn only_blocks_whose_keys_pass_the_filters_are_read() {
    let store = Arc::new(Rigged::default());
    let datastore = options().open(store.clone()).await.unwrap();
    for key in ["A", "B", "C"] {
        datastore.put(&Key::new(key), "1".into()).await.unwrap();
    }
    let before = store.requests();
    let last = Query::new().filter(Filter::key(Compare::Greater, "/A"));
    let some = last.filter(Filter::value(Compare::Equal, "1"));
    assert_eq!(query(&datastore, some).await.unwrap().len(), 2);
    assert_eq!(store.requests() - before, 3, "a listing and two reads");
}

#[tokio::test]
async fn a_store_that_lists_in_order_is_believed_until_it_does_not() {
    let store = Arc::new(Rigged::default());
    let datastore = options()
        .lists_in_order(true)
        .open(store.clone())
        .await
        .unwrap();
    for key in ["B", "A"] {
        datastore.put(&Key::new(key), "1".into()).await.unwrap();
    }
    let by_key = Query::new().order(Order::by_key());
    assert_eq!(query(&datastore, by_key.clone()).await.unwrap().len(), 2);
    store.lists_backwards();
    let error = query(&datastore, by_key.clone()).await.unwrap_err();
    assert!(error.to_string().contains("wrong order"), "{error}");
    let sorting = options().open(store).await.unwrap();
    assert_eq!(query(&sorting, by_key).await.unwrap().len(), 2);
}
