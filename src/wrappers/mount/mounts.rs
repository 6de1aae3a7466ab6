//! [`MountTable`]: which datastore a key belongs to, and which datastores a query concerns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::StreamExt;

use crate::datastore::{Datastore, ResultStream};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{EntryStream, Filter, KeyMap, Query};
use crate::wrappers::bulk::Route;
use crate::wrappers::{map_error_key, map_keys};

/// A datastore with the prefix under which it is mounted.
#[derive(Debug)]
pub(super) struct MountPoint {
    pub(super) prefix: Key,
    pub(super) datastore: Arc<dyn Datastore>,
    /// The prefixes of the mounts below this one, as keys of this datastore.
    hidden: Arc<[Key]>,
}

impl MountPoint {
    /// `prefixes` are those of all mounts.
    pub(super) fn new(prefix: &Key, prefixes: &[Key], datastore: Arc<dyn Datastore>) -> Self {
        let others = prefixes.iter().filter(|other| *other != prefix);
        MountPoint {
            prefix: prefix.clone(),
            datastore,
            hidden: others.filter_map(|key| key.strip_prefix(prefix)).collect(),
        }
    }

    fn contains(&self, key: &Key) -> bool {
        self.prefix == *key || self.prefix.is_ancestor_of(key)
    }

    /// Returns the query for this datastore, given its part of the query of the mount.
    fn inner_query(&self, part: Query) -> Query {
        let prefix = part.prefix.strip_prefix(&self.prefix);
        // The key `/` of the datastore is the prefix of the query itself, which is not strictly below it.
        let without_root = !part.prefix.is_root() && part.prefix == self.prefix;
        let mut inner = part.rekeyed(prefix.unwrap_or_else(Key::root), &self.key_map());
        if without_root || !self.hidden.is_empty() {
            let hidden = Arc::clone(&self.hidden);
            inner = inner.filter(Filter::custom_key(move |key| {
                let is_hidden = |prefix: &Key| prefix == key || prefix.is_ancestor_of(key);
                !(without_root && key.is_root() || hidden.iter().any(is_hidden))
            }));
        }
        inner
    }

    /// Returns the entries of the datastore under the keys that they have in the mount.
    pub(super) fn map_entries(&self, entries: EntryStream) -> EntryStream {
        map_keys(entries, self.key_map())
    }

    /// Returns the results of a bulk read, with the keys of the mount in the errors.
    pub(super) fn map_results<'a, T: 'a>(
        &'a self,
        results: ResultStream<'a, T>,
    ) -> ResultStream<'a, T> {
        results
            .map(|(key, result)| (key, self.map_error(result)))
            .boxed()
    }

    /// Returns a result of the datastore, with the key of the mount in the error.
    pub(super) fn map_error<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| map_error_key(error, |key| self.prefix.child(key)))
    }

    fn key_map(&self) -> KeyMap {
        let prefix = self.prefix.clone();
        Arc::new(move |key| prefix.child(key))
    }
}

/// The mounted datastores. `M` is the [`MountPoint`], or something that contains it.
#[derive(Debug)]
pub(super) struct MountTable<M> {
    mounts: Vec<M>,
    /// Whether the mount is closed. This is checked for keys and queries that concern no datastore, because no
    /// datastore reports it for them.
    closed: Arc<AtomicBool>,
}

impl<M: AsRef<MountPoint>> MountTable<M> {
    pub(super) fn new(mounts: Vec<M>) -> Self {
        MountTable {
            mounts,
            closed: Arc::default(),
        }
    }

    /// Returns a table of the same mounts, each converted by `map`.
    pub(super) fn map<N>(&self, map: impl Fn(&M) -> N) -> MountTable<N> {
        MountTable {
            mounts: self.mounts.iter().map(map).collect(),
            closed: Arc::clone(&self.closed),
        }
    }

    /// Returns the mounts in the order in which they were mounted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &M> {
        self.mounts.iter()
    }

    pub(super) fn into_mounts(self) -> Vec<M> {
        self.mounts
    }

    pub(super) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Returns the mount that the key belongs to, and the key under which its datastore has the value.
    pub(super) fn find(&self, key: &Key) -> Result<Option<(&M, Key)>> {
        self.check_open()?;
        let Some(mount) = self.innermost(key) else {
            return Ok(None);
        };
        let inner = key.strip_prefix(&mount.as_ref().prefix);
        Ok(inner.map(|inner| (mount, inner)))
    }

    /// Returns where to read the key in a bulk read. The default of `T` is the result for a key under no mount.
    pub(super) fn route<T: Default>(&self, key: &Key) -> Route<'_, M, T> {
        match self.find(key) {
            Ok(Some((mount, inner))) => Route::Inner(mount, inner),
            Ok(None) => Route::Known(Ok(T::default())),
            Err(closed) => Route::Known(Err(closed)),
        }
    }

    /// Like [`find`](MountTable::find), for a put, which fails for a key under no mount.
    pub(super) fn find_to_put(&self, key: &Key) -> Result<(&M, Key)> {
        self.find(key)?.ok_or_else(|| Error::InvalidKey {
            key: key.to_string(),
            reason: "no datastore is mounted under a prefix of this key",
        })
    }

    /// Returns the mounts that may have results of the query, with the query for each of them.
    pub(super) fn queries(&self, query: &Query) -> Result<Vec<(&M, Query)>> {
        self.check_open()?;
        let above = self.innermost(&query.prefix);
        let above = above.map(|mount| &mount.as_ref().prefix);
        let concerned = self.mounts.iter().filter(|mount| {
            let prefix = &mount.as_ref().prefix;
            query.prefix.is_ancestor_of(prefix) || above == Some(prefix)
        });
        let concerned: Vec<_> = concerned.collect();
        let part = query.part_of(concerned.len());
        let queries = concerned
            .into_iter()
            .map(|mount| (mount, mount.as_ref().inner_query(part.clone())));
        Ok(queries.collect())
    }

    fn innermost(&self, key: &Key) -> Option<&M> {
        let above = self
            .mounts
            .iter()
            .filter(|mount| mount.as_ref().contains(key));
        above.max_by_key(|mount| mount.as_ref().prefix.as_str().len())
    }
}
