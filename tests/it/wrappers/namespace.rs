//! [`Namespace`]: the part of a datastore below a prefix.

use ds_flatfs::query::{Filter, Order};
use ds_flatfs::wrappers::Namespace;
use ds_flatfs::{Datastore, Key, Query};

use super::{datastore_of, entries, keys, put_all, shared, value};
use crate::support::{Home, assert_clear};

#[tokio::test]
async fn the_prefix_is_added_to_keys_and_removed_from_results() {
    let inner = datastore_of(&[("/outside", "0"), ("/ns2/a", "0")]).await;
    let namespace = Namespace::new(shared(&inner), "/ns");
    put_all(&namespace, &[("/a", "1"), ("/a/b", "2")]).await;
    assert_eq!(value(&inner, "/ns/a/b").await.as_deref(), Some("2"));
    assert_eq!(value(&namespace, "/outside").await, None);
    assert_eq!(keys(&namespace, Query::new()).await, ["/a", "/a/b"]);
    assert_eq!(keys(&namespace, Query::new().prefix("/a")).await, ["/a/b"]);
    namespace.delete(&Key::new("/a")).await.unwrap();
    assert_eq!(value(&inner, "/ns/a").await, None);
}

#[tokio::test]
async fn the_prefix_itself_is_the_root_of_the_namespace() {
    let inner = datastore_of(&[("/ns", "root"), ("/ns/a", "1")]).await;
    let namespace = Namespace::new(shared(&inner), "/ns");
    assert_eq!(value(&namespace, "/").await.as_deref(), Some("root"));
    let sorted = Query::new().order(Order::by_key());
    assert_eq!(keys(&namespace, sorted.clone()).await, ["/", "/a"]);
    assert_eq!(keys(&namespace, sorted.offset(1)).await, ["/a"]);
}

#[tokio::test]
async fn custom_filters_and_orders_see_the_keys_of_the_namespace() {
    let inner = datastore_of(&[("/long/a", "1"), ("/long/bb", "2"), ("/long/c", "3")]).await;
    let namespace = Namespace::new(shared(&inner), "/long");
    let long = Filter::custom(|entry| entry.key.as_str().len() == 2);
    let last = Order::custom(|a, b| b.key.as_str().cmp(a.key.as_str()));
    let query = Query::new().filter(long).order(last);
    assert_eq!(keys(&namespace, query).await, ["/c", "/a"]);
}

#[tokio::test]
async fn a_batch_writes_below_the_prefix() {
    let inner = datastore_of(&[("/ns/old", "old"), ("/old", "outside")]).await;
    let namespace = Namespace::new(shared(&inner), "/ns");
    let batch = namespace.batch().await.unwrap();
    batch.delete(&Key::new("/old")).await.unwrap();
    batch.put(&Key::new("/new"), "new".into()).await.unwrap();
    batch.commit().await.unwrap();
    let sorted = Query::new().order(Order::by_key());
    assert_eq!(keys(&inner, sorted).await, ["/ns/new", "/old"]);
}

#[tokio::test]
async fn an_error_names_the_key_of_the_namespace() {
    let (_home, files) = Home::with_store("next-to-last/2").await;
    let namespace = Namespace::new(shared(&files), "/ns");
    let key = Key::new("/KEY");
    let error = namespace.put(&key, "value".into()).await.unwrap_err();
    assert_clear(&error, "\"/KEY\"");
    assert_eq!(namespace.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn closing_a_namespace_closes_the_inner_datastore() {
    let inner = datastore_of(&[("/ns/a", "1")]).await;
    let namespace = Namespace::new(shared(&inner), "/ns");
    namespace.close().await.unwrap();
    assert!(entries(&inner, Query::new()).await.unwrap_err().is_closed());
    assert!(
        entries(&namespace, Query::new())
            .await
            .unwrap_err()
            .is_closed()
    );
}
