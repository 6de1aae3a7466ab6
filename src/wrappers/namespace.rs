//! [`Namespace`]: the part of a datastore below a prefix.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::{map_error_key, map_keys};
use crate::datastore::{Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{Entry, EntryStream, KeyMap, Query, apply, merge};

/// The part of a datastore below a prefix, as a datastore of its own: go-datastore's `namespace`. The prefix is
/// added to every key, and removed from the keys of all results.
///
/// Queries are passed to the inner datastore with their filters and orders translated, so they run as fast as its
/// own.
///
/// The key `/` of the namespace is the prefix itself.
///
/// [`sync`](Datastore::sync), [`disk_usage`](Datastore::disk_usage) and [`close`](Datastore::close) apply to the
/// whole inner datastore.
///
/// ```
/// use ds_flatfs::wrappers::Namespace;
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let all = MemoryDatastore::new();
/// let pins = Namespace::new(all.clone(), "/pins");
/// pins.put(&Key::new("/first"), "pinned".into()).await?;
/// assert!(all.has(&Key::new("/pins/first")).await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Namespace {
    inner: Arc<dyn Datastore>,
    prefix: KeyPrefix,
}

impl Namespace {
    /// Creates a datastore of the keys that `datastore` has below `prefix`.
    #[must_use]
    pub fn new(datastore: impl Datastore + 'static, prefix: impl Into<Key>) -> Self {
        Namespace {
            inner: Arc::new(datastore),
            prefix: KeyPrefix(prefix.into()),
        }
    }

    /// Returns the prefix, which is added to every key.
    #[must_use]
    pub fn prefix(&self) -> &Key {
        &self.prefix.0
    }
}

#[derive(Clone, Debug)]
struct KeyPrefix(Key);

impl KeyPrefix {
    /// Returns the key under which the inner datastore has an entry.
    fn add(&self, key: &Key) -> Key {
        self.0.child(key)
    }

    fn add_to_all<'a>(&'a self, keys: KeyStream<'a>) -> KeyStream<'a> {
        keys.map(|key| self.add(&key)).boxed()
    }

    /// Returns the key of the namespace. A key that does not have the prefix is returned unchanged.
    fn remove(&self, key: &Key) -> Key {
        key.strip_prefix(&self.0).unwrap_or_else(|| key.clone())
    }

    fn key_map(&self) -> KeyMap {
        let prefix = self.clone();
        Arc::new(move |key| prefix.remove(key))
    }

    /// Returns a result of the inner datastore, with the key of the namespace in the error.
    fn map_error<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| map_error_key(error, |key| self.remove(key)))
    }

    /// Returns the results of a bulk read, with the keys of the namespace.
    fn map_results<'a, T: 'a>(&self, results: ResultStream<'a, T>) -> ResultStream<'a, T> {
        let prefix = self.clone();
        results
            .map(move |(key, result)| (prefix.remove(&key), prefix.map_error(result)))
            .boxed()
    }

    /// Returns whether the results may have the key `/`, which is the prefix itself. A query of the inner datastore
    /// below the prefix does not find it.
    fn is_root_in(&self, query: &Query) -> bool {
        query.prefix.is_root() && !self.0.is_root()
    }

    /// Returns the query for the inner datastore, where the key `/` of the namespace has the value `root`.
    fn inner_query(&self, query: &Query, root: Option<&Bytes>) -> Query {
        let part = query.part_of(1 + usize::from(root.is_some()));
        part.rekeyed(self.add(&query.prefix), &self.key_map())
    }

    /// Returns the results of the query, given those of the inner datastore.
    fn results(&self, query: &Query, root: Option<Bytes>, inner: EntryStream) -> EntryStream {
        let mut parts = vec![map_keys(inner, self.key_map())];
        if let Some(value) = root {
            let entry = Entry::with_value(Key::root(), value);
            parts.push(apply(query.part_of(2), stream::iter([Ok(entry)])));
        }
        merge(query, parts)
    }
}

/// Implements a trait for a type with the fields `inner` and `prefix`: the methods that [`Datastore`] and [`Batch`]
/// have in common add the prefix, and the others are given.
macro_rules! impl_with_prefix {
    ($trait:ident for $type:ident { $($others:tt)* }) => {
        #[async_trait]
        impl $trait for $type {
            async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
                let result = self.inner.get(&self.prefix.add(key)).await;
                self.prefix.map_error(result)
            }

            async fn has(&self, key: &Key) -> Result<bool> {
                let result = self.inner.has(&self.prefix.add(key)).await;
                self.prefix.map_error(result)
            }

            async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
                let result = self.inner.get_size(&self.prefix.add(key)).await;
                self.prefix.map_error(result)
            }

            async fn query(&self, query: Query) -> Result<EntryStream> {
                let root = if self.prefix.is_root_in(&query) {
                    self.get(&Key::root()).await?
                } else {
                    None
                };
                let inner = self.prefix.inner_query(&query, root.as_ref());
                let entries = self.prefix.map_error(self.inner.query(inner).await)?;
                Ok(self.prefix.results(&query, root, entries))
            }

            async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
                let result = self.inner.put(&self.prefix.add(key), value).await;
                self.prefix.map_error(result)
            }

            async fn delete(&self, key: &Key) -> Result<()> {
                let result = self.inner.delete(&self.prefix.add(key)).await;
                self.prefix.map_error(result)
            }

            $($others)*
        }
    };
}

impl_with_prefix!(Datastore for Namespace {
    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        let keys = self.prefix.add_to_all(keys);
        self.prefix.map_results(self.inner.get_many(keys))
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        let keys = self.prefix.add_to_all(keys);
        self.prefix.map_results(self.inner.has_many(keys))
    }

    async fn sync(&self) -> Result<()> {
        self.prefix.map_error(self.inner.sync().await)
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        let inner = self.inner.batch().await?;
        let prefix = self.prefix.clone();
        Ok(Box::new(NamespaceBatch { inner, prefix }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.inner.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        self.prefix.map_error(self.inner.close().await)
    }
});

/// A batch of a [`Namespace`].
#[derive(Debug)]
struct NamespaceBatch {
    inner: Box<dyn Batch>,
    prefix: KeyPrefix,
}

impl_with_prefix!(Batch for NamespaceBatch {
    async fn commit(self: Box<Self>) -> Result<()> {
        self.prefix.map_error(self.inner.commit().await)
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.inner.discard().await
    }
});
