//! [`Subject`]: what is measured, ours or another store, and the work that it is given.

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

/// A store that can be given work.
pub(super) trait Subject: Clone + Send + Sync + 'static {
    fn get(&self, key: &Key) -> impl Future<Output = Option<usize>> + Send;
    fn size(&self, key: &Key) -> impl Future<Output = Option<u64>> + Send;
    fn has(&self, key: &Key) -> impl Future<Output = bool> + Send;
    fn put(&self, key: &Key, value: Bytes) -> impl Future<Output = ()> + Send;
    fn delete(&self, key: &Key) -> impl Future<Output = ()> + Send;
    /// Puts all, and makes them take effect together where the store can.
    fn batch(&self, blocks: &Blocks) -> impl Future<Output = ()> + Send;
    /// How many keys there are, by a listing of them.
    fn keys(&self) -> impl Future<Output = usize> + Send;
    /// How many of the blocks were read by one call.
    fn get_many(&self, blocks: &Blocks) -> impl Future<Output = usize> + Send;
    /// How many of the blocks are there, by one call.
    fn has_many(&self, blocks: &Blocks) -> impl Future<Output = usize> + Send;
}

/// As users call it.
impl Subject for Arc<dyn Datastore> {
    async fn get(&self, key: &Key) -> Option<usize> {
        let value = Datastore::get(&**self, key).await.expect("a read");
        value.map(|value| value.len())
    }

    async fn size(&self, key: &Key) -> Option<u64> {
        Datastore::get_size(&**self, key).await.expect("a size")
    }

    async fn has(&self, key: &Key) -> bool {
        Datastore::has(&**self, key).await.expect("an answer")
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
        let answers = Datastore::get_many(&**self, keys);
        let read = answers.filter(|(_, value)| {
            let is_whole = matches!(value, Ok(Some(value)) if value.len() == blocks.size());
            future::ready(is_whole)
        });
        read.count().await
    }

    async fn has_many(&self, blocks: &Blocks) -> usize {
        let keys = stream::iter(blocks.keys.iter().cloned()).boxed();
        let answers = Datastore::has_many(&**self, keys);
        let there = answers.filter(|(_, has)| future::ready(matches!(has, Ok(true))));
        there.count().await
    }
}

/// How many entries a query answers.
pub(super) async fn count(store: &Arc<dyn Datastore>, query: Query) -> usize {
    let entries = store.query(query).await.expect("a query");
    let count = entries.try_fold(0, |count, _| async move { Ok(count + 1) });
    count.await.expect("entries")
}

/// Another store that users might pick, at its best: nothing durable, unless it is so anyway.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    async fn get(&self, key: &Key) -> Option<usize>;
    async fn has(&self, key: &Key) -> bool;
    async fn put(&self, key: &Key, value: Bytes);
    async fn delete(&self, key: &Key);
    async fn batch(&self, blocks: &Blocks);
    async fn keys(&self) -> usize;
}

/// Which store it is, and how one is made in an empty directory.
pub(crate) struct PeerKind {
    pub(crate) name: &'static str,
    pub(crate) create: fn(&Path) -> BoxFuture<'_, Arc<dyn Peer>>,
}

impl Subject for Arc<dyn Peer> {
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

/// What is done to each block, and what is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Size,
    Has,
    HasNot,
    Put,
    Delete,
}

/// A work, given to a store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    /// By so many tasks, each of which does one after another.
    Each(Verb, usize),
    Batch,
    Keys,
    GetMany,
    HasMany,
}

/// How long a store takes. The work is in tasks of the runtime, as a node's work is.
pub(super) fn time(
    runtime: &Runtime,
    store: &impl Subject,
    blocks: &Arc<Blocks>,
    job: Job,
) -> Duration {
    let begin = Instant::now();
    match job {
        Job::Each(verb, tasks) => runtime.block_on(each(store, blocks, verb, tasks)),
        Job::Batch => {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            let task = runtime.spawn(async move { store.batch(&blocks).await });
            runtime.block_on(task).expect("a batch");
        }
        Job::Keys => {
            let (store, many) = (store.clone(), blocks.len());
            let task = runtime.spawn(async move { assert_eq!(store.keys().await, many) });
            runtime.block_on(task).expect("a listing");
        }
        Job::GetMany => {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            let task = async move { assert_eq!(store.get_many(&blocks).await, blocks.len()) };
            runtime.block_on(runtime.spawn(task)).expect("many reads");
        }
        Job::HasMany => {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            let task = async move { assert_eq!(store.has_many(&blocks).await, blocks.len()) };
            runtime.block_on(runtime.spawn(task)).expect("many looks");
        }
    }
    begin.elapsed()
}

async fn each(store: &impl Subject, blocks: &Arc<Blocks>, verb: Verb, tasks: usize) {
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let (store, blocks) = (store.clone(), Arc::clone(blocks));
            tokio::spawn(async move {
                for index in (task..blocks.len()).step_by(tasks) {
                    one(&store, &blocks, verb, index).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn one(store: &impl Subject, blocks: &Blocks, verb: Verb, index: usize) {
    let key = &blocks.keys[index];
    match verb {
        Verb::Get => assert_eq!(store.get(key).await, Some(blocks.size())),
        Verb::Size => assert_eq!(store.size(key).await, Some(blocks.size() as u64)),
        Verb::Has => assert!(store.has(key).await),
        Verb::HasNot => assert!(!store.has(key).await),
        Verb::Put => store.put(key, blocks.value(index)).await,
        Verb::Delete => store.delete(key).await,
    }
}
