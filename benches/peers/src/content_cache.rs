//! `cacache`: one file per content, and an index from keys to contents. It hashes on write and read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::Key;
use futures::{FutureExt, StreamExt};

use crate::common::Blocks;
use crate::harness::contender::{Peer, PeerKind};

pub(super) const KIND: PeerKind = PeerKind {
    name: "cacache",
    create: |dir| async move { Arc::new(Cache::new(dir)) as Arc<dyn Peer> }.boxed(),
};

struct Cache(PathBuf);

impl Cache {
    fn new(dir: &Path) -> Self {
        Cache(dir.to_owned())
    }

    async fn write(&self, key: &Key, value: Bytes) {
        let write = cacache::write(&self.0, key.as_str(), value).await;
        write.expect("a put");
    }
}

#[async_trait]
impl Peer for Cache {
    async fn get(&self, key: &Key) -> Option<usize> {
        let value = cacache::read(&self.0, key.as_str()).await;
        Some(value.expect("a read").len())
    }

    async fn has(&self, key: &Key) -> bool {
        let found = cacache::metadata(&self.0, key.as_str()).await;
        found.expect("a lookup").is_some()
    }

    async fn put(&self, key: &Key, value: Bytes) {
        self.write(key, value).await;
    }

    /// Removes the key and the content.
    async fn delete(&self, key: &Key) {
        let remove = cacache::RemoveOpts::new().remove_fully(true);
        let removed = remove.remove(&self.0, key.as_str()).await;
        removed.expect("a delete");
    }

    /// Runs 16 puts at a time, because the store has no batches.
    async fn batch(&self, blocks: &Blocks) {
        futures::stream::iter(blocks.keys.iter().enumerate())
            .for_each_concurrent(16, |(index, key)| self.write(key, blocks.value(index)))
            .await;
    }

    async fn keys(&self) -> usize {
        cacache::list_sync(&self.0).filter(Result::is_ok).count()
    }
}
