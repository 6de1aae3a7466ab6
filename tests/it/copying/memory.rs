//! The memory of a copy does not grow with the number of blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::maintenance::Copy;
use ds_flatfs::{
    Batch, Datastore, DiskUsage, Entry, EntryStream, Error, Key, MemoryDatastore, Query, Result,
};
use futures::stream::{self, StreamExt};

const BLOCKS: usize = 100_000;

/// How many objects exist, and how many existed at most.
#[derive(Debug, Default)]
struct Alive {
    now: AtomicUsize,
    max: AtomicUsize,
}

/// The bytes of a block, which are counted until they are dropped.
struct Counted(Arc<Alive>);

impl Counted {
    fn new(alive: &Arc<Alive>) -> Self {
        let now = alive.now.fetch_add(1, Ordering::Relaxed) + 1;
        alive.max.fetch_max(now, Ordering::Relaxed);
        Counted(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        b"block"
    }
}

/// As a source it has many blocks, which it makes when they are read. As a destination it has the blocks of
/// `present`, and drops what is put.
#[derive(Debug, Default)]
struct Endless {
    alive: Arc<Alive>,
    keys_ahead: Arc<AtomicUsize>,
    present: MemoryDatastore,
    puts: Arc<AtomicUsize>,
}

fn key(i: usize) -> Key {
    Key::new(format!("/BLOCK-{i:09}"))
}

#[async_trait]
impl Datastore for Endless {
    async fn get(&self, _: &Key) -> Result<Option<Bytes>> {
        // The block is in memory while it is being read.
        let value = Bytes::from_owner(Counted::new(&self.alive));
        tokio::task::yield_now().await;
        Ok(Some(value))
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.present.has(key).await
    }

    async fn get_size(&self, _: &Key) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        if self.present.has(&key(0)).await? {
            return self.present.query(query).await;
        }
        let listed = Arc::clone(&self.keys_ahead);
        Ok(stream::iter(0..BLOCKS)
            .map(move |i| {
                listed.fetch_add(1, Ordering::Relaxed);
                Ok(Entry::from_key(key(i)))
            })
            .boxed())
    }

    async fn put(&self, _: &Key, value: Bytes) -> Result<()> {
        tokio::task::yield_now().await;
        drop(value);
        self.puts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn delete(&self, _: &Key) -> Result<()> {
        Err(Error::Closed)
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        Ok(Box::new(Counting(Arc::clone(&self.puts))))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        Err(Error::Closed)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A batch that counts and drops what is put.
#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Batch for Counting {
    async fn get(&self, _: &Key) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn has(&self, _: &Key) -> Result<bool> {
        Ok(false)
    }

    async fn get_size(&self, _: &Key) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn query(&self, _: Query) -> Result<EntryStream> {
        Err(Error::Closed)
    }

    async fn put(&self, _: &Key, _: Bytes) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn delete(&self, _: &Key) -> Result<()> {
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_copy_of_many_blocks_keeps_as_many_in_memory_as_it_reads_and_writes_at_a_time() {
    for is_remote in [false, true] {
        let (source, destination) = (Endless::default(), Endless::default());
        let present = MemoryDatastore::new();
        present.put(&key(0), Bytes::new()).await.unwrap();
        let destination = Endless {
            present,
            ..destination
        };
        let copy = Copy::new(&source, &destination).compare_listings(is_remote);
        let copied = copy
            .batches(!is_remote)
            .concurrency(8.try_into().unwrap())
            .run()
            .await
            .unwrap();
        assert_eq!((copied.blocks, copied.present), (BLOCKS as u64 - 1, 1));
        assert_eq!(destination.puts.load(Ordering::Relaxed), BLOCKS - 1);
        let max = source.alive.max.load(Ordering::Relaxed);
        // Eight are being read, eight written, and one waits for a portion.
        assert!(max <= 17, "{max} blocks in memory");
    }
}
