//! Creating and opening a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::Instrument as _;

use super::background;
use super::blocks::Blocks;
use super::flatfs::FlatFs;
use super::opener::{DirState, Opener, locate};
use super::options::Options;
use super::saved_usage::UNCLEAN_MODE;
use super::shared::Store;
use crate::blocking;
use crate::datastore::{Accuracy, DiskUsage};
use crate::disk::{Disk, Kind, LockGuard, OsDisk, clean_up};
use crate::disk_usage::{self, cache};
use crate::error::{Error, Result};
use crate::format::{DISK_USAGE, Layout, Shard, TEMP, UNCLEAN};
use crate::observe::{Operation, target};
use crate::walk::RootEntries;

impl Options {
    /// Creates a store in a directory that does not exist or is empty, and opens it. The parent directory must
    /// exist.
    ///
    /// # Errors
    ///
    /// - [`Error::Exists`]: the directory is a store already.
    /// - [`Error::ShardMismatch`]: it is a store with another shard function than the
    ///   [requested](Options::shard) one.
    /// - [`Error::NotAStore`]: the directory has other contents, or is not a directory.
    /// - [`Error::Locked`]: another writer, in this process or another one, holds the store's lock.
    /// - [`Error::InvalidOption`]: an option has an invalid value.
    /// - [`Error::Io`]: a step fails.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the store may still be created. It is not open.
    ///
    /// # Durability
    ///
    /// The new store survives a power cut in every [`Durability`](super::Durability).
    pub async fn create(self, path: impl AsRef<Path>) -> Result<FlatFs> {
        self.begin(path.as_ref(), Purpose::Create).await
    }

    /// Opens a store. A writer takes the store's lock, and cleans up after a session that crashed: batches that
    /// were committed are completed, the others are removed. How long that takes depends on what there is to
    /// clean up; apart from that, an open takes the same time for stores of any size. A durable store that
    /// [keeps existing blocks](super::ExistingBlock::Keep) also waits until the file system has written all its
    /// unwritten data.
    ///
    /// # Errors
    ///
    /// - [`Error::NotAStore`]: there is no store.
    /// - [`Error::InvalidShard`]: its `SHARDING` does not name a shard function.
    /// - [`Error::Resharding`]: its shard function is being changed.
    /// - [`Error::ShardMismatch`]: its shard function is not the [requested](Options::shard) one.
    /// - [`Error::Locked`]: another writer has it open.
    /// - [`Error::UnknownCommitRecord`]: another version of this crate has left a commit to complete.
    /// - [`Error::CommitIncomplete`]: an interrupted commit can't be completed.
    /// - [`Error::InvalidOption`]: an option has an invalid value.
    /// - [`Error::Io`]: a step fails.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the store is not open; a clean-up that has started runs to its end.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<FlatFs> {
        self.begin(path.as_ref(), Purpose::Open).await
    }

    /// Opens a store, and creates it first if the directory does not exist or is empty.
    ///
    /// # Errors
    ///
    /// As for [`open`](Options::open) and [`create`](Options::create).
    ///
    /// # Cancel safety
    ///
    /// As for [`open`](Options::open) and [`create`](Options::create).
    pub async fn open_or_create(self, path: impl AsRef<Path>) -> Result<FlatFs> {
        self.begin(path.as_ref(), Purpose::Either).await
    }

    async fn begin(self, path: &Path, purpose: Purpose) -> Result<FlatFs> {
        let path = locate(path).await?;
        let span = tracing::info_span!(target: target::STORE, "open", path = %path.display());
        let operation = Operation::begin("open");
        let opened = self.begin_on(Arc::new(OsDisk::default()), path, purpose);
        operation.end(opened.instrument(span).await)
    }

    pub(crate) async fn begin_on(
        self,
        disk: Arc<dyn Disk>,
        path: PathBuf,
        purpose: Purpose,
    ) -> Result<FlatFs> {
        self.check()?;
        if self.read_only && purpose == Purpose::Create {
            return Err(Error::InvalidOption {
                option: "read_only",
                reason: "a store can't be created without writing",
            });
        }
        let opener = Opener {
            disk,
            root: path,
            options: self,
        };
        let store = Arc::new(blocking::run(move || opener.run(purpose)).await?);
        background::start(&store);
        tracing::debug!(
            target: target::STORE,
            path = %store.blocks.layout().root().display(),
            shard = %store.blocks.layout().shard(),
            read_only = store.options.read_only,
            "opened"
        );
        Ok(FlatFs { store })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Create,
    Open,
    Either,
}

impl Opener {
    /// Opens a store, without its background tasks.
    pub(crate) fn run(self, purpose: Purpose) -> Result<Store> {
        let shard = match (self.probe()?, purpose) {
            (DirState::Store(found), Purpose::Create) => {
                self.check_shard(found, self.options.shard)?;
                return Err(Error::Exists { path: self.root });
            }
            (DirState::Store(found), Purpose::Open | Purpose::Either) => {
                self.check_shard(found, self.options.shard)?;
                found
            }
            (state @ (DirState::Foreign | DirState::Resharding(_)), _) => {
                return Err(self.refusal(&state));
            }
            (state, Purpose::Create | Purpose::Either) if !self.options.read_only => {
                let (shard, lock) = self.create(matches!(state, DirState::Missing))?;
                return self.open_to_write(shard, lock);
            }
            (state, _) => return Err(self.refusal(&state)),
        };
        if self.options.read_only {
            return self.open_to_read(shard);
        }
        let lock = self.lock()?;
        // Probed again: another process may have changed the directory before the lock was taken.
        let shard = match self.probe()? {
            DirState::Store(found) => found,
            state => return Err(self.refusal(&state)),
        };
        self.check_shard(shard, self.options.shard)?;
        self.open_to_write(shard, lock)
    }

    fn open_to_read(self, shard: Shard) -> Result<Store> {
        let layout = Layout::new(self.root.clone(), shard);
        let cached = cache::read(&*self.disk, &layout)?;
        let unclean = self.disk.find(&layout.at_root(UNCLEAN))?.is_some();
        self.store(layout, stale_if(unclean, cached), None, false)
    }

    pub(super) fn open_to_write(self, shard: Shard, lock: Box<dyn LockGuard>) -> Result<Store> {
        let layout = Layout::new(self.root.clone(), shard);
        self.ensure_temp(&layout.temp())?;
        let mark = layout.at_root(UNCLEAN);
        let unclean = self.disk.find(&mark)?.is_some();
        if unclean {
            let path = self.root.display();
            tracing::info!(target: target::STORE, %path, "cleaning up after a session that was not closed");
        } else {
            self.mark_unclean(&mark)?;
        }
        // The mark is durable before anything changes: after a power cut, only the mark tells the next open not to
        // trust the cached disk usage, and to flush before the recovery.
        self.sync_dir(&self.root)?;
        let cached = cache::read(&*self.disk, &layout)?;
        let has_no_figure = cached.is_none();
        let is_new = has_no_figure && self.is_without_blocks(&layout)?;
        let counted = if is_new {
            disk_usage::count_all(&*self.disk, &layout, || false)?
        } else {
            None
        };
        let (figure, stale) = match counted {
            Some(figure) => (figure, false),
            None => (stale_if(unclean, cached), unclean || has_no_figure),
        };
        let relies_on_found_blocks = self.options.relies_on_found_blocks();
        let store = self.store(layout, figure, Some(lock), stale)?;
        let blocks = &store.blocks;
        let usage = blocks.usage();
        usage.note_own_dirs(blocks.disk(), blocks.layout())?;
        // The flush comes before the recovery, which relies on what it finds, such as a commit record: the
        // files that a crashed session left may not be durable. A session that had no space for the mark has
        // removed the cached figure instead. A session of another program leaves no mark, whether it flushed
        // or not.
        let keeps_found_blocks = relies_on_found_blocks && store.blocks.keeps_existing();
        if unclean || has_no_figure || keeps_found_blocks {
            if store.blocks.disk().syncs_all_at_once() {
                store.blocks.flusher().flush_all()?;
            } else if !is_new {
                // To flush every block by itself would take too long for an open: the recovery flushes what it
                // relies on, and the first `sync` flushes the rest.
                store.blocks.unflushed().note_everything();
            }
        }
        store.commit_log.recover()?;
        Ok(store)
    }

    /// Creates the mark that keeps the next open from trusting the disk usage if this session crashes. If there is no
    /// space for the mark, the cached figure is removed instead: blocks must be deletable on a full disk.
    fn mark_unclean(&self, mark: &Path) -> Result<()> {
        let written = self.disk.write_new(mark, b"", UNCLEAN_MODE, true);
        match written.map_err(|error| Error::io("write", mark, error)) {
            Err(error) if error.is_full() => {
                tracing::warn!(target: target::STORE, %error, "forgetting the cached disk usage, to open a store on a full disk");
                clean_up(&*self.disk, mark);
                self.remove_file(DISK_USAGE)?;
                Ok(())
            }
            written => written,
        }
    }

    /// Returns whether the store has no shard directory yet, so that counting it takes no time.
    fn is_without_blocks(&self, layout: &Layout) -> Result<bool> {
        for entry in RootEntries::list(&*self.disk, layout.root())? {
            let entry = entry?;
            if entry.kind != Kind::File && entry.name != TEMP {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn store(
        self,
        layout: Layout,
        figure: DiskUsage,
        lock: Option<Box<dyn LockGuard>>,
        usage_is_stale: bool,
    ) -> Result<Store> {
        let blocks = Blocks::new(self.disk, layout, &self.options, figure)?;
        Ok(Store::new(blocks, self.options, lock, usage_is_stale))
    }
}

/// Returns the cached figure, as approximate if the session that wrote it was not closed.
fn stale_if(unclean: bool, cached: Option<DiskUsage>) -> DiskUsage {
    match cached {
        Some(figure) if unclean => DiskUsage::new(figure.bytes, Accuracy::Approximate),
        Some(figure) => figure,
        None => DiskUsage::new(0, Accuracy::Unknown),
    }
}
