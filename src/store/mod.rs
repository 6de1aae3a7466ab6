//! [`FlatFs`]: blocks in sharded directories, one file each.
//!
//! Every operation that takes several steps on disk is one job on the blocking pool, which owns its
//! key's turn, its permit and its bytes: it runs to its end even if nobody waits for it any more. So
//! no future that is dropped leaves anything half done.

mod block;
mod bulk;
mod commit_log;
mod create;
mod flusher;
mod group_commit;
mod key_locks;
mod kubo_lock;
mod lifecycle;
mod open;
mod opener;
mod options;
mod read;
mod resharding;
mod scan;
mod shard_dirs;
mod stale_check;
mod teardown;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

pub(crate) use self::commit_log::CommittedBatch;
use self::commit_log::Unfinished;
use self::flusher::Flusher;
pub(crate) use self::flusher::Target;
use self::group_commit::DurableWrite;
pub(crate) use self::key_locks::{KeyLock, KeyLocks};
pub use self::kubo_lock::KuboLock;
use self::lifecycle::Lifecycle;
pub(crate) use self::open::Purpose;
pub(crate) use self::opener::{DirState, Opener, locate};
pub use self::options::{Durability, ExistingBlock, Options};
pub(crate) use self::scan::walk;
use self::shard_dirs::ShardDirs;
use crate::blocking::{self, Crew, Task};
use crate::datastore::DiskUsage;
use crate::disk::{CachedReads, Disk};
use crate::disk_usage::UsageTracker;
use crate::error::{Error, Result};
use crate::format::Layout;
use crate::format::Shard;
use crate::observe::{self, Operation, target};
use crate::query::{EntryStream, Query};

/// A datastore of blocks on disk, one file each, in directories picked by a [`Shard`] function:
/// go-ds-flatfs's format, byte for byte.
///
/// A key is `/` and 1 to 250 of `0-9 A-Z + - _ =`. Writing another one is an error, reading one says
/// "not there".
///
/// A clone is another handle to the same store. It is opened and created through [`Options`], and
/// should be [closed](FlatFs::close). What was acknowledged is safe without that; but then the next open
/// has to count the disk usage anew, and may find the lock still held by work that goes on in the
/// background. A handle keeps the store's directory open, also after the close: drop them all before a
/// file system is to be unmounted.
///
/// Poll a future to its end, or drop it. One that is kept and polled no more, as `select!` leaves one that
/// stands outside of it, may have its key's turn or the right to have one more file open, for which others
/// wait; and a [close](FlatFs::close) waits for a commit or a discard that is kept so.
///
/// ```
/// use bytes::Bytes;
/// use ds_flatfs::{FlatFs, Key};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// let store = FlatFs::options().open_or_create(path).await?;
/// let key = Key::new("CIQJ23BL4UHXA2KTI6NLTXZM4PW4VEFWQBJ4ACZQAS37BLGL4HUO5XY");
/// store.put(&key, Bytes::from_static(b"block")).await?;
/// assert_eq!(store.get(&key).await?.as_deref(), Some(&b"block"[..]));
/// store.close().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FlatFs {
    pub(crate) store: Arc<Store>,
}

/// What all handles of a store share.
pub(crate) struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    cached: Option<Box<dyn CachedReads>>,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) turns: Arc<KeyLocks>,
    pub(crate) meter: Arc<UsageTracker>,
    shards: ShardDirs,
    pub(crate) flusher: Flusher,
    /// Does the writes that nothing is flushed for.
    pub(crate) crew: Arc<Crew<Task>>,
    pub(crate) durable_crew: Arc<Crew<DurableWrite>>,
    /// Bounds the writes that queue for it.
    durable_writes: Arc<Semaphore>,
    life: Lifecycle,
    unfinished: Unfinished,
    /// Bounds the files that are open for the length of a job.
    files: Arc<Semaphore>,
    /// How many of these there may be.
    most_files: usize,
    /// Bounds the listings that stay open between jobs.
    listings: Arc<Semaphore>,
    temp_files: AtomicU64,
}

impl FlatFs {
    /// The default [`Options`], to open or create a store with.
    pub fn options() -> Options {
        Options::new()
    }

    /// Where the store is, as an absolute path; where it was opened by a symbolic link, the path that
    /// this leads to.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.store.layout.root()
    }

    /// The store's shard function.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.store.layout.shard()
    }

    /// The entries that `query` asks for, found while the stream is read.
    ///
    /// It reads about a thousand entries ahead, and keeps no more than that, whatever the store's size,
    /// with two exceptions. With orders it keeps all matching keys, and their values only if they are
    /// compared. And of more queries at a time than a sixteenth of
    /// [`max_open_files`](Options::max_open_files), the later ones keep the names of the directory that
    /// they are reading.
    ///
    /// Files that are no blocks are left out with a warning in the log; a block or a shard directory that
    /// can't be read is an error in the stream, and the others still come.
    ///
    /// An entry that is put or deleted meanwhile may be there or not.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    ///
    /// # Cancel safety
    ///
    /// It changes nothing. Dropping the stream ends the query.
    pub async fn query(&self, query: Query) -> Result<EntryStream> {
        let _work = self.store.begin_read()?;
        tracing::debug!(target: target::QUERY, %query, "query");
        Ok(scan::query(&self.store, query))
    }

    /// A barrier: every write that was acknowledged before the call survives a power cut after it
    /// returned, in every [`Durability`]. Commits that could not be completed are completed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if something could not be made durable, and [`Error::FlushFailed`] ever after;
    /// [`Error::CommitIncomplete`] if a batch could not be put in place: all else is durable then.
    /// [`Error::Closed`]; [`Error::Runtime`].
    ///
    /// # Cancel safety
    ///
    /// It goes on on its own.
    pub async fn sync(&self) -> Result<()> {
        let path = self.path().display();
        let span = tracing::debug_span!(target: target::STORE, "sync", %path);
        let operation = Operation::begin("sync");
        operation.end(self.flush_all().instrument(span).await)
    }

    async fn flush_all(&self) -> Result<()> {
        let work = match self.store.begin_write() {
            Err(Error::ReadOnly { .. }) => return Ok(()),
            work => work?,
        };
        let store = Arc::clone(&self.store);
        blocking::run(move || {
            let _work = work;
            // What else was written is to be durable also where a commit can't be finished.
            let finished = store.finish_commits();
            store.flush(&[Target::All])?;
            finished?;
            let path = store.layout.root().display();
            tracing::debug!(target: target::STORE, %path, "synced");
            Ok(())
        })
        .await
    }

    /// Whether a commit is under way, or was interrupted by a crash: until the writer that is at work, or
    /// the next one, has finished it, a part of the batch is in the store and a part isn't.
    ///
    /// A store that is open for writing has none left from a crash, unless there was no space to finish
    /// it. One that is open read-only finishes nothing, so this tells whether it shows everything.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Runtime`], and [`Error::Io`].
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn has_pending_commits(&self) -> Result<bool> {
        self.store.check_open()?;
        let permit = self.store.file_permit().await?;
        let work = self.store.begin_read()?;
        let store = Arc::clone(&self.store);
        blocking::run(move || {
            let _held = (work, permit);
            store.has_records()
        })
        .await
    }

    /// The space that the store takes: the sizes of all its files and directories, in bytes, as
    /// go-ds-flatfs counts them.
    ///
    /// After a crash, and where there is no cached figure, the space is counted while the store is in
    /// use; the accuracy is not [`Exact`](crate::Accuracy::Exact) until that is done. A store that is
    /// open read-only doesn't count: it answers the cached figure.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    ///
    /// # Cancel safety
    ///
    /// It doesn't wait for anything.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let _work = self.store.begin_read()?;
        Ok(self.store.meter.figure())
    }
}

impl Store {
    /// The right to have a file open, for the length of a job.
    pub(crate) async fn file_permit(&self) -> Result<OwnedSemaphorePermit> {
        let files = Arc::clone(&self.files);
        observe::open_files(|| self.most_files - files.available_permits());
        files.acquire_owned().await.map_err(|_| Error::Closed)
    }

    /// How many files may be opened now.
    #[cfg(test)]
    pub(crate) fn file_permits(&self) -> usize {
        self.files.available_permits()
    }

    /// A temp file that nobody else uses.
    pub(crate) fn next_temp_file(&self) -> PathBuf {
        let number = self.temp_files.fetch_add(1, Ordering::Relaxed);
        self.layout.temp_file(number)
    }

    /// Makes the entries of shard directories durable, and the names of new ones.
    pub(crate) fn flush_shards(&self, shards: impl Iterator<Item = PathBuf>) -> Result<()> {
        let mut targets: Vec<Target> = shards.map(Target::Dir).collect();
        let made = self.shards.unsynced();
        if made.is_some() {
            targets.push(Target::Dir(self.layout.root().to_owned()));
        }
        self.flush(&targets)?;
        if let Some(made) = made {
            self.shards.set_durable(made);
        }
        Ok(())
    }

    /// Makes `targets` durable.
    pub(crate) fn flush(&self, targets: &[Target]) -> Result<()> {
        self.flusher.flush(&*self.disk, self.layout.root(), targets)
    }

    /// The same, with an answer for each.
    fn flush_each(&self, targets: &[Target]) -> Vec<Result<()>> {
        self.flusher
            .flush_each(&*self.disk, self.layout.root(), targets)
    }

    /// Why the store can't promise anything any more, if it can't.
    fn flush_failed(&self) -> Option<Error> {
        self.flusher.failed(self.layout.root())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FlatFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatFs")
            .field("path", &self.path())
            .field("shard", &self.shard().short())
            .field("options", &self.store.options)
            .finish_non_exhaustive()
    }
}
