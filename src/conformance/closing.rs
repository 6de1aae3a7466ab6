//! The suite about closing.

use futures::stream::{self, StreamExt};

use super::check::{Verbs, begin, equal, fill, ok, put, start};
use super::{ELEMENTS, Keys, sample};
use crate::datastore::Datastore;
use crate::error::Result;
use crate::key::Key;
use crate::query::Query;

/// Once closed, a datastore and the batches begun before say [`Error::Closed`](crate::Error::Closed)
/// to everything but another close and the discard of a batch. A stream begun before either comes to
/// its end or breaks off with that error. The datastore is left closed, with entries in it.
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
    verbs_say_closed(datastore, &key).await;
    many_say_closed(datastore, &key).await;
    says_closed(datastore.sync().await, "sync");
    says_closed(datastore.batch().await, "batch");
    says_closed(datastore.disk_usage().await, "disk_usage");
    verbs_say_closed(&*batch, &key).await;
    says_closed(batch.commit().await, "commit");
    verbs_say_closed(&*empty, &key).await;
    says_closed(empty.commit().await, "commit of an empty batch");
    let items: Vec<_> = stream.collect().await;
    for error in items.into_iter().filter_map(Result::err) {
        assert!(error.is_closed(), "a stream begun before close: {error:?}");
    }
    ok(datastore.close().await, "close of a closed datastore");
}

async fn verbs_say_closed<S: Verbs + ?Sized>(subject: &S, key: &Key) {
    says_closed(subject.get(key).await, "get");
    says_closed(subject.has(key).await, "has");
    says_closed(subject.get_size(key).await, "get_size");
    says_closed(subject.query(Query::new()).await, "query");
    says_closed(subject.put(key, "late".into()).await, "put");
    says_closed(subject.delete(key).await, "delete");
}

async fn many_say_closed(datastore: &dyn Datastore, key: &Key) {
    let keys = || stream::repeat(key.clone()).take(2).boxed();
    let found: Vec<_> = datastore.get_many(keys()).collect().await;
    equal(found.len(), 2, "the number of answers of get_many");
    for (_, answer) in found {
        says_closed(answer, "get_many");
    }
    let found: Vec<_> = datastore.has_many(keys()).collect().await;
    equal(found.len(), 2, "the number of answers of has_many");
    for (_, answer) in found {
        says_closed(answer, "has_many");
    }
    let puts = stream::iter([Ok((key.clone(), "late".into()))]).boxed();
    says_closed(datastore.put_many(puts).await, "put_many");
    says_closed(datastore.delete_many(keys()).await, "delete_many");
}

fn says_closed<T>(result: Result<T>, call: &str) {
    match result {
        Ok(_) => panic!("{call} after close should say closed, but succeeded"),
        Err(error) => assert!(
            error.is_closed(),
            "{call} after close should say closed, but said: {error:?}"
        ),
    }
}
