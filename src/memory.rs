//! [`MemoryDatastore`]: a datastore that keeps its values in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{Entry, EntryStream, Needs, Query, apply};
use crate::sync;

type Values = BTreeMap<Key, Bytes>;

/// A datastore that keeps its values in memory and accepts any key, for tests and for data that does not have to
/// outlive the process.
///
/// Clones are cheap and share the values. Closing one handle closes all of them and frees the values.
///
/// A query reads a snapshot that is taken when the query begins and that shares the bytes of the values.
/// Therefore the stream of a query that began before the datastore was closed still returns all entries. After the
/// close a batch returns [`Error::Closed`] like the datastore itself, but can still be discarded.
///
/// A batch is applied as a whole, while no other call has access to the values. If a batch puts the same key twice,
/// the last value takes effect.
///
/// [`disk_usage`](Datastore::disk_usage) is the sum of the sizes of the values, and [`sync`](Datastore::sync) does
/// nothing.
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
    /// Creates an empty datastore.
    #[must_use]
    pub fn new() -> Self {
        MemoryDatastore {
            values: Arc::new(RwLock::new(Some(Values::new()))),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Values) -> T) -> Result<T> {
        let values = sync::read(&self.values);
        values.as_ref().map(read).ok_or(Error::Closed)
    }

    fn write<T>(&self, write: impl FnOnce(&mut Values) -> T) -> Result<T> {
        let mut values = sync::write(&self.values);
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
        Ok(run_query(query, self.read(Values::clone)?))
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
        *sync::write(&self.values) = None;
        Ok(())
    }
}

/// A batch of a [`MemoryDatastore`].
struct MemoryBatch {
    datastore: MemoryDatastore,
    staged: Mutex<Staged>,
}

/// The last write of each key; `None` is a delete.
type Staged = BTreeMap<Key, Option<Bytes>>;

fn apply_writes(staged: &Staged, values: &mut Values) {
    for (key, value) in staged {
        match value {
            Some(value) => values.insert(key.clone(), value.clone()),
            None => values.remove(key),
        };
    }
}

impl MemoryBatch {
    fn staged(&self) -> MutexGuard<'_, Staged> {
        sync::lock(&self.staged)
    }

    fn value(&self, key: &Key) -> Result<Option<Bytes>> {
        let stored = self.datastore.value(key)?;
        Ok(self.staged().get(key).cloned().unwrap_or(stored))
    }

    fn write(&self, key: &Key, value: Option<Bytes>) -> Result<()> {
        self.datastore.check_open()?;
        self.staged().insert(key.clone(), value);
        Ok(())
    }
}

impl fmt::Debug for MemoryBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let staged = self.staged();
        let puts = staged.values().flatten().count();
        f.debug_struct("MemoryBatch")
            .field("puts", &puts)
            .field("deletes", &(staged.len() - puts))
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
        apply_writes(&self.staged(), &mut values);
        Ok(run_query(query, values))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.write(key, Some(value))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write(key, None)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let staged = self.staged();
        self.datastore.write(|values| apply_writes(&staged, values))
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn size(value: &Bytes) -> u64 {
    value.len() as u64
}

fn run_query(query: Query, values: Values) -> EntryStream {
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

    async fn datastore_of(entries: &[(&str, &'static str)]) -> MemoryDatastore {
        let datastore = MemoryDatastore::new();
        for &(key, value) in entries {
            let value = Bytes::from_static(value.as_bytes());
            datastore.put(&Key::new(key), value).await.unwrap();
        }
        datastore
    }

    #[tokio::test]
    async fn a_clone_shares_the_values() {
        let datastore = datastore_of(&[("/a", "1")]).await;
        let clone = datastore.clone();
        clone.delete(&Key::new("/a")).await.unwrap();
        assert!(!datastore.has(&Key::new("/a")).await.unwrap());
    }

    #[tokio::test]
    async fn the_root_key_and_keys_below_a_key_with_a_value_can_have_values() {
        let datastore = datastore_of(&[("/", "root"), ("/a", "1"), ("/a/b", "2")]).await;
        for (key, value) in [("/", "root"), ("/a", "1"), ("/a/b", "2")] {
            let found = datastore.get(&Key::new(key)).await.unwrap();
            assert_eq!(found.unwrap(), value, "{key}");
        }
    }

    #[tokio::test]
    async fn the_disk_usage_is_the_sum_of_the_sizes_of_the_values() {
        let datastore = datastore_of(&[("/a", "123"), ("/b", ""), ("/c", "12")]).await;
        let usage = datastore.disk_usage().await.unwrap();
        assert_eq!(usage, DiskUsage::new(5, Accuracy::Exact));
        datastore.delete(&Key::new("/a")).await.unwrap();
        assert_eq!(datastore.disk_usage().await.unwrap().bytes, 2);
    }

    #[tokio::test]
    async fn a_stream_that_began_before_the_close_returns_all_entries() {
        let datastore = datastore_of(&[("/a", "1"), ("/b", "2")]).await;
        let stream = datastore.query(Query::new()).await.unwrap();
        datastore.close().await.unwrap();
        let entries: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(entries.len(), 2);
    }

    #[tokio::test]
    async fn closing_one_clone_closes_all_of_them() {
        let datastore = datastore_of(&[("/a", "1")]).await;
        datastore.clone().close().await.unwrap();
        let error = datastore.get(&Key::new("/a")).await.unwrap_err();
        assert!(error.is_closed(), "{error}");
    }

    #[tokio::test]
    async fn the_last_value_that_a_batch_puts_under_a_key_takes_effect() {
        let datastore = datastore_of(&[("/pins", "old")]).await;
        let batch = datastore.batch().await.unwrap();
        for (key, values) in [("/pins", ["first", "last"]), ("/local", ["1", "2"])] {
            for value in values {
                batch.put(&Key::new(key), value.into()).await.unwrap();
            }
        }
        assert_eq!(
            batch.get(&Key::new("/pins")).await.unwrap().unwrap(),
            "last"
        );
        batch.commit().await.unwrap();
        assert_eq!(
            datastore.value(&Key::new("/pins")).unwrap().unwrap(),
            "last"
        );
        assert_eq!(datastore.value(&Key::new("/local")).unwrap().unwrap(), "2");
    }

    #[tokio::test]
    async fn a_batch_can_be_discarded_after_the_close() {
        let datastore = datastore_of(&[]).await;
        let batch = datastore.batch().await.unwrap();
        datastore.close().await.unwrap();
        batch.discard().await.unwrap();
    }

    #[tokio::test]
    async fn debug_output_has_counts_and_no_contents() {
        let datastore = datastore_of(&[("/secret", "secret")]).await;
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
