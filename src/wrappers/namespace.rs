//! [`Namespace`]: the part of a datastore below a prefix.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::{rename, rename_all};
use crate::datastore::{Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{Entry, EntryStream, KeyMap, Query, apply, merge};

/// The part of a datastore below a prefix, as a datastore of its own: the prefix is put before every
/// key, and taken off the keys of every answer. It is go-datastore's `namespace`.
///
/// Queries are passed down as a whole, with their filters and orders translated, and answered as well as
/// the datastore below can.
///
/// The key `/` of the namespace is the prefix itself.
///
/// [`sync`](Datastore::sync), [`disk_usage`](Datastore::disk_usage) and [`close`](Datastore::close) are
/// those of the whole datastore below.
///
/// ```
/// use std::sync::Arc;
/// use ds_flatfs::wrappers::Namespace;
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let all = MemoryDatastore::new();
/// let pins = Namespace::new(Arc::new(all.clone()), "/pins");
/// pins.put(&Key::new("/first"), "pinned".into()).await?;
/// assert!(all.has(&Key::new("/pins/first")).await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Namespace {
    below: Arc<dyn Datastore>,
    prefix: Prefix,
}

impl Namespace {
    /// What `datastore` has below `prefix`.
    #[must_use]
    pub fn new(datastore: Arc<dyn Datastore>, prefix: impl Into<Key>) -> Self {
        Namespace {
            below: datastore,
            prefix: Prefix(prefix.into()),
        }
    }

    /// What is put before every key.
    #[must_use]
    pub fn prefix(&self) -> &Key {
        &self.prefix.0
    }
}

#[derive(Clone, Debug)]
struct Prefix(Key);

impl Prefix {
    /// The key as the datastore below has it.
    fn below(&self, key: &Key) -> Key {
        self.0.child(key)
    }

    fn all_below<'a>(&'a self, keys: KeyStream<'a>) -> KeyStream<'a> {
        keys.map(|key| self.below(&key)).boxed()
    }

    /// The answers of the datastore below, with the keys that were asked for.
    fn outwards<'a, T: 'a>(&self, answers: ResultStream<'a, T>) -> ResultStream<'a, T> {
        let prefix = self.clone();
        answers
            .map(move |(key, answer)| (prefix.outside(&key), prefix.renamed(answer)))
            .boxed()
    }

    /// What the datastore below answered, with an error about the key of the namespace.
    fn renamed<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| rename(error, |key| self.outside(key)))
    }

    /// Whether the prefix itself may be in the answer: a query below finds only what is below it.
    fn may_be_in(&self, query: &Query) -> bool {
        query.prefix.is_root() && !self.0.is_root()
    }

    /// What to ask of the datastore below, which has this value under the prefix itself.
    fn ask(&self, query: &Query, own: Option<&Bytes>) -> Query {
        let part = query.part_of(1 + usize::from(own.is_some()));
        let prefix = self.below(&query.prefix);
        part.rekeyed(prefix, &self.off())
    }

    fn answer(&self, query: &Query, own: Option<Bytes>, entries: EntryStream) -> EntryStream {
        let mut answers = vec![rename_all(entries, self.off())];
        if let Some(value) = own {
            let entry = Entry::with_value(Key::root(), value);
            answers.push(apply(query.part_of(2), stream::iter([Ok(entry)])));
        }
        merge(query, answers)
    }

    /// The key as the namespace has it; one that has not the prefix stays as it is.
    fn outside(&self, key: &Key) -> Key {
        key.strip_prefix(&self.0).unwrap_or_else(|| key.clone())
    }

    /// Takes the prefix off the keys that have it.
    fn off(&self) -> KeyMap {
        let prefix = self.clone();
        Arc::new(move |key| prefix.outside(key))
    }
}

#[async_trait]
impl Datastore for Namespace {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.prefix
            .renamed(self.below.get(&self.prefix.below(key)).await)
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.prefix
            .renamed(self.below.has(&self.prefix.below(key)).await)
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.prefix
            .renamed(self.below.get_size(&self.prefix.below(key)).await)
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        self.prefix
            .outwards(self.below.get_many(self.prefix.all_below(keys)))
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        self.prefix
            .outwards(self.below.has_many(self.prefix.all_below(keys)))
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let own = if self.prefix.may_be_in(&query) {
            self.get(&Key::root()).await?
        } else {
            None
        };
        let ask = self.prefix.ask(&query, own.as_ref());
        let entries = self.prefix.renamed(self.below.query(ask).await)?;
        Ok(self.prefix.answer(&query, own, entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.prefix
            .renamed(self.below.put(&self.prefix.below(key), value).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.prefix
            .renamed(self.below.delete(&self.prefix.below(key)).await)
    }

    async fn sync(&self) -> Result<()> {
        self.prefix.renamed(self.below.sync().await)
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        let below = self.below.batch().await?;
        let prefix = self.prefix.clone();
        Ok(Box::new(NamespaceBatch { below, prefix }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.below.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        self.prefix.renamed(self.below.close().await)
    }
}

/// A batch of a [`Namespace`].
#[derive(Debug)]
struct NamespaceBatch {
    below: Box<dyn Batch>,
    prefix: Prefix,
}

#[async_trait]
impl Batch for NamespaceBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.prefix
            .renamed(self.below.get(&self.prefix.below(key)).await)
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.prefix
            .renamed(self.below.has(&self.prefix.below(key)).await)
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.prefix
            .renamed(self.below.get_size(&self.prefix.below(key)).await)
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let own = if self.prefix.may_be_in(&query) {
            self.get(&Key::root()).await?
        } else {
            None
        };
        let ask = self.prefix.ask(&query, own.as_ref());
        let entries = self.prefix.renamed(self.below.query(ask).await)?;
        Ok(self.prefix.answer(&query, own, entries))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.prefix
            .renamed(self.below.put(&self.prefix.below(key), value).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.prefix
            .renamed(self.below.delete(&self.prefix.below(key)).await)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.prefix.renamed(self.below.commit().await)
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.below.discard().await
    }
}
