//! [`Contender`]: a store that is measured, ours or another one, and the [`Access`] to it that is timed.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::{Datastore, Key, Query};
use futures::future::{self, BoxFuture};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::common::Blocks;

/// A store that can be measured.
pub(super) trait Contender: Clone + Send + Sync + 'static {
    fn get(&self, key: &Key) -> impl Future<Output = Option<usize>> + Send;
    fn size(&self, key: &Key) -> impl Future<Output = Option<u64>> + Send;
    fn has(&self, key: &Key) -> impl Future<Output = bool> + Send;
    fn put(&self, key: &Key, value: Bytes) -> impl Future<Output = ()> + Send;
    fn delete(&self, key: &Key) -> impl Future<Output = ()> + Send;
    /// Puts all blocks, in one atomic batch if the store has batches.
    fn batch(&self, blocks: &Blocks) -> impl Future<Output = ()> + Send;
    /// Lists all keys and returns their number.
    fn keys(&self) -> impl Future<Output = usize> + Send;
    /// Reads all blocks with one call, and returns how many it found.
    fn get_many(&self, blocks: &Blocks) -> impl Future<Output = usize> + Send;
    /// Looks up all blocks with one call, and returns how many it found.
    fn has_many(&self, blocks: &Blocks) -> impl Future<Output = usize> + Send;
}

/// Calls the store as users do.
impl Contender for Arc<dyn Datastore> {
    async fn get(&self, key: &Key) -> Option<usize> {
        let value = Datastore::get(&**self, key).await.expect("a read");
        value.map(|value| value.len())
    }

    async fn size(&self, key: &Key) -> Option<u64> {
        Datastore::get_size(&**self, key).await.expect("a size")
    }

    async fn has(&self, key: &Key) -> bool {
        Datastore::has(&**self, key).await.expect("a lookup")
    }

    async fn put(&self, key: &Key, value: Bytes) {
        Datastore::put(&**self, key, value).await.expect("a put");
    }

    async fn delete(&self, key: &Key) {
        Datastore::delete(&**self, key).await.expect("a delete");
    }

    async fn batch(&self, blocks: &Blocks) {
        let batch = Datastore::batch(&**self).await.expect("a batch");
        for (index, key) in blocks.keys.iter().enumerate() {
            let put = batch.put(key, blocks.value(index)).await;
            put.expect("a put");
        }
        batch.commit().await.expect("a commit");
    }

    async fn keys(&self) -> usize {
        count(self, Query::new().keys_only()).await
    }

    async fn get_many(&self, blocks: &Blocks) -> usize {
        let keys = stream::iter(blocks.keys.iter().cloned()).boxed();
        let results = Datastore::get_many(&**self, keys);
        let read = results.filter(|(_, value)| {
            let is_whole = matches!(value, Ok(Some(value)) if value.len() == blocks.size());
            future::ready(is_whole)
        });
        read.count().await
    }

    async fn has_many(&self, blocks: &Blocks) -> usize {
        let keys = stream::iter(blocks.keys.iter().cloned()).boxed();
        let results = Datastore::has_many(&**self, keys);
        let present = results.filter(|(_, has)| future::ready(matches!(has, Ok(true))));
        present.count().await
    }
}

/// Returns the number of entries of a query.
pub(super) async fn count(store: &Arc<dyn Datastore>, query: Query) -> usize {
    let entries = store.query(query).await.expect("a query");
    let count = entries.try_fold(0, |count, _| async move { Ok(count + 1) });
    count.await.expect("entries")
}

/// Another store that users might choose, with its fastest settings: nothing is made durable unless the
/// store always does that.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    async fn get(&self, key: &Key) -> Option<usize>;
    async fn has(&self, key: &Key) -> bool;
    async fn put(&self, key: &Key, value: Bytes);
    async fn delete(&self, key: &Key);
    async fn batch(&self, blocks: &Blocks);
    async fn keys(&self) -> usize;
}

/// The name of another store, and how to create one in an empty directory.
pub(crate) struct PeerKind {
    pub(crate) name: &'static str,
    pub(crate) create: fn(&Path) -> BoxFuture<'_, Arc<dyn Peer>>,
}

impl Contender for Arc<dyn Peer> {
    async fn get(&self, key: &Key) -> Option<usize> {
        Peer::get(&**self, key).await
    }

    async fn size(&self, _: &Key) -> Option<u64> {
        None
    }

    async fn has(&self, key: &Key) -> bool {
        Peer::has(&**self, key).await
    }

    async fn put(&self, key: &Key, value: Bytes) {
        Peer::put(&**self, key, value).await;
    }

    async fn delete(&self, key: &Key) {
        Peer::delete(&**self, key).await;
    }

    async fn batch(&self, blocks: &Blocks) {
        Peer::batch(&**self, blocks).await;
    }

    async fn keys(&self) -> usize {
        Peer::keys(&**self).await
    }

    async fn get_many(&self, _: &Blocks) -> usize {
        0
    }

    async fn has_many(&self, _: &Blocks) -> usize {
        0
    }
}

/// A call for one block, with its expected result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    Size,
    Has,
    HasAbsent,
    GetAbsent,
    Put,
    Delete,
}

/// How a workload accesses a store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// This number of tasks, each of which calls the operation for one block after another.
    Each(Operation, usize),
    Batch,
    Keys,
    GetMany,
    HasMany,
}

/// Returns how long an access takes. It runs in tasks of the runtime, like the work of a node.
pub(super) fn time(
    runtime: &Runtime,
    store: &impl Contender,
    blocks: &Arc<Blocks>,
    access: Access,
) -> Duration {
    let begin = Instant::now();
    match access {
        Access::Each(operation, tasks) => runtime.block_on(each(store, blocks, operation, tasks)),
        Access::Batch => {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            let task = runtime.spawn(async move { store.batch(&blocks).await });
            runtime.block_on(task).expect("a batch");
        }
        Access::Keys => {
            let (store, many) = (store.clone(), blocks.len());
            let task = runtime.spawn(async move { assert_eq!(store.keys().await, many) });
            runtime.block_on(task).expect("a listing");
        }
        Access::GetMany => {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            let task = async move { assert_eq!(store.get_many(&blocks).await, blocks.len()) };
            runtime.block_on(runtime.spawn(task)).expect("many reads");
        }
        Access::HasMany => {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            let task = async move { assert_eq!(store.has_many(&blocks).await, blocks.len()) };
            runtime.block_on(runtime.spawn(task)).expect("many lookups");
        }
    }
    begin.elapsed()
}

async fn each(store: &impl Contender, blocks: &Arc<Blocks>, operation: Operation, tasks: usize) {
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            tokio::spawn(async move {
                for index in (task..blocks.len()).step_by(tasks) {
                    one(&store, &blocks, operation, index).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn one(store: &impl Contender, blocks: &Blocks, operation: Operation, index: usize) {
    let key = &blocks.keys[index];
    match operation {
        Operation::Get => assert_eq!(store.get(key).await, Some(blocks.size())),
        Operation::Size => assert_eq!(store.size(key).await, Some(blocks.size() as u64)),
        Operation::Has => assert!(store.has(key).await),
        Operation::HasAbsent => assert!(!store.has(key).await),
        Operation::GetAbsent => assert_eq!(store.get(key).await, None),
        Operation::Put => store.put(key, blocks.value(index)).await,
        Operation::Delete => store.delete(key).await,
    }
}
