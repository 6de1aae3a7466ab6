//! Reads of many blocks: what memory knows here and now, the rest many blocks a job.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, Fuse, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::read::Lookup;
use super::{FlatFs, Store};
use crate::blocking;
use crate::datastore::{KeyStream, ResultStream};
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;

/// How many keys are taken ahead at most,
const KEYS: usize = 1024;
/// and how many of these are for the disk;
const FROM_DISK: usize = 128;
/// and how many bytes of blocks wait for their turn, but for the last block of each job.
const BYTES: usize = 4 << 20;
/// How many jobs the reads from disk are shared by: a disk serves several readers at once.
const JOBS: usize = 8;
/// A job with less than so many blocks costs more than it saves.
const SHARE: usize = 8;

impl FlatFs {
    /// The blocks of many keys, each with its key, in the order of the keys. A key that no block can have
    /// is not there.
    ///
    /// Blocks that memory knows are answered as they are asked for. Where one isn't, keys are taken ahead,
    /// as many as are ready, and up to 128 blocks are read as up to eight jobs. So it keeps no more than
    /// about 8 MiB of blocks, and one for each job, however many keys there are.
    ///
    /// # Errors
    ///
    /// In the answers, those of [`get`](FlatFs::get): each is about its key alone, and the others still
    /// come.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing. Dropping the stream ends the reads.
    pub fn get_many<'a>(&self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        answers(&self.store, keys, Lookup::BLOCK)
    }

    /// Whether the blocks of many keys are there; as [`get_many`](FlatFs::get_many), but without their
    /// contents.
    ///
    /// # Errors
    ///
    /// As for [`get_many`](FlatFs::get_many).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing. Dropping the stream ends the reads.
    pub fn has_many<'a>(&self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        let sizes = answers(&self.store, keys, Lookup::size("has"));
        sizes
            .map(|(key, size)| (key, size.map(|size| size.is_some())))
            .boxed()
    }
}

/// How a block is looked up, and where.
struct Reader<T> {
    store: Arc<Store>,
    lookup: Lookup<T>,
}

/// How far a key has come that was taken.
enum Found<T> {
    Answer(Result<Option<T>>),
    /// Memory didn't know.
    OnDisk(BlockKey),
}

/// Where the reads of many blocks stand.
struct Reads<'a, T> {
    reader: Reader<T>,
    keys: Fuse<KeyStream<'a>>,
    /// Keys that were taken, in their order.
    taken: VecDeque<(Key, Found<T>)>,
}

fn answers<'a, T: Send + Sync + 'static>(
    store: &Arc<Store>,
    keys: KeyStream<'a>,
    lookup: Lookup<T>,
) -> ResultStream<'a, Option<T>> {
    let store = Arc::clone(store);
    let reads = Reads {
        reader: Reader { store, lookup },
        keys: keys.fuse(),
        taken: VecDeque::new(),
    };
    let answers = stream::unfold(reads, |mut reads| async move {
        let answer = reads.next().await?;
        Some((answer, reads))
    });
    answers.fuse().boxed()
}

impl<T: Send + Sync + 'static> Reads<'_, T> {
    async fn next(&mut self) -> Option<(Key, Result<Option<T>>)> {
        loop {
            let (key, found) = match self.taken.pop_front() {
                Some(first) => first,
                None => {
                    let key = self.keys.next().await?;
                    let found = self.reader.ask_memory(&key).await;
                    (key, found)
                }
            };
            match found {
                Found::Answer(answer) => return Some((key, answer)),
                Found::OnDisk(_) => self.taken.push_front((key, found)),
            }
            self.take_more().await;
            self.read().await;
        }
    }

    /// Takes the keys that are ready, within the limits. It waits for none: who makes them may wait for
    /// the answers.
    async fn take_more(&mut self) {
        let (mut bytes, mut on_disk) = (0, 0);
        for (_, found) in &self.taken {
            bytes += self.reader.weight(found);
            on_disk += usize::from(found.is_on_disk());
        }
        while self.taken.len() < KEYS && on_disk < FROM_DISK && bytes < BYTES {
            let Poll::Ready(Some(key)) = futures::poll!(self.keys.next()) else {
                return;
            };
            let found = self.reader.ask_memory(&key).await;
            bytes += self.reader.weight(&found);
            on_disk += usize::from(found.is_on_disk());
            self.taken.push_back((key, found));
        }
    }

    /// Reads from disk what memory didn't know: the first of these keys, and as many others as there are
    /// permits and limits for.
    async fn read(&mut self) {
        let found = self.taken.iter_mut().map(|(_, found)| found);
        let mut wanted: Vec<_> = found.filter(|found| found.is_on_disk()).collect();
        let share = wanted.len().div_ceil(JOBS).max(SHARE);
        let mut jobs = Vec::new();
        for share in wanted.chunks_mut(share) {
            // Only the first job waits for a permit: a consumer who takes his time must not hold places
            // in the queue beside permits.
            let permit = if jobs.is_empty() {
                self.reader.store.file_permit().await
            } else {
                match Arc::clone(&self.reader.store.files).try_acquire_owned() {
                    Ok(permit) => Ok(permit),
                    Err(_) => break,
                }
            };
            let blocks = share.iter().filter_map(|found| found.block());
            let reading = self.reader.read(permit, blocks.cloned().collect());
            jobs.push(async move {
                // An error of the job is the answer of its first block.
                let answers = reading.await.unwrap_or_else(|error| vec![Err(error)]);
                for (found, answer) in share.iter_mut().zip(answers) {
                    **found = Found::Answer(answer);
                }
            });
        }
        join_all(jobs).await;
    }
}

impl<T> Found<T> {
    fn block(&self) -> Option<&BlockKey> {
        match self {
            Found::Answer(_) => None,
            Found::OnDisk(block) => Some(block),
        }
    }

    fn is_on_disk(&self) -> bool {
        self.block().is_some()
    }
}

impl<T: Send + 'static> Reader<T> {
    async fn ask_memory(&self, key: &Key) -> Found<T> {
        // A task that finds everything in memory would never let others run.
        tokio::task::consume_budget().await;
        if let Err(closed) = self.store.check_open() {
            return Found::Answer(Err(closed));
        }
        let Ok(block) = BlockKey::new(key) else {
            return Found::Answer(self.lookup.remembered(key, None));
        };
        match (self.lookup.from_memory)(&self.store, &block) {
            Some(found) => Found::Answer(self.lookup.remembered(key, found)),
            None => Found::OnDisk(block),
        }
    }

    fn weight(&self, found: &Found<T>) -> usize {
        match found {
            Found::Answer(answer) => self.lookup.weight(answer),
            Found::OnDisk(_) => 0,
        }
    }

    /// Reads blocks one after the other as one job: the first of them, and as many others as its part of
    /// the bytes allows.
    fn read(
        &self,
        permit: Result<OwnedSemaphorePermit>,
        blocks: Vec<BlockKey>,
    ) -> impl Future<Output = Result<Vec<Result<Option<T>>>>> + use<T> {
        let (store, lookup) = (Arc::clone(&self.store), self.lookup);
        async move {
            let held = (permit?, store.begin_read()?);
            blocking::run(move || {
                let mut answers = Vec::with_capacity(blocks.len());
                let mut bytes = 0;
                for block in &blocks {
                    let answer = lookup.read(&store, block);
                    bytes += lookup.weight(&answer);
                    answers.push(answer);
                    if bytes >= BYTES / JOBS {
                        break;
                    }
                }
                // A close may wait for what is held, and then nobody may have the store.
                drop(store);
                drop(held);
                Ok(answers)
            })
            .await
        }
    }
}
