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
use self::mounts::{Mounted, Mounts};
use crate::datastore::{Accuracy, Batch, Datastore, DiskUsage, KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query, merge};
use crate::wrappers::bulk;

/// Several datastores as one, each mounted under a prefix: go-datastore's `mount`.
///
/// A key belongs to the datastore with the longest prefix that it has, which knows it without that
/// prefix: with `/blocks` and `/` mounted, `/blocks/A` is the key `/A` of the first, `/blocks2` the key
/// `/blocks2` of the second. What the second has below `/blocks` is hidden, from queries too. Each
/// datastore should be mounted once.
///
/// A key under no mount has no value; putting it is an [`Error::InvalidKey`](crate::Error::InvalidKey).
///
/// A query asks every datastore that it concerns, and merges their answers as they come. Without orders
/// it reads them one after the other, in the order in which they were mounted. Calls for many keys are
/// passed on: each datastore is asked with one call about all of its keys that are taken together.
///
/// [`sync`](Datastore::sync) and [`close`](Datastore::close) try all datastores, and report the first
/// error. [`disk_usage`](Datastore::disk_usage) is the sum, and as accurate as the least accurate.
///
/// # Batches
///
/// A batch begins one in each datastore that it writes to, and commits them one after the other, in the
/// order in which they were mounted. **Across datastores it is not all or nothing**: if one can't be
/// committed, those before it stay committed, and it and those behind it are discarded. The error is
/// then [`Error::PartlyCommitted`](crate::Error::PartlyCommitted), or the datastore's own if nothing was
/// committed. A crash between two commits has the same effect. So mount the datastores first that others
/// refer to, blocks before an index of them. Dropping the future of a commit stops nothing in between.
///
/// ```
/// use std::sync::Arc;
/// use ds_flatfs::wrappers::Mount;
/// use ds_flatfs::{Datastore, FlatFs, Key, MemoryDatastore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// let repo = Mount::builder()
///     .mount("/blocks", Arc::new(FlatFs::options().open_or_create(path).await?))
///     .mount("/", Arc::new(MemoryDatastore::new()))
///     .build()?;
/// repo.put(&Key::new("/blocks/CIQONE"), "a file".into()).await?;
/// repo.put(&Key::new("/local/filesroot"), "in memory".into()).await?;
/// repo.close().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mount {
    mounts: Arc<Mounts<Arc<Mounted>>>,
}

impl Mount {
    /// Nothing is mounted yet.
    pub fn builder() -> MountBuilder {
        MountBuilder::default()
    }

    /// The prefixes, in the order in which they were mounted.
    pub fn prefixes(&self) -> impl Iterator<Item = &Key> {
        self.mounts.iter().map(|mount| &mount.prefix)
    }
}

#[async_trait]
impl Datastore for Mount {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.mounts.find(key)? {
            Some((mount, below)) => mount.renamed(mount.datastore.get(&below).await),
            None => Ok(None),
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.mounts.find(key)? {
            Some((mount, below)) => mount.renamed(mount.datastore.has(&below).await),
            None => Ok(false),
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.mounts.find(key)? {
            Some((mount, below)) => mount.renamed(mount.datastore.get_size(&below).await),
            None => Ok(None),
        }
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        bulk::answers(
            keys,
            |key| self.mounts.place(key),
            |mount, keys| mount.answers(mount.datastore.get_many(keys)),
        )
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        bulk::answers(
            keys,
            |key| self.mounts.place(key),
            |mount, keys| mount.answers(mount.datastore.has_many(keys)),
        )
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let mut answers = Vec::new();
        for (mount, part) in self.mounts.parts(&query)? {
            let entries = mount.renamed(mount.datastore.query(part).await)?;
            answers.push(mount.answer(entries));
        }
        Ok(merge(&query, answers))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let (mount, below) = self.mounts.find_to_put(key)?;
        mount.renamed(mount.datastore.put(&below, value).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.mounts.find(key)? {
            Some((mount, below)) => mount.renamed(mount.datastore.delete(&below).await),
            None => Ok(()),
        }
    }

    async fn sync(&self) -> Result<()> {
        self.mounts.check_open()?;
        let syncs = self.mounts.iter();
        let syncs = syncs.map(|mount| async { mount.renamed(mount.datastore.sync().await) });
        join_all(syncs).await.into_iter().collect()
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.mounts.check_open()?;
        Ok(Box::new(MountBatch::new(&self.mounts)))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.mounts.check_open()?;
        let mut sum = DiskUsage::new(0, Accuracy::Exact);
        for mount in self.mounts.iter() {
            let usage = mount.datastore.disk_usage().await?;
            sum.bytes = sum.bytes.saturating_add(usage.bytes);
            sum.accuracy = least(sum.accuracy, usage.accuracy);
        }
        Ok(sum)
    }

    async fn close(&self) -> Result<()> {
        self.mounts.set_closed();
        let closes = self.mounts.iter();
        let closes = closes.map(|mount| async { mount.renamed(mount.datastore.close().await) });
        join_all(closes).await.into_iter().collect()
    }
}

/// The one of two accuracies that can be trusted less.
fn least(a: Accuracy, b: Accuracy) -> Accuracy {
    let doubt = |accuracy: &Accuracy| match accuracy {
        Accuracy::Exact => 0,
        Accuracy::Approximate => 1,
        Accuracy::TimedOut => 2,
        Accuracy::Unknown => 3,
    };
    std::cmp::max_by_key(a, b, doubt)
}
