//! Garbage collection.

mod faulty;
mod killed;
mod missing;
mod model;
mod options;
mod roots;
mod shapes;
mod writers;

use std::collections::BTreeSet;
use std::vec;

use ds_flatfs::cid::Cid;
use ds_flatfs::maintenance::Gc;
use ds_flatfs::{Datastore, FlatFs, Key, Query, Result};
use futures::TryStreamExt as _;
use futures::stream;

use crate::dags::Node;

/// Returns roots as a collection takes them.
fn roots<'a>(
    roots: impl IntoIterator<Item = &'a Node>,
) -> stream::Iter<vec::IntoIter<Result<Cid>>> {
    let cids = roots.into_iter().map(|root| Ok(root.cid));
    stream::iter(cids.collect::<Vec<_>>())
}

/// Returns the keys of a datastore.
async fn keys(store: &dyn Datastore) -> BTreeSet<Key> {
    let entries = store.query(Query::new().keys_only()).await.unwrap();
    entries
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap()
}

fn keys_of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> BTreeSet<Key> {
    nodes.into_iter().map(Node::key).collect()
}

/// Returns the keys that a collection removes from a store.
async fn removed(store: &FlatFs, gc: Gc) -> BTreeSet<Key> {
    let before = keys(store).await;
    let collected = gc.run().await.unwrap();
    let after = keys(store).await;
    assert_eq!(collected.removed, (before.len() - after.len()) as u64);
    before.difference(&after).cloned().collect()
}
