//! Pointers to datastores, where a datastore is asked for.

use std::sync::Arc;

use ds_flatfs::{Batch, Datastore, FlatFs, Key, Query};
use futures::stream::{self, StreamExt};

use super::rigged::Rigged;
use super::{keys, shared, value, values_of_many};
use crate::support::Home;

/// What a node may be made of that knows nothing of pointers.
async fn use_all<D: Datastore>(datastore: D, below: &Rigged) {
    let puts = [("/a", "1"), ("/b", "2")].map(|(key, value)| Ok((key.into(), value.into())));
    datastore
        .put_many(stream::iter(puts).boxed())
        .await
        .unwrap();
    let [one, two] = ["1", "2"].map(|value| Some(value.to_owned()));
    let wanted = ["/b", "/none", "/a"];
    assert_eq!(values_of_many(&datastore, &wanted).await, [two, None, one]);
    let going = stream::iter([Key::new("/a")]).boxed();
    datastore.delete_many(going).await.unwrap();
    assert_eq!(keys(&datastore, Query::new()).await, ["/b"]);
    assert_eq!(below.reads(), (0, 2), "get_many and has_many are its own");
    assert_eq!(below.writes_of_many(), 2, "and put_many and delete_many");

    let batch = datastore.batch().await.unwrap();
    fill_and_end(batch, true).await;
    let batch = datastore.batch().await.unwrap();
    fill_and_end(batch, false).await;
    assert_eq!(value(below, "/c").await.as_deref(), Some("committed"));
    datastore.close().await.unwrap();
    assert!(below.has(&Key::new("/b")).await.unwrap_err().is_closed());
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
async fn a_pointer_to_a_datastore_is_one_with_all_that_it_has_of_its_own() {
    let below = Rigged::new("below");
    use_all(shared(&below), &below).await;
    let below = Rigged::new("below");
    let boxed: Box<dyn Datastore> = Box::new(below.clone());
    use_all(boxed, &below).await;
    let below = Rigged::new("below");
    use_all(Arc::new(shared(&below)), &below).await;
}

#[tokio::test]
async fn a_store_in_an_arc_is_called_like_the_store() {
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
