//! Suites about the stream of a query.

use std::collections::BTreeMap;

use futures::stream::StreamExt;

use super::check::{delete, equal, fill, finish, ok, put, query, start};
use super::expected::check_query;
use super::{ELEMENTS, Keys, sample};
use crate::datastore::Datastore;
use crate::query::{EntryStream, Order, Query};

async fn begin_query(datastore: &dyn Datastore, query: Query) -> EntryStream {
    ok(datastore.query(query).await, "beginning a query")
}

/// The datastore stays usable when a stream is dropped before it is read to its end.
pub async fn query_dropped(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    for query in [Query::new(), Query::new().order(Order::by_value())] {
        for taken in [0, 1, ELEMENTS / 2] {
            let stream = begin_query(datastore, query.clone()).await;
            let read = stream.take(taken).count().await;
            equal(read, taken, format_args!("the entries read of ({query})"));
        }
        check_query(datastore, &contents, query).await;
    }
    let key = keys.key("dropped");
    put(datastore, &key, "written").await;
    delete(datastore, &key).await;
    finish(datastore).await;
}

/// A query may or may not return entries that are written while it runs, but it returns every other entry once.
pub async fn query_during_writes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let mut stream = begin_query(datastore, Query::new()).await;
    let first = stream.next().await.expect("there are entries");
    let mut found = vec![ok(first, "the first entry")];
    let (touched, untouched) = contents.split_at(ELEMENTS / 4);
    for entry in touched {
        delete(datastore, &entry.key).await;
    }
    put(datastore, &keys.key("during"), "new").await;
    while let Some(entry) = stream.next().await {
        found.push(ok(entry, "an entry of a query during writes"));
    }

    let mut by_key = BTreeMap::new();
    for entry in found {
        let key = entry.key.clone();
        let earlier = by_key.insert(key.clone(), entry);
        equal(earlier, None, format_args!("the entry for {key} before"));
    }
    for entry in untouched {
        let found = by_key.get(&entry.key);
        equal(
            found,
            Some(entry),
            "an entry that was not written during the query",
        );
    }
    let left = query(datastore, Query::new().keys_only()).await;
    equal(
        left.len(),
        untouched.len() + 1,
        "the number of entries left",
    );
    finish(datastore).await;
}
