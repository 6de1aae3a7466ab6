//! The steps of a repair that change other files than one block in its shard directory.

use super::UsageTracker;
use super::change::Change;
use super::count::RunningCount;
use crate::error::Result;
use crate::format::BlockKey;

impl UsageTracker {
    /// Like [`track`](UsageTracker::track), for any file in a shard directory.
    pub(crate) fn track_file(
        &self,
        shard: &str,
        name: &str,
        step: impl FnOnce() -> Result<Change>,
    ) -> Result<()> {
        let record = |count: &mut RunningCount, change| count.record_file(shard, name, change);
        self.apply(&[shard], step, record)
    }

    /// Runs a step that moves a block's file of `size` bytes from one directory to another.
    pub(crate) fn track_move(
        &self,
        (from, to): (&str, &str),
        block: &BlockKey,
        size: u64,
        step: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let moved = Change {
            before: size,
            after: size,
        };
        self.apply(
            &[from, to],
            || step().map(|()| moved),
            |count, _| {
                let name = block.file_name();
                count.record_file(from, &name, Change::removed(size));
                count.record_file(to, &name, Change::new_file(size));
            },
        )
    }
}
