//! Reads of many blocks: cached reads first, and the other blocks in jobs of many blocks each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, Fuse, Stream, StreamExt};

use super::blocks::Lookup;
use super::flatfs::FlatFs;
use super::read::{BlockRead, fill_filters};
use super::shared::{Store, StoreGuard};
use crate::blocking;
use crate::datastore::{KeyStream, ResultStream};
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;

/// The maximum number of keys that are taken ahead.
const MAX_KEYS: usize = 1024;
/// The maximum number of these keys whose blocks have to be read from disk.
const MAX_ON_DISK: usize = 128;
/// The maximum number of bytes of blocks that are read ahead, not counting the last block of each job.
const MAX_BYTES: usize = 4 << 20;
/// The maximum number of jobs that share the reads from disk. A disk can serve several reads at a time.
const MAX_JOBS: usize = 8;
/// The minimum number of blocks for another job. A job for fewer blocks costs more than it saves.
const MIN_BLOCKS_PER_JOB: usize = 8;

impl FlatFs {
    /// Returns the blocks of many keys, each with its key, in the order of the keys. A key that no block can have is
    /// absent. The stream does not borrow the store. [`transpose`](crate::ResultStreamExt::transpose) makes the first
    /// error end a `try_collect`.
    ///
    /// A block that a cached read finds is returned when the stream is polled for it. At a block that is not cached,
    /// the stream takes more keys, as many as are ready, and reads up to 128 blocks in up to eight jobs. So it keeps
    /// at most about 8 MiB of blocks in memory, plus one block per job, for any number of keys.
    ///
    /// # Errors
    ///
    /// Each result can be an error of [`get`](FlatFs::get). It concerns its key alone, and the stream
    /// continues.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the stream ends the reads and changes nothing.
    pub fn get_many<'a>(
        &self,
        keys: impl Stream<Item = Key> + Send + 'a,
    ) -> ResultStream<'a, Option<Bytes>> {
        results(&self.store, keys.boxed(), BlockRead::VALUE)
    }

    /// Returns whether the blocks of many keys exist. Otherwise it is like [`get_many`](FlatFs::get_many).
    ///
    /// # Errors
    ///
    /// As for [`get_many`](FlatFs::get_many).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the stream ends the reads and changes nothing.
    pub fn has_many<'a>(
        &self,
        keys: impl Stream<Item = Key> + Send + 'a,
    ) -> ResultStream<'a, bool> {
        let sizes = results(&self.store, keys.boxed(), BlockRead::size("has"));
        sizes
            .map(|(key, size)| (key, size.map(|size| size.is_some())))
            .boxed()
    }
}

/// A kind of read, and the store that it reads from.
struct Reader<T> {
    store: Arc<Store>,
    read: BlockRead<T>,
}

/// The progress of the read of one key.
enum Progress<T> {
    Done(Result<Option<T>>),
    /// The block is not cached and must be read from disk.
    OnDisk(BlockKey),
}

/// The reads of many blocks, as a stream.
struct BulkRead<'a, T> {
    reader: Reader<T>,
    keys: Fuse<KeyStream<'a>>,
    /// The keys that were taken, in their order.
    taken: VecDeque<(Key, Progress<T>)>,
}

fn results<'a, T: Send + Sync + 'static>(
    store: &Arc<Store>,
    keys: KeyStream<'a>,
    read: BlockRead<T>,
) -> ResultStream<'a, Option<T>> {
    let store = Arc::clone(store);
    let reads = BulkRead {
        reader: Reader { store, read },
        keys: keys.fuse(),
        taken: VecDeque::new(),
    };
    let results = stream::unfold(reads, |mut reads| async move {
        let result = reads.next().await?;
        Some((result, reads))
    });
    results.fuse().boxed()
}

impl<T: Send + Sync + 'static> BulkRead<'_, T> {
    async fn next(&mut self) -> Option<(Key, Result<Option<T>>)> {
        loop {
            let (key, progress) = match self.taken.pop_front() {
                Some(first) => first,
                None => {
                    let key = self.keys.next().await?;
                    let progress = self.reader.read_cached(&key).await;
                    (key, progress)
                }
            };
            match progress {
                Progress::Done(result) => return Some((key, result)),
                Progress::OnDisk(_) => self.taken.push_front((key, progress)),
            }
            self.take_more().await;
            self.read().await;
        }
    }

    /// Takes the keys that are ready, within the limits. It does not wait for a key: the caller may need
    /// results to produce the next one.
    async fn take_more(&mut self) {
        let (mut bytes, mut on_disk) = (0, 0);
        for (_, progress) in &self.taken {
            bytes += self.reader.size_in_memory(progress);
            on_disk += usize::from(progress.is_on_disk());
        }
        while self.taken.len() < MAX_KEYS && on_disk < MAX_ON_DISK && bytes < MAX_BYTES {
            let Poll::Ready(Some(key)) = futures::poll!(self.keys.next()) else {
                return;
            };
            let progress = self.reader.read_cached(&key).await;
            bytes += self.reader.size_in_memory(&progress);
            on_disk += usize::from(progress.is_on_disk());
            self.taken.push_back((key, progress));
        }
    }

    /// Reads the blocks that are not cached from disk: the first of them, and as many others as permits and
    /// limits allow.
    async fn read(&mut self) {
        let taken = self.taken.iter_mut().map(|(_, progress)| progress);
        let mut wanted: Vec<_> = taken.filter(|progress| progress.is_on_disk()).collect();
        let chunk = wanted.len().div_ceil(MAX_JOBS).max(MIN_BLOCKS_PER_JOB);
        let mut jobs = Vec::new();
        for chunk in wanted.chunks_mut(chunk) {
            let store = &self.reader.store;
            // Only the first job waits for a permit: a stream with a slow consumer must not hold permits while
            // it waits in the queue for another one.
            let guard = if jobs.is_empty() {
                store.begin_read().await
            } else {
                match store.open_files.try_permit() {
                    Some(permit) => store.begin_read_with(permit),
                    None => break,
                }
            };
            let blocks = chunk.iter().filter_map(|progress| progress.block());
            let reading = read_chunk(guard, self.reader.read, blocks.cloned().collect());
            jobs.push(async move {
                // An error of the job is the result of its first block.
                let results = reading.await.unwrap_or_else(|error| vec![Err(error)]);
                for (progress, result) in chunk.iter_mut().zip(results) {
                    **progress = Progress::Done(result);
                }
            });
        }
        join_all(jobs).await;
    }
}

impl<T> Progress<T> {
    fn block(&self) -> Option<&BlockKey> {
        match self {
            Progress::Done(_) => None,
            Progress::OnDisk(block) => Some(block),
        }
    }

    fn is_on_disk(&self) -> bool {
        self.block().is_some()
    }
}

impl<T: Send + 'static> Reader<T> {
    async fn read_cached(&self, key: &Key) -> Progress<T> {
        // Without this, a task whose reads are all cached would never yield to other tasks.
        tokio::task::consume_budget().await;
        if let Err(closed) = self.store.lifecycle.check_open() {
            return Progress::Done(Err(closed));
        }
        let Ok(block) = BlockKey::new(key) else {
            return Progress::Done(self.read.report_cached(key, None));
        };
        match (self.read.from_cache)(&self.store.blocks, &block) {
            Lookup::Found(found) => Progress::Done(self.read.report_cached(key, Some(found))),
            Lookup::Excluded | Lookup::Absent => Progress::Done(self.read.report_cached(key, None)),
            Lookup::Unknown => Progress::OnDisk(block),
        }
    }

    fn size_in_memory(&self, progress: &Progress<T>) -> usize {
        match progress {
            Progress::Done(result) => self.read.size_in_memory(result),
            Progress::OnDisk(_) => 0,
        }
    }
}

/// Reads blocks one after another as one job: the first of them, and as many others as its share of the byte
/// limit allows.
async fn read_chunk<T: Send + 'static>(
    guard: Result<StoreGuard>,
    read: BlockRead<T>,
    blocks: Vec<BlockKey>,
) -> Result<Vec<Result<Option<T>>>> {
    let guard = guard?;
    blocking::run(move || {
        let mut results = Vec::with_capacity(blocks.len());
        let mut absent = Vec::new();
        let mut bytes = 0;
        for block in blocks {
            let result = read.run(&guard.blocks, &block);
            bytes += read.size_in_memory(&result);
            if let Ok(None) = result {
                absent.push(block);
            }
            results.push(result);
            if bytes >= MAX_BYTES / MAX_JOBS {
                break;
            }
        }
        fill_filters(guard, absent);
        Ok(results)
    })
    .await
}
