//! `redb`: a B-tree in one file.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::Key;
use futures::FutureExt;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use crate::common::Blocks;
use crate::harness::contender::{Peer, PeerKind};

pub(super) const KIND: PeerKind = PeerKind {
    name: "redb",
    create: |dir| async move { Arc::new(Tree::new(dir)) as Arc<dyn Peer> }.boxed(),
};

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("blocks");

struct Tree(Database);

impl Tree {
    fn new(dir: &Path) -> Self {
        let tree = Tree(Database::create(dir.join("redb")).expect("a database"));
        tree.write(|_| {});
        tree
    }

    /// Writes in one transaction without durability: its changes are lost with the process until a durable
    /// transaction follows.
    fn write(&self, work: impl FnOnce(&mut Table<'_, &'static str, &'static [u8]>)) {
        let mut transaction: WriteTransaction = self.0.begin_write().expect("a transaction");
        let relaxed = transaction.set_durability(Durability::None);
        relaxed.expect("a transaction");
        {
            let mut table = transaction.open_table(TABLE).expect("a table");
            work(&mut table);
        }
        transaction.commit().expect("a commit");
    }

    fn read(&self, key: &Key) -> Option<Bytes> {
        let transaction = self.0.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("a table");
        let value = table.get(key.as_str()).expect("a read")?;
        Some(Bytes::copy_from_slice(value.value()))
    }
}

#[async_trait]
impl Peer for Tree {
    async fn get(&self, key: &Key) -> Option<usize> {
        self.read(key).map(|value| value.len())
    }

    async fn has(&self, key: &Key) -> bool {
        let transaction = self.0.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("a table");
        table.get(key.as_str()).expect("a lookup").is_some()
    }

    async fn put(&self, key: &Key, value: Bytes) {
        self.write(|table| {
            table.insert(key.as_str(), &*value).expect("a put");
        });
    }

    async fn delete(&self, key: &Key) {
        self.write(|table| {
            table.remove(key.as_str()).expect("a delete");
        });
    }

    async fn batch(&self, blocks: &Blocks) {
        self.write(|table| {
            for (index, key) in blocks.keys.iter().enumerate() {
                let value = blocks.value(index);
                table.insert(key.as_str(), &*value).expect("a put");
            }
        });
    }

    async fn keys(&self) -> usize {
        let transaction = self.0.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("a table");
        table.iter().expect("a listing").count()
    }
}
