//! [`UsageBaseline`]: the disk usage of a store whose blocks a tool moves without the usage tracker.

use crate::datastore::DiskUsage;
use crate::disk_usage;
use crate::error::Result;
use crate::store::Store;

/// The disk usage of a store before a tool began, and the part of it that is not blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsageBaseline {
    figure: DiskUsage,
    overhead: u64,
}

impl UsageBaseline {
    pub(super) fn before(store: &Store) -> Result<Self> {
        // The recovery at open may have made directories larger. Their sizes must be in the figure, because the
        // overhead that is subtracted from it includes them.
        store.blocks.refresh_usage()?;
        Ok(UsageBaseline {
            figure: store.blocks.usage().figure(),
            overhead: disk_usage::count_overhead(store.blocks.disk(), store.blocks.layout())?,
        })
    }

    /// Sets the disk usage after the tool has changed the blocks by this number of bytes. The part that is
    /// not blocks is counted again.
    pub(super) fn after(self, store: &Store, blocks: i64) -> Result<()> {
        let overhead = disk_usage::count_overhead(store.blocks.disk(), store.blocks.layout())?;
        let old = self.figure.bytes.saturating_sub(self.overhead);
        let blocks = old.saturating_add_signed(blocks);
        let figure = DiskUsage::new(overhead + blocks, self.figure.accuracy);
        store.blocks.usage().set(figure);
        Ok(())
    }
}
