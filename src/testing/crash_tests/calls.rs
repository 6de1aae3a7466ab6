//! [`StoreCall`]: a call that a test makes on a store, and what it means for each key.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::datastore::Datastore;
use crate::error::Result;
use crate::key::Key;

/// A call on a store that changes it or makes it durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreCall {
    Put(&'static str, &'static str),
    Delete(&'static str),
    /// A batch with these writes, and its commit.
    Commit(Vec<BatchWrite>),
    Sync,
    Close,
}

/// A write in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchWrite {
    Put(&'static str, &'static str),
    Delete(&'static str),
}

impl StoreCall {
    pub(super) async fn run(&self, store: &dyn Datastore) -> Result<()> {
        match self {
            StoreCall::Put(key, value) => store.put(&Key::new(key), (*value).into()).await,
            StoreCall::Delete(key) => store.delete(&Key::new(key)).await,
            StoreCall::Sync => store.sync().await,
            StoreCall::Close => store.close().await,
            StoreCall::Commit(writes) => {
                let batch = store.batch().await?;
                for write in writes {
                    match *write {
                        BatchWrite::Put(key, value) => {
                            batch.put(&Key::new(key), value.into()).await?;
                        }
                        BatchWrite::Delete(key) => batch.delete(&Key::new(key)).await?,
                    }
                }
                batch.commit().await
            }
        }
    }

    /// Returns the call that has the same effect on a datastore whose batches keep the last value of a key
    /// that is put twice. A batch of a [`FlatFs`](crate::store::FlatFs) keeps the first one.
    pub(super) fn with_first_values(&self) -> StoreCall {
        let StoreCall::Commit(writes) = self else {
            return self.clone();
        };
        let mut first_values = BTreeMap::new();
        let writes = writes.iter().map(|write| match *write {
            BatchWrite::Put(key, value) => {
                BatchWrite::Put(key, first_values.entry(key).or_insert(value))
            }
            BatchWrite::Delete(key) => BatchWrite::Delete(key),
        });
        StoreCall::Commit(writes.collect())
    }

    /// Returns the value of each key after the call; none for a key that is deleted.
    pub(super) fn new_values(&self) -> Vec<(&'static str, Option<Bytes>)> {
        let bytes = |value: &'static str| Bytes::from_static(value.as_bytes());
        match self {
            StoreCall::Put(key, value) => vec![(key, Some(bytes(value)))],
            StoreCall::Delete(key) => vec![(key, None)],
            StoreCall::Commit(writes) => writes
                .iter()
                .map(|write| match *write {
                    BatchWrite::Put(key, value) => (key, Some(bytes(value))),
                    BatchWrite::Delete(key) => (key, None),
                })
                .collect(),
            StoreCall::Sync | StoreCall::Close => Vec::new(),
        }
    }
}
