//! `object_store`: one file per object, in the same directories as our store.

use std::path::Path as Dir;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::{Key, Shard};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::common::Blocks;
use crate::harness::contender::{Peer, PeerKind};

pub(super) const KIND: PeerKind = PeerKind {
    name: "object_store",
    create: |dir| async move { Arc::new(Objects::new(dir)) as Arc<dyn Peer> }.boxed(),
};

struct Objects(LocalFileSystem);

impl Objects {
    fn new(dir: &Dir) -> Self {
        Objects(LocalFileSystem::new_with_prefix(dir).expect("a store"))
    }

    async fn write(&self, key: &Key, value: Bytes) {
        let put = self.0.put(&path(key), value.into()).await;
        put.expect("a put");
    }
}

fn path(key: &Key) -> Path {
    let name = key.as_str().trim_start_matches('/');
    Path::from(format!("{}/{name}", Shard::default().dir(name)))
}

#[async_trait]
impl Peer for Objects {
    async fn get(&self, key: &Key) -> Option<usize> {
        let value = self.0.get(&path(key)).await.expect("an object");
        Some(value.bytes().await.expect("a read").len())
    }

    async fn has(&self, key: &Key) -> bool {
        self.0.head(&path(key)).await.is_ok()
    }

    async fn put(&self, key: &Key, value: Bytes) {
        self.write(key, value).await;
    }

    async fn delete(&self, key: &Key) {
        self.0.delete(&path(key)).await.expect("a delete");
    }

    /// Runs 16 puts at a time, because the store has no batches.
    async fn batch(&self, blocks: &Blocks) {
        futures::stream::iter(blocks.keys.iter().enumerate())
            .for_each_concurrent(16, |(index, key)| self.write(key, blocks.value(index)))
            .await;
    }

    async fn keys(&self) -> usize {
        let keys = self.0.list(None);
        let count = keys.try_fold(0, |count, _| async move { Ok(count + 1) });
        count.await.expect("a listing")
    }
}
