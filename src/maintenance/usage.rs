//! [`Usage`]: the disk usage of a store that a tool changes without its meter.

use crate::datastore::DiskUsage;
use crate::disk_usage;
use crate::error::Result;
use crate::store::Store;

/// The figure of a store before a tool went to work, and how much of it is not blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    figure: DiskUsage,
    frame: u64,
}

impl Usage {
    pub(super) fn before(store: &Store) -> Result<Self> {
        Ok(Usage {
            figure: store.blocks.usage().figure(),
            frame: disk_usage::count_overhead(store.blocks.disk(), store.blocks.layout())?,
        })
    }

    /// Lets the store know its figure: the blocks are so many bytes more, or fewer; what holds them is
    /// counted anew.
    pub(super) fn after(self, store: &Store, blocks: i64) -> Result<()> {
        let frame = disk_usage::count_overhead(store.blocks.disk(), store.blocks.layout())?;
        let old = self.figure.bytes.saturating_sub(self.frame);
        let blocks = old.saturating_add_signed(blocks);
        let figure = DiskUsage::new(frame + blocks, self.figure.accuracy);
        store.blocks.usage().set(figure);
        Ok(())
    }
}
