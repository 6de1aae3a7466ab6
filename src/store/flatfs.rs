//! [`FlatFs`]: a handle to a store.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tracing::Instrument as _;

use super::options::Options;
use super::scan;
use super::shared::Store;
use crate::blocking;
use crate::datastore::DiskUsage;
use crate::error::{Error, Result};
use crate::format::Shard;
use crate::observe::{Operation, target};
use crate::query::{EntryStream, Query};

/// A datastore of blocks on disk, one file each, in directories that a [`Shard`] function selects:
/// go-ds-flatfs's format, byte for byte.
///
/// A key is `/` followed by 1 to 250 characters of `0-9 A-Z + - _ =`. Writing any other key is an error; reading one
/// finds no block.
///
/// A clone is another handle to the same store. [`Options`] open and create a store, and it should be
/// [closed](FlatFs::close). Without that no acknowledged write is lost, but the next open has to count the disk
/// usage again, and may find the lock still held by work that continues in the background. A handle keeps the
/// store's directory open even after the close: drop all handles before you unmount a file system.
///
/// Poll a future to its end, or drop it. A future that is kept but no longer polled, such as one that `select!`
/// borrows and leaves, may hold a key lock or the permit to open a file, for which other calls wait; and a
/// [close](FlatFs::close) waits for a commit or a discard that is kept like that.
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
    /// Returns the default [`Options`], to open or create a store.
    pub fn options() -> Options {
        Options::new()
    }

    /// Returns the absolute path of the store. If it was opened through a symbolic link, that is resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.store.blocks.layout().root()
    }

    /// Returns whether a put leaves a block of the same size unchanged, and such a block is as durable as one
    /// that is written. This requires [`ExistingBlock::Keep`](super::ExistingBlock::Keep), and a file system on
    /// which the store can rely on the blocks that it finds. An importer may skip such blocks.
    #[must_use]
    pub fn keeps_existing_blocks(&self) -> bool {
        self.store.blocks.keeps_existing()
    }

    /// Returns the store's shard function.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.store.blocks.layout().shard()
    }

    /// Returns the entries that `query` asks for. They are found while the stream is read.
    ///
    /// The stream reads about a thousand entries ahead and keeps no more than that, however large the store is, with
    /// two exceptions. With orders it keeps all matching keys, and their values only if they are compared; in the order
    /// of the keys it keeps at most two million keys, and reads the directories once for each million. And if the
    /// number of concurrent queries is more than a sixteenth of [`max_open_files`](Options::max_open_files), the later
    /// ones keep the names in the directory that they are reading.
    ///
    /// Files that are not blocks are left out with a warning in the log. A block or a shard directory that can't be
    /// read is an error in the stream, and the stream continues.
    ///
    /// An entry that is put or deleted while the query runs may be in the stream or not.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Closed`] if the store is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the stream ends the query and changes nothing.
    pub async fn query(&self, query: Query) -> Result<EntryStream> {
        self.store.lifecycle.check_open()?;
        tracing::debug!(target: target::QUERY, %query, "query");
        Ok(scan::query(&self.store, query))
    }

    /// Makes every write that was acknowledged before the call durable, in every
    /// [`Durability`](crate::Durability). Pending commits are completed.
    ///
    /// Where syncfs(2) is not known to reach the disk, this flushes each of the blocks that were written since the
    /// last call. After a crash, the first call flushes every block: some that were acknowledged may not be durable.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`]: something could not be made durable. From then on the store returns [`Error::FlushFailed`].
    /// - [`Error::CommitIncomplete`]: a batch could not be applied. Everything else is durable.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the flush continues in the background.
    pub async fn sync(&self) -> Result<()> {
        let path = self.path().display();
        let span = tracing::debug_span!(target: target::STORE, "sync", %path);
        let operation = Operation::begin("sync");
        operation.end(self.flush_all().instrument(span).await)
    }

    async fn flush_all(&self) -> Result<()> {
        let store = Arc::clone(&self.store);
        let guard = match self.store.lifecycle.begin_write(store, None) {
            Err(Error::ReadOnly { .. }) => return Ok(()),
            guard => guard?,
        };
        blocking::run(move || {
            // Everything else is made durable even if a commit can't be applied.
            let applied = guard.commit_log.roll_forward();
            guard.blocks.unflushed().flush()?;
            applied?;
            let path = guard.blocks.layout().root().display();
            tracing::debug!(target: target::STORE, %path, "synced");
            Ok(())
        })
        .await
    }

    /// Returns whether a commit is running, or was interrupted by a crash: until the current writer, or the next
    /// one, has completed it, only a part of the batch may be in the store.
    ///
    /// A store that is open for writing has no such commit from before a crash, unless there was no space to
    /// complete it. A store that is open read-only completes nothing: there `false` means that everything is visible.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Io`] if `.temp` can't be read, [`Error::Closed`] if the store is closed, and
    /// [`Error::Runtime`] if there is no tokio runtime or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn has_pending_commits(&self) -> Result<bool> {
        self.store.lifecycle.check_open()?;
        let guard = self.store.begin_read().await?;
        blocking::run(move || guard.commit_log.has_records()).await
    }

    /// Returns the space that the store takes: the sizes of all its files and directories in bytes, as
    /// go-ds-flatfs counts them.
    ///
    /// After a crash, and if there is no cached figure, the space is counted while the store is in use; the
    /// accuracy is not [`Exact`](crate::Accuracy::Exact) until that is done. A store that is open read-only does
    /// not count, and returns the cached figure. The call examines the shard directories that have changed since the
    /// last one, because directories grow with their blocks.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Io`] if a directory can't be examined, [`Error::Closed`] if the store is closed, and
    /// [`Error::Runtime`] if there is no tokio runtime or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        self.store.lifecycle.check_open()?;
        if self.store.blocks.usage().is_refresh_due() {
            let guard = self.store.begin_read().await?;
            blocking::run(move || guard.blocks.refresh_usage()).await?;
        }
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
