//! [`Blocks`]: the files of a store on disk. It knows how one block is looked up, staged, published,
//! replaced, removed and compared, and which shard directories have to be flushed.

mod flusher;
mod lookup;
mod presence;
mod publish;
mod shard_dirs;
mod temp_files;
mod unflushed;
mod unremoved;

use std::sync::Arc;

pub(crate) use self::flusher::{FlushTarget, Flusher, MAX_SINGLE_FLUSHES, PARALLEL_FLUSHES};
use self::lookup::CachedBlocks;
pub(crate) use self::lookup::Lookup;
use self::presence::{PresenceFilter, Publishing};
pub(crate) use self::publish::NewBlock;
use self::shard_dirs::ShardDirs;
use self::temp_files::TempFiles;
use self::unflushed::UnflushedWrites;
use self::unremoved::Unremoved;
use super::{ExistingBlock, Options};
use crate::datastore::DiskUsage;
use crate::disk::Disk;
use crate::disk_usage::UsageTracker;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::format::{BlockKey, Layout};

/// The files of a store.
///
/// Its methods block, except the cached reads. A caller that changes a block holds the key lock, or has
/// exclusive access to the store.
#[derive(Debug)]
pub(crate) struct Blocks {
    disk: Arc<dyn Disk>,
    cached: CachedBlocks,
    presence: Arc<PresenceFilter>,
    layout: Layout,
    usage: Arc<UsageTracker>,
    shards: ShardDirs,
    temp_files: TempFiles,
    flusher: Arc<Flusher>,
    unflushed: UnflushedWrites,
    unremoved: Unremoved,
    /// Whether a put leaves a block of the same size unchanged.
    keeps_existing: bool,
}

impl Blocks {
    /// Opens the files of a store with these options; `figure` is its disk usage.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Io`] if its directory can't be opened.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        options: &Options,
        figure: DiskUsage,
    ) -> Result<Self> {
        let usage = Arc::new(UsageTracker::new(figure));
        let presence = Arc::new(PresenceFilter::new(options.filter_memory()));
        let flusher = Flusher::new(Arc::clone(&disk), layout.root().to_owned());
        let flusher = Arc::new(flusher);
        // If puts may rely on the durability of the blocks that they find, the open flushes all blocks. Where
        // the disk can't do that in one call, it would be a walk over every file, so there blocks are
        // replaced instead.
        let keeps_existing = options.existing_block == ExistingBlock::Keep
            && (disk.syncs_all_at_once() || !options.relies_on_found_blocks());
        let is_lazy = !options.read_only && !options.durability.syncs_writes();
        Ok(Blocks {
            unflushed: UnflushedWrites::new(
                Arc::clone(&disk),
                layout.clone(),
                Arc::clone(&flusher),
                is_lazy,
            ),
            unremoved: Unremoved::default(),
            cached: CachedBlocks::new(&disk, &layout, options.read_only)?,
            shards: ShardDirs::new(
                Arc::clone(&disk),
                layout.clone(),
                Arc::clone(&flusher),
                Arc::clone(&usage),
                Arc::clone(&presence),
            ),
            presence,
            temp_files: TempFiles::new(Arc::clone(&disk), layout.clone(), options.file_mode),
            flusher,
            disk,
            layout,
            usage,
            keeps_existing,
        })
    }

    /// Returns whether a put may leave a block of the same size unchanged.
    pub(super) fn keeps_existing(&self) -> bool {
        self.keeps_existing
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn shared_disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn usage(&self) -> &Arc<UsageTracker> {
        &self.usage
    }

    /// Adds the growth of directories to the disk usage.
    pub(crate) fn refresh_usage(&self) -> Result<()> {
        self.usage.refresh_dirs(&*self.disk, &self.layout)
    }

    /// Returns the cached reads.
    pub(crate) fn cached(&self) -> &CachedBlocks {
        &self.cached
    }

    /// Adds a block to the presence filter before it gets its name. The guard must be held until it has its name.
    pub(crate) fn publishing(&self, block: &BlockKey) -> Publishing<'_> {
        let shard = self.layout.shard_of(block);
        self.presence.publishing(&shard, block)
    }

    pub(crate) fn presence(&self) -> &PresenceFilter {
        &self.presence
    }

    pub(crate) fn shards(&self) -> &ShardDirs {
        &self.shards
    }

    pub(crate) fn temp_files(&self) -> &TempFiles {
        &self.temp_files
    }

    pub(crate) fn flusher(&self) -> &Flusher {
        &self.flusher
    }

    /// Returns the writes that may not be durable.
    pub(crate) fn unflushed(&self) -> &UnflushedWrites {
        &self.unflushed
    }
}
