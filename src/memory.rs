//! [`MemoryDatastore`]: a datastore that keeps its values in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{Entry, EntryStream, Needs, Query, apply};

type Values = BTreeMap<Key, Bytes>;

/// A datastore that keeps its values in memory and takes any key, for tests and for what need not
/// outlive the process.
///
/// A clone is cheap and shares the values. Closing one closes them all and frees the values.
///
/// A query answers from a snapshot taken when it begins, which shares the values' bytes; so a stream
/// that was begun before the datastore was closed comes to its end. A batch that was begun before says
/// [`Error::Closed`] like the datastore itself, only that it can still be discarded.
///
/// [`disk_usage`](Datastore::disk_usage) is the sum of the values' sizes, and
/// [`sync`](Datastore::sync) has nothing to do.
///
/// ```
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> ds_flatfs::Result<()> {
/// let datastore = MemoryDatastore::new();
/// let key = Key::new("/greetings/first");
/// datastore.put(&key, "hello".into()).await?;
/// assert_eq!(datastore.get(&key).await?.as_deref(), Some(&b"hello"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryDatastore {
    /// `None` once the datastore is closed.
    values: Arc<RwLock<Option<Values>>>,
}

impl MemoryDatastore {
    /// An empty datastore.
    #[must_use]
    pub fn new() -> Self {
        MemoryDatastore {
            values: Arc::new(RwLock::new(Some(Values::new()))),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Values) -> T) -> Result<T> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        values.as_ref().map(read).ok_or(Error::Closed)
    }

    fn write<T>(&self, write: impl FnOnce(&mut Values) -> T) -> Result<T> {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        values.as_mut().map(write).ok_or(Error::Closed)
    }

    fn value(&self, key: &Key) -> Result<Option<Bytes>> {
        self.read(|values| values.get(key).cloned())
    }

    fn check_open(&self) -> Result<()> {
        self.read(|_| ())
    }
}

impl Default for MemoryDatastore {
    fn default() -> Self {
        MemoryDatastore::new()
    }
}

impl fmt::Debug for MemoryDatastore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read(Values::len) {
            Ok(values) => f
                .debug_struct("MemoryDatastore")
                .field("values", &values)
                .finish(),
            Err(_) => f.write_str("MemoryDatastore(closed)"),
        }
    }
}

#[async_trait]
impl Datastore for MemoryDatastore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.value(key)
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.read(|values| values.contains_key(key))
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.value(key)?.as_ref().map(size))
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        Ok(answer(query, self.read(Values::clone)?))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.write(|values| {
            values.insert(key.clone(), value);
        })
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write(|values| {
            values.remove(key);
        })
    }

    async fn sync(&self) -> Result<()> {
        self.check_open()
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.check_open()?;
        Ok(Box::new(MemoryBatch {
            datastore: self.clone(),
            staged: Mutex::default(),
        }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        let bytes = self.read(|values| values.values().map(size).sum())?;
        Ok(DiskUsage::new(bytes, Accuracy::Exact))
    }

    async fn close(&self) -> Result<()> {
        *self.values.write().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// A batch of a [`MemoryDatastore`].
struct MemoryBatch {
    datastore: MemoryDatastore,
    staged: Mutex<Staged>,
}

/// What a batch is going to do. A key may be in both: then it was deleted last, and the value put
/// before is kept for a put that brings the key back.
#[derive(Debug, Default)]
struct Staged {
    puts: Values,
    deletes: BTreeSet<Key>,
}

impl Staged {
    fn put(&mut self, key: &Key, value: Bytes) {
        self.deletes.remove(key);
        self.puts.entry(key.clone()).or_insert(value);
    }

    fn delete(&mut self, key: &Key) {
        self.deletes.insert(key.clone());
    }

    /// What a commit makes of the key's value; `None` if it leaves it as it is.
    fn outcome(&self, key: &Key) -> Option<Option<Bytes>> {
        if self.deletes.contains(key) {
            Some(None)
        } else {
            self.puts.get(key).cloned().map(Some)
        }
    }

    fn apply_to(&self, values: &mut Values) {
        let puts = self.puts.iter();
        values.extend(puts.map(|(key, value)| (key.clone(), value.clone())));
        for key in &self.deletes {
            values.remove(key);
        }
    }
}

impl MemoryBatch {
    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self, key: &Key) -> Result<Option<Bytes>> {
        let stored = self.datastore.value(key)?;
        Ok(self.staged().outcome(key).unwrap_or(stored))
    }
}

impl fmt::Debug for MemoryBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let staged = self.staged();
        f.debug_struct("MemoryBatch")
            .field("puts", &staged.puts.len())
            .field("deletes", &staged.deletes.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Batch for MemoryBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.value(key)
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        Ok(self.value(key)?.is_some())
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.value(key)?.as_ref().map(size))
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut values = self.datastore.read(Values::clone)?;
        self.staged().apply_to(&mut values);
        Ok(answer(query, values))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.datastore.check_open()?;
        self.staged().put(key, value);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.datastore.check_open()?;
        self.staged().delete(key);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let staged = self.staged();
        self.datastore.write(|values| staged.apply_to(values))
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn size(value: &Bytes) -> u64 {
    value.len() as u64
}

fn answer(query: Query, values: Values) -> EntryStream {
    let needs = query.needs();
    let entries = values.into_iter().map(move |(key, value)| match needs {
        Needs::Key => Ok(Entry::from_key(key)),
        Needs::Size => Ok(Entry::with_size(key, size(&value))),
        Needs::Value => Ok(Entry::with_value(key, value)),
    });
    apply(query, stream::iter(entries))
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn holding(entries: &[(&str, &'static str)]) -> MemoryDatastore {
        let datastore = MemoryDatastore::new();
        for &(key, value) in entries {
            let value = Bytes::from_static(value.as_bytes());
            datastore.put(&Key::new(key), value).await.unwrap();
        }
        datastore
    }

    #[tokio::test]
    async fn a_clone_shares_the_values() {
        let datastore = holding(&[("/a", "1")]).await;
        let clone = datastore.clone();
        clone.delete(&Key::new("/a")).await.unwrap();
        assert!(!datastore.has(&Key::new("/a")).await.unwrap());
    }

    #[tokio::test]
    async fn the_root_key_and_keys_below_a_key_with_a_value_are_keys_like_others() {
        let datastore = holding(&[("/", "root"), ("/a", "1"), ("/a/b", "2")]).await;
        for (key, value) in [("/", "root"), ("/a", "1"), ("/a/b", "2")] {
            let found = datastore.get(&Key::new(key)).await.unwrap();
            assert_eq!(found.unwrap(), value, "{key}");
        }
    }

    #[tokio::test]
    async fn the_disk_usage_is_the_sum_of_the_values_sizes() {
        let datastore = holding(&[("/a", "123"), ("/b", ""), ("/c", "12")]).await;
        let usage = datastore.disk_usage().await.unwrap();
        assert_eq!(usage, DiskUsage::new(5, Accuracy::Exact));
        datastore.delete(&Key::new("/a")).await.unwrap();
        assert_eq!(datastore.disk_usage().await.unwrap().bytes, 2);
    }

    #[tokio::test]
    async fn a_stream_begun_before_the_close_comes_to_its_end() {
        let datastore = holding(&[("/a", "1"), ("/b", "2")]).await;
        let stream = datastore.query(Query::new()).await.unwrap();
        datastore.close().await.unwrap();
        let entries: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(entries.len(), 2);
    }

    #[tokio::test]
    async fn closing_one_clone_closes_all_of_them() {
        let datastore = holding(&[("/a", "1")]).await;
        datastore.clone().close().await.unwrap();
        let error = datastore.get(&Key::new("/a")).await.unwrap_err();
        assert!(error.is_closed(), "{error}");
    }

    #[tokio::test]
    async fn a_batch_can_be_discarded_after_the_close() {
        let datastore = holding(&[]).await;
        let batch = datastore.batch().await.unwrap();
        datastore.close().await.unwrap();
        batch.discard().await.unwrap();
    }

    #[tokio::test]
    async fn debug_shows_counts_and_no_contents() {
        let datastore = holding(&[("/secret", "secret")]).await;
        assert_eq!(format!("{datastore:?}"), "MemoryDatastore { values: 1 }");
        let batch = datastore.batch().await.unwrap();
        batch.put(&Key::new("/hidden"), "x".into()).await.unwrap();
        batch.delete(&Key::new("/secret")).await.unwrap();
        let shown = "MemoryBatch { puts: 1, deletes: 1, .. }";
        assert_eq!(format!("{batch:?}"), shown);
        datastore.close().await.unwrap();
        assert_eq!(format!("{datastore:?}"), "MemoryDatastore(closed)");
    }
}
