//! `fjall`: an LSM tree with large values in separate files.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::Key;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use futures::FutureExt;

use crate::common::Blocks;
use crate::harness::contender::{Peer, PeerKind};

pub(super) const KIND: PeerKind = PeerKind {
    name: "fjall",
    create: |dir| async move { Arc::new(Tree::new(dir)) as Arc<dyn Peer> }.boxed(),
};

struct Tree {
    database: Database,
    blocks: Keyspace,
}

impl Tree {
    fn new(dir: &Path) -> Self {
        let database = Database::builder(dir).open().expect("a database");
        let blocks = database.keyspace("blocks", || {
            let separated = Some(KvSeparationOptions::default());
            KeyspaceCreateOptions::default().with_kv_separation(separated)
        });
        Tree {
            blocks: blocks.expect("a keyspace"),
            database,
        }
    }
}

#[async_trait]
impl Peer for Tree {
    async fn get(&self, key: &Key) -> Option<usize> {
        let value = self.blocks.get(key.as_str()).expect("a read")?;
        Some(value.len())
    }

    async fn has(&self, key: &Key) -> bool {
        self.blocks.contains_key(key.as_str()).expect("a lookup")
    }

    async fn put(&self, key: &Key, value: Bytes) {
        self.blocks.insert(key.as_str(), &*value).expect("a put");
    }

    async fn delete(&self, key: &Key) {
        self.blocks.remove(key.as_str()).expect("a delete");
    }

    async fn batch(&self, blocks: &Blocks) {
        let mut batch = self.database.batch();
        for (index, key) in blocks.keys.iter().enumerate() {
            batch.insert(&self.blocks, key.as_str(), &*blocks.value(index));
        }
        batch.commit().expect("a commit");
    }

    async fn keys(&self) -> usize {
        let keys = self.blocks.iter().map(|entry| entry.key());
        keys.filter(Result::is_ok).count()
    }
}
