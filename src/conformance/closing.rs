//! The suite about closing.

use futures::stream::{self, StreamExt};

use super::check::{Access, begin, equal, fill, ok, put, start};
use super::{ELEMENTS, Keys, sample};
use crate::datastore::Datastore;
use crate::error::Result;
use crate::key::Key;
use crate::query::Query;

/// After a close, the datastore and the batches that began before return
/// [`Error::Closed`](crate::Error::Closed) from every method except another close and the discard of a batch. The
/// stream of a query that began before either returns all entries or fails with that error.
///
/// The suite leaves the datastore closed, with entries in it.
pub async fn closing(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    fill(datastore, &sample::entries(keys, ELEMENTS)).await;
    let key = keys.key("closing");
    put(datastore, &key, "value").await;
    let batch = begin(datastore).await;
    put(&*batch, &key, "the batch's").await;
    let empty = begin(datastore).await;
    let stream = ok(datastore.query(Query::new()).await, "beginning a query");

    ok(datastore.close().await, "close");
    access_is_closed(datastore, &key).await;
    bulk_is_closed(datastore, &key).await;
    is_closed_error(datastore.sync().await, "sync");
    is_closed_error(datastore.batch().await, "batch");
    is_closed_error(datastore.disk_usage().await, "disk_usage");
    access_is_closed(&*batch, &key).await;
    is_closed_error(batch.commit().await, "commit");
    access_is_closed(&*empty, &key).await;
    is_closed_error(empty.commit().await, "commit of an empty batch");
    let items: Vec<_> = stream.collect().await;
    for error in items.into_iter().filter_map(Result::err) {
        assert!(
            error.is_closed(),
            "a query that began before the close: {error:?}"
        );
    }
    ok(datastore.close().await, "close of a closed datastore");
}

async fn access_is_closed<S: Access + ?Sized>(subject: &S, key: &Key) {
    is_closed_error(subject.get(key).await, "get");
    is_closed_error(subject.has(key).await, "has");
    is_closed_error(subject.get_size(key).await, "get_size");
    is_closed_error(subject.query(Query::new()).await, "query");
    is_closed_error(subject.put(key, "late".into()).await, "put");
    is_closed_error(subject.delete(key).await, "delete");
}

async fn bulk_is_closed(datastore: &dyn Datastore, key: &Key) {
    let keys = || stream::repeat(key.clone()).take(2).boxed();
    let found: Vec<_> = datastore.get_many(keys()).collect().await;
    equal(found.len(), 2, "the number of results of get_many");
    for (_, result) in found {
        is_closed_error(result, "get_many");
    }
    let found: Vec<_> = datastore.has_many(keys()).collect().await;
    equal(found.len(), 2, "the number of results of has_many");
    for (_, result) in found {
        is_closed_error(result, "has_many");
    }
    let puts = stream::iter([Ok((key.clone(), "late".into()))]).boxed();
    is_closed_error(datastore.put_many(puts).await, "put_many");
    is_closed_error(datastore.delete_many(keys()).await, "delete_many");
}

fn is_closed_error<T>(result: Result<T>, call: &str) {
    match result {
        Ok(_) => panic!("{call} after close should fail with Closed, but succeeded"),
        Err(error) => assert!(
            error.is_closed(),
            "{call} after close should fail with Closed, but failed with {error:?}"
        ),
    }
}
