//! `Arc` and `Box` of datastores where a datastore is expected.

use std::sync::Arc;

use ds_flatfs::{Batch, Datastore, FlatFs, Key, Query};
use futures::stream::{self, StreamExt};

use super::rigged::Rigged;
use super::{get_many_values, keys, shared, value};
use crate::support::Home;

/// Uses all methods, as generic code does that does not know about pointers.
async fn use_all<D: Datastore>(datastore: D, inner: &Rigged) {
    let puts = [("/a", "1"), ("/b", "2")].map(|(key, value)| Ok((key.into(), value.into())));
    datastore
        .put_many(stream::iter(puts).boxed())
        .await
        .unwrap();
    let [one, two] = ["1", "2"].map(|value| Some(value.to_owned()));
    let wanted = ["/b", "/none", "/a"];
    assert_eq!(get_many_values(&datastore, &wanted).await, [two, None, one]);
    let deleted = stream::iter([Key::new("/a")]).boxed();
    datastore.delete_many(deleted).await.unwrap();
    assert_eq!(keys(&datastore, Query::new()).await, ["/b"]);
    assert_eq!(inner.reads(), (0, 2), "get_many and has_many are forwarded");
    assert_eq!(
        inner.bulk_writes(),
        2,
        "put_many and delete_many are forwarded"
    );

    let batch = datastore.batch().await.unwrap();
    fill_and_end(batch, true).await;
    let batch = datastore.batch().await.unwrap();
    fill_and_end(batch, false).await;
    assert_eq!(value(inner, "/c").await.as_deref(), Some("committed"));
    datastore.close().await.unwrap();
    assert!(inner.has(&Key::new("/b")).await.unwrap_err().is_closed());
}

async fn fill_and_end<B: Batch>(batch: B, commit: bool) {
    let key = Key::new("/c");
    let value = if commit { "committed" } else { "discarded" };
    batch.put(&key, value.into()).await.unwrap();
    assert_eq!(batch.get(&key).await.unwrap().unwrap(), value);
    let batch = Box::new(batch);
    if commit {
        batch.commit().await.unwrap();
    } else {
        batch.discard().await.unwrap();
    }
}

#[tokio::test]
async fn a_pointer_to_a_datastore_forwards_every_method() {
    let inner = Rigged::new("inner");
    use_all(shared(&inner), &inner).await;
    let inner = Rigged::new("inner");
    let boxed: Box<dyn Datastore> = Box::new(inner.clone());
    use_all(boxed, &inner).await;
    let inner = Rigged::new("inner");
    use_all(Arc::new(shared(&inner)), &inner).await;
}

#[tokio::test]
async fn a_store_in_an_arc_is_used_like_the_store() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let store: Arc<FlatFs> = Arc::new(store);
    let key = Key::new("/KEY");
    store.put(&key, "value".into()).await.unwrap();
    let batch = store.batch().await.unwrap();
    assert_eq!(batch.get(&key).await.unwrap().unwrap(), "value");
    batch.delete(&key).await.unwrap();
    batch.commit().await.unwrap();
    assert_eq!(value(&store, "/KEY").await, None);
    assert!(
        store
            .query(Query::new())
            .await
            .unwrap()
            .next()
            .await
            .is_none()
    );
    store.close().await.unwrap();
}
