//! Which datastore a key belongs to, and which ones a query concerns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::StreamExt;

use crate::datastore::{Datastore, ResultStream};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{EntryStream, Filter, KeyMap, Query};
use crate::wrappers::bulk::Place;
use crate::wrappers::{rename, rename_all};

/// A datastore and where it is mounted.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) prefix: Key,
    pub(super) datastore: Arc<dyn Datastore>,
    /// The prefixes of the mounts below this one, as its datastore calls them.
    hidden: Arc<[Key]>,
}

impl Mounted {
    /// `prefixes` are those of all mounts.
    pub(super) fn new(prefix: &Key, prefixes: &[Key], datastore: Arc<dyn Datastore>) -> Self {
        let others = prefixes.iter().filter(|other| *other != prefix);
        Mounted {
            prefix: prefix.clone(),
            datastore,
            hidden: others.filter_map(|key| key.strip_prefix(prefix)).collect(),
        }
    }

    fn has(&self, key: &Key) -> bool {
        self.prefix == *key || self.prefix.is_ancestor_of(key)
    }

    /// What to ask of this datastore for its part of the query.
    fn ask(&self, query: Query) -> Query {
        let prefix = query.prefix.strip_prefix(&self.prefix);
        // Strictly below the prefix of the query is not what the datastore has under `/`.
        let without_root = !query.prefix.is_root() && query.prefix == self.prefix;
        let mut part = query.rekeyed(prefix.unwrap_or_else(Key::root), &self.outwards());
        if without_root || !self.hidden.is_empty() {
            let hidden = Arc::clone(&self.hidden);
            part = part.filter(Filter::custom_key(move |key| {
                let is_hidden = |prefix: &Key| prefix == key || prefix.is_ancestor_of(key);
                !(without_root && key.is_root() || hidden.iter().any(is_hidden))
            }));
        }
        part
    }

    /// The datastore's entries under the keys that they have in the mount.
    pub(super) fn answer(&self, entries: EntryStream) -> EntryStream {
        rename_all(entries, self.outwards())
    }

    /// The datastore's answers about many keys, with errors about the keys of the mount.
    pub(super) fn answers<'a, T: 'a>(
        &'a self,
        answers: ResultStream<'a, T>,
    ) -> ResultStream<'a, T> {
        answers
            .map(|(key, answer)| (key, self.renamed(answer)))
            .boxed()
    }

    /// What the datastore answered, with an error about the key of the mount.
    pub(super) fn renamed<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| rename(error, |key| self.prefix.child(key)))
    }

    fn outwards(&self) -> KeyMap {
        let prefix = self.prefix.clone();
        Arc::new(move |key| prefix.child(key))
    }
}

/// The mounted datastores, with what else is kept of each.
#[derive(Debug)]
pub(super) struct Mounts<M> {
    all: Vec<M>,
    /// Where there is no datastore to ask, this tells.
    closed: Arc<AtomicBool>,
}

impl<M: AsRef<Mounted>> Mounts<M> {
    pub(super) fn new(all: Vec<M>) -> Self {
        Mounts {
            all,
            closed: Arc::default(),
        }
    }

    /// The same mounts, with something else of each.
    pub(super) fn map<N>(&self, map: impl Fn(&M) -> N) -> Mounts<N> {
        Mounts {
            all: self.all.iter().map(map).collect(),
            closed: Arc::clone(&self.closed),
        }
    }

    /// In the order in which they were mounted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &M> {
        self.all.iter()
    }

    pub(super) fn into_all(self) -> Vec<M> {
        self.all
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

    /// The mount that the key belongs to, and the key as its datastore knows it.
    pub(super) fn find(&self, key: &Key) -> Result<Option<(&M, Key)>> {
        self.check_open()?;
        let Some(mount) = self.innermost(key) else {
            return Ok(None);
        };
        let below = key.strip_prefix(&mount.as_ref().prefix);
        Ok(below.map(|below| (mount, below)))
    }

    /// Where to look for the key in a call for many; `T`'s default says that it isn't there.
    pub(super) fn place<T: Default>(&self, key: &Key) -> Place<'_, M, T> {
        match self.find(key) {
            Ok(Some((mount, below))) => Place::Below(mount, below),
            Ok(None) => Place::Here(Ok(T::default())),
            Err(closed) => Place::Here(Err(closed)),
        }
    }

    /// As [`find`](Mounts::find), for a write that needs a datastore.
    pub(super) fn find_to_put(&self, key: &Key) -> Result<(&M, Key)> {
        self.find(key)?.ok_or_else(|| Error::InvalidKey {
            key: key.to_string(),
            reason: "no datastore is mounted above it",
        })
    }

    /// The mounts that have something that the query may ask for, with what to ask of each.
    pub(super) fn parts(&self, query: &Query) -> Result<Vec<(&M, Query)>> {
        self.check_open()?;
        let above = self.innermost(&query.prefix);
        let above = above.map(|mount| &mount.as_ref().prefix);
        let concerned = self.all.iter().filter(|mount| {
            let prefix = &mount.as_ref().prefix;
            query.prefix.is_ancestor_of(prefix) || above == Some(prefix)
        });
        let concerned: Vec<_> = concerned.collect();
        let part = query.part_of(concerned.len());
        let parts = concerned
            .into_iter()
            .map(|mount| (mount, mount.as_ref().ask(part.clone())));
        Ok(parts.collect())
    }

    fn innermost(&self, key: &Key) -> Option<&M> {
        let above = self.all.iter().filter(|mount| mount.as_ref().has(key));
        above.max_by_key(|mount| mount.as_ref().prefix.as_str().len())
    }
}
