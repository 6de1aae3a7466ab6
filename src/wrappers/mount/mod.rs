//! [`Mount`]: several datastores as one, each under a prefix.

mod batch;
mod builder;
mod mounts;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;

use self::batch::MountBatch;
pub use self::builder::MountBuilder;
use self::mounts::{MountPoint, MountTable};
use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query, merge};
use crate::wrappers::bulk;

/// Several datastores as one, each mounted under a prefix: go-datastore's `mount`.
///
/// A key belongs to the datastore with the longest matching prefix, which stores it without the prefix. With datastores
/// under `/blocks` and `/`, the key `/blocks/A` is the key `/A` of the first one, and `/blocks2` is the key `/blocks2`
/// of the second one. What the second one has below `/blocks` is hidden, even from queries. Mount each datastore only
/// once.
///
/// A key under no mount has no value. Putting it returns [`Error::InvalidKey`](crate::Error::InvalidKey).
///
/// A query runs on all datastores that it concerns, and their results are merged. Without orders the datastores are
/// read one after another, in the order in which they were mounted. A bulk read takes many keys at a time, and makes
/// one call to each datastore for its keys among them.
///
/// [`sync`](Datastore::sync) and [`close`](Datastore::close) call all datastores and return the first error.
/// [`disk_usage`](Datastore::disk_usage) is the sum, and as accurate as the least accurate of them.
///
/// # Batches
///
/// A batch begins one batch in each datastore that it writes to, and commits them one after another, in the order in
/// which the datastores were mounted. **Across datastores a commit is not all or nothing**: if one of the batches
/// cannot be committed, the earlier ones stay committed, and it and the later ones are discarded. The error is
/// [`Error::PartlyCommitted`](crate::Error::PartlyCommitted), or the error of the datastore if nothing was committed.
/// A crash between two commits has the same effect. Therefore, mount a datastore before others that refer to it: the
/// blocks before an index of the blocks. Dropping the future of a commit does not stop it between two datastores.
///
/// ```
/// use ds_flatfs::wrappers::Mount;
/// use ds_flatfs::{Datastore, FlatFs, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// let repo = Mount::builder()
///     .mount("/blocks", FlatFs::options().open_or_create(path).await?)
///     .mount("/", MemoryDatastore::new())
///     .build()?;
/// repo.put(&Key::new("/blocks/CIQONE"), "a file".into()).await?;
/// repo.put(&Key::new("/local/filesroot"), "in memory".into()).await?;
/// repo.close().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mount {
    table: Arc<MountTable<Arc<MountPoint>>>,
}

impl Mount {
    /// Returns a builder without mounts.
    pub fn builder() -> MountBuilder {
        MountBuilder::default()
    }

    /// Returns the prefixes in the order in which they were mounted.
    pub fn prefixes(&self) -> impl Iterator<Item = &Key> {
        self.table.iter().map(|mount| &mount.prefix)
    }
}

#[async_trait]
impl Datastore for Mount {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.table.find(key)? {
            Some((mount, inner)) => mount.map_error(mount.datastore.get(&inner).await),
            None => Ok(None),
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.table.find(key)? {
            Some((mount, inner)) => mount.map_error(mount.datastore.has(&inner).await),
            None => Ok(false),
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.table.find(key)? {
            Some((mount, inner)) => mount.map_error(mount.datastore.get_size(&inner).await),
            None => Ok(None),
        }
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        bulk::read(
            keys,
            |key| self.table.route(key),
            |mount, keys| mount.map_results(mount.datastore.get_many(keys)),
        )
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        bulk::read(
            keys,
            |key| self.table.route(key),
            |mount, keys| mount.map_results(mount.datastore.has_many(keys)),
        )
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut parts = Vec::new();
        for (mount, inner) in self.table.queries(&query)? {
            let entries = mount.map_error(mount.datastore.query(inner).await)?;
            parts.push(mount.map_entries(entries));
        }
        Ok(merge(&query, parts))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let (mount, inner) = self.table.find_to_put(key)?;
        mount.map_error(mount.datastore.put(&inner, value).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.table.find(key)? {
            Some((mount, inner)) => mount.map_error(mount.datastore.delete(&inner).await),
            None => Ok(()),
        }
    }

    async fn sync(&self) -> Result<()> {
        self.table.check_open()?;
        let syncs = self.table.iter();
        let syncs = syncs.map(|mount| async { mount.map_error(mount.datastore.sync().await) });
        join_all(syncs).await.into_iter().collect()
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.table.check_open()?;
        Ok(Box::new(MountBatch::new(&self.table)))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.table.check_open()?;
        let mut sum = DiskUsage::new(0, Accuracy::Exact);
        for mount in self.table.iter() {
            let usage = mount.datastore.disk_usage().await?;
            sum.bytes = sum.bytes.saturating_add(usage.bytes);
            sum.accuracy = least_accurate(sum.accuracy, usage.accuracy);
        }
        Ok(sum)
    }

    async fn close(&self) -> Result<()> {
        self.table.set_closed();
        let closes = self.table.iter();
        let closes = closes.map(|mount| async { mount.map_error(mount.datastore.close().await) });
        join_all(closes).await.into_iter().collect()
    }
}

/// Returns the lower of two accuracies.
fn least_accurate(a: Accuracy, b: Accuracy) -> Accuracy {
    let doubt = |accuracy: &Accuracy| match accuracy {
        Accuracy::Exact => 0,
        Accuracy::Approximate => 1,
        Accuracy::TimedOut => 2,
        Accuracy::Unknown => 3,
    };
    std::cmp::max_by_key(a, b, doubt)
}
