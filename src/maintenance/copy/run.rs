//! [`Run`]: one run of a copy.

use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::stream::{BoxStream, Peekable, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::consume_budget;

use super::report::{Copied, Tally};
use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::maintenance::compare::{Compared, End, ListingError, compare};
use crate::maintenance::reporter::Reporter;
use crate::query::Query;

/// The maximum number of blocks in a portion. Each takes a few hundred bytes in the batch of a store.
const MAX_BLOCKS: u64 = 8192;
/// The maximum number of bytes in a portion, so that an interrupted copy loses little work.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) source: &'a dyn Datastore,
    pub(super) destination: &'a dyn Datastore,
    pub(super) concurrency: usize,
    pub(super) compares_listings: bool,
    pub(super) uses_batches: bool,
    #[cfg(feature = "verify")]
    pub(super) verified: bool,
    #[cfg(feature = "dag")]
    pub(super) roots: Option<Vec<cid::Cid>>,
    #[cfg(feature = "dag")]
    pub(super) unknown_codec: crate::dag::UnknownCodec,
    pub(super) reporter: Reporter,
    pub(super) tally: Tally,
    /// Permits for the blocks that are being read or have been read, until they are written.
    pub(super) reads: Arc<Semaphore>,
}

/// Blocks that the destination lacks. An error ends the copy.
pub(super) type Blocks<'a> = BoxStream<'a, Result<Block>>;

/// A block that the destination lacks.
pub(super) struct Block {
    pub(super) key: Key,
    pub(super) value: Bytes,
    /// Whether it could not be checked although that was wanted.
    pub(super) is_unchecked: bool,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Run<'_> {
    pub(super) async fn copy(self) -> Result<Copied> {
        let copying = pin!(self.copy_all());
        let counting = pin!(async {
            self.count_keys().await;
            pending().await
        });
        match select(copying, counting).await {
            Either::Left((copied, _)) | Either::Right((copied, _)) => copied?,
        }
        self.reporter.check()?;
        self.destination.sync().await?;
        self.reporter.report().await?;
        Ok(self.tally.take())
    }

    /// Counts the keys of the source for the progress. An error leaves the number unknown.
    async fn count_keys(&self) {
        if !self.reporter.is_watched() || self.has_roots() {
            return;
        }
        let Ok(mut keys) = self.source.query(Query::new().keys_only()).await else {
            return;
        };
        let mut count = 0;
        while let Some(key) = keys.next().await {
            count += u64::from(key.is_ok());
            consume_budget().await;
        }
        // If the callback asks for a stop, the copy notices that itself.
        let known = self
            .reporter
            .advance(|progress| progress.total_blocks = Some(count));
        let _ = known.await;
    }

    #[cfg(feature = "dag")]
    fn has_roots(&self) -> bool {
        self.roots.is_some()
    }

    #[cfg(not(feature = "dag"))]
    fn has_roots(&self) -> bool {
        false
    }

    async fn copy_all(&self) -> Result<()> {
        #[cfg(feature = "dag")]
        if let Some(roots) = &self.roots {
            return self.write(self.missing_of_dags(roots)).await;
        }
        let missing = match self.compares_listings {
            true => self.missing_by_listing().await?,
            false => self.missing_by_lookup().await?,
        };
        let blocks = missing
            // A portion that was begun is still written if the copy is to stop.
            .take_while(|_| ready(self.reporter.check().is_ok()))
            .map(|key| async { self.read(key?).await })
            .buffer_unordered(self.concurrency)
            .filter_map(|read| ready(read.transpose()));
        self.write(blocks.boxed()).await
    }

    /// Returns the keys that the destination lacks, after a lookup of each key of the source.
    async fn missing_by_lookup(&self) -> Result<BoxStream<'_, Result<Key>>> {
        let entries = self.source.query(Query::new().keys_only()).await?;
        let keys = entries.filter_map(|entry| async {
            match entry {
                Ok(entry) => Some(entry.key),
                Err(error) => {
                    self.tally.fail(None, error);
                    None
                }
            }
        });
        let found = self.destination.has_many(keys.boxed());
        Ok(found
            .filter_map(|(key, is_present)| async {
                match is_present {
                    Ok(false) => Some(Ok(key)),
                    Ok(true) => self.present().await,
                    Err(error) => Some(Err(error)),
                }
            })
            .boxed())
    }

    /// Returns the keys that the destination lacks, by the listings of both.
    async fn missing_by_listing(&self) -> Result<BoxStream<'_, Result<Key>>> {
        let query = Query::new().keys_only();
        let compared = compare(self.source, self.destination, query, End::OfFirst).await?;
        Ok(compared
            .filter_map(|compared| async {
                match compared {
                    Ok(Compared::First(entry)) => Some(Ok(entry.key)),
                    Ok(Compared::Both(..)) => self.present().await,
                    Ok(Compared::Second(_)) => {
                        let _ = self.reporter.advance(|_| {}).await;
                        self.reporter.check().err().map(Err)
                    }
                    Err(ListingError::First(error)) => {
                        self.tally.fail(None, error);
                        None
                    }
                    // Whether the destination has the following keys is not known.
                    Err(ListingError::Second(error)) => Some(Err(error)),
                }
            })
            .boxed())
    }

    /// Counts a block that the destination has. Returns an item only to end the stream.
    async fn present(&self) -> Option<Result<Key>> {
        self.tally.count(|copied| copied.present += 1);
        self.done(0).await;
        self.reporter.check().err().map(Err)
    }

    /// Adds a block of the source to the progress. What has begun is completed even if the copy is to stop, so
    /// an error is left to the next [check](Reporter::check).
    pub(super) async fn done(&self, bytes: usize) {
        let advanced = self.reporter.advance(|progress| {
            progress.blocks += 1;
            progress.bytes += bytes as u64;
        });
        let _ = advanced.await;
    }

    /// Waits until a block may be read.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        permit.map_err(|_| Error::Closed)
    }

    /// Reads and checks a block. Returns `None` if it can't be copied.
    async fn read(&self, key: Key) -> Result<Option<Block>> {
        let permit = self.permit().await?;
        let value = match self.source.get(&key).await {
            Ok(Some(value)) => value,
            Ok(None) => {
                self.tally.count(|copied| copied.vanished += 1);
                self.done(0).await;
                return Ok(None);
            }
            Err(error) => {
                self.tally.could_not_read(Some(key), error)?;
                self.done(0).await;
                return Ok(None);
            }
        };
        self.tally.was_read();
        self.done(value.len()).await;
        let is_unchecked = match self.is_checked(&key, &value).await {
            Ok(is_checked) => !is_checked,
            Err(error @ Error::Corrupt { .. }) => {
                self.tally.fail(Some(key), error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(Some(Block {
            key,
            value,
            is_unchecked,
            permit,
        }))
    }

    /// Checks a block against the hash in its key if that is wanted. Returns `false` if it can't be checked.
    #[cfg(feature = "verify")]
    async fn is_checked(&self, key: &Key, value: &Bytes) -> Result<bool> {
        match key.to_cid() {
            _ if !self.verified => Ok(true),
            Some(cid) => check(&cid, key, value).await,
            None => Ok(false),
        }
    }

    #[cfg(not(feature = "verify"))]
    async fn is_checked(&self, _: &Key, _: &Bytes) -> Result<bool> {
        Ok(true)
    }

    /// Writes the blocks. Reads that have begun continue meanwhile: a commit may take longer than a server waits for its
    /// client. The permits bound how many blocks are in the channel.
    async fn write(&self, mut blocks: Blocks<'_>) -> Result<()> {
        let (sender, receiver) = mpsc::unbounded();
        let reading = pin!(async move {
            while let Some(block) = blocks.next().await {
                if sender.unbounded_send(block).is_err() {
                    break;
                }
            }
            drop(sender);
            pending().await
        });
        let receiver = receiver.boxed();
        let writing = pin!(async {
            match self.uses_batches {
                true => self.write_portions(receiver).await,
                false => self.write_each(receiver).await,
            }
        });
        match select(writing, reading).await {
            Either::Left((written, _)) | Either::Right((written, _)) => written,
        }
    }

    /// Writes the blocks one by one, several at a time.
    async fn write_each(&self, blocks: Blocks<'_>) -> Result<()> {
        let writes = blocks.map(|block| async {
            let Block {
                key,
                value,
                is_unchecked,
                permit,
            } = block?;
            drop(permit);
            let bytes = value.len() as u64;
            match self.destination.put(&key, value).await {
                // The key can't be one of the destination's. The others are copied.
                Err(error @ Error::InvalidKey { .. }) => self.tally.fail(Some(key), error),
                put => {
                    put?;
                    self.count_copied(1, bytes, u64::from(is_unchecked));
                }
            }
            Ok(())
        });
        let mut writes = writes.buffer_unordered(self.concurrency);
        while let Some(written) = writes.next().await {
            written?;
        }
        Ok(())
    }

    /// Writes the blocks in portions.
    async fn write_portions(&self, blocks: Blocks<'_>) -> Result<()> {
        let mut blocks = blocks.peekable();
        while Pin::new(&mut blocks).peek().await.is_some() {
            let mut portion = Portion::default();
            let batch = self.destination.batch().await?;
            while let Some(put) = portion.next(&mut blocks).await {
                let Block {
                    key,
                    value,
                    is_unchecked,
                    permit,
                } = put?;
                drop(permit);
                let bytes = value.len() as u64;
                match batch.put(&key, value).await {
                    // The key can't be one of the destination's. The others are copied.
                    Err(error @ Error::InvalidKey { .. }) => {
                        self.tally.fail(Some(key), error);
                        portion.blocks -= 1;
                        portion.bytes -= bytes;
                    }
                    put => {
                        put?;
                        portion.unchecked += u64::from(is_unchecked);
                    }
                }
            }
            batch.commit().await?;
            self.count_copied(portion.blocks, portion.bytes, portion.unchecked);
        }
        Ok(())
    }

    fn count_copied(&self, blocks: u64, bytes: u64, unchecked: u64) {
        self.tally.count(|copied| {
            copied.blocks += blocks;
            copied.bytes += bytes;
            copied.unchecked += unchecked;
        });
    }
}

/// Checks a block against the hash in its CID, and returns whether that is possible.
///
/// # Errors
///
/// Returns [`Error::Corrupt`] with this name if the block has another hash.
#[cfg(feature = "verify")]
pub(super) async fn check(
    cid: &cid::Cid,
    name: &impl std::fmt::Display,
    block: &Bytes,
) -> Result<bool> {
    use crate::hash::{HashError, check_without_blocking};

    match check_without_blocking(*cid.hash(), block).await? {
        Ok(()) => Ok(true),
        Err(mismatch @ HashError::Mismatch) => Err(Error::Corrupt {
            key: name.to_string(),
            reason: mismatch.to_string(),
        }),
        Err(_) => Ok(false),
    }
}

/// The size of a portion.
#[derive(Default)]
struct Portion {
    blocks: u64,
    bytes: u64,
    unchecked: u64,
}

impl Portion {
    /// Takes the next block unless the portion is full.
    async fn next(&mut self, blocks: &mut Peekable<Blocks<'_>>) -> Option<Result<Block>> {
        if self.blocks >= MAX_BLOCKS || self.bytes >= MAX_BYTES {
            return None;
        }
        let next = blocks.next().await;
        if let Some(Ok(block)) = &next {
            self.blocks += 1;
            self.bytes += block.value.len() as u64;
        }
        next
    }
}
