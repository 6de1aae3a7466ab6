//! [`FlatFs`]: a handle to a store.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tracing::Instrument as _;

use super::options::Options;
use super::scan;
use super::shared::Store;
use super::work_guard::WorkGuard;
use crate::blocking;
use crate::datastore::DiskUsage;
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::observe::{Operation, target};
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

impl FlatFs {
    /// The default [`Options`], to open or create a store with.
    pub fn options() -> Options {
        Options::new()
    }

    /// Where the store is, as an absolute path; where it was opened by a symbolic link, the path that
    /// this leads to.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.store.blocks.layout().root()
    }

    /// Whether this store leaves a block as it is if the same size is put under its key again, and that block
    /// is as durable as one that is written. That takes [`ExistingBlock::Keep`](super::ExistingBlock::Keep)
    /// and a file system on which the store can rely on the blocks that it finds. An importer may skip such
    /// blocks.
    #[must_use]
    pub fn keeps_existing_blocks(&self) -> bool {
        self.store.blocks.keeps_existing()
    }

    /// The store's shard function.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.store.blocks.layout().shard()
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
        self.store.lifecycle.check_open()?;
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
        let token = match self.store.lifecycle.begin_write() {
            Err(Error::ReadOnly { .. }) => return Ok(()),
            token => token?,
        };
        let guard = WorkGuard::new(Arc::clone(&self.store), None, token);
        blocking::run(move || {
            // What else was written is made durable also where a commit can't be applied.
            let applied = guard.commit_log.roll_forward();
            guard.blocks.flusher().flush_all()?;
            applied?;
            let path = guard.blocks.layout().root().display();
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
        self.store.lifecycle.check_open()?;
        let guard = self.store.begin_read().await?;
        blocking::run(move || guard.commit_log.has_records()).await
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
        self.store.lifecycle.check_open()?;
        Ok(self.store.blocks.usage().figure())
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
