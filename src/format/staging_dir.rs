//! [`StagingDir`]: one of the directories that a batch writes its blocks to. No I/O.

use std::path::{Path, PathBuf};

use super::block_key::BlockKey;

/// Which of a batch's directories a block was written to. The creation of a file locks its directory, so
/// writes that run side by side have one each: two threads create small files in half the time then.
///
/// The first one is the batch's directory itself, the others are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StagingDir(u8);

impl StagingDir {
    pub(crate) const FIRST: Self = StagingDir(0);

    /// Which one it is, counted from 0.
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn new(number: u8) -> Self {
        StagingDir(number)
    }

    /// The directory, in that of its batch.
    pub(crate) fn dir(self, batch: &Path) -> PathBuf {
        match self {
            StagingDir::FIRST => batch.to_owned(),
            StagingDir(number) => batch.join(number.to_string()),
        }
    }

    /// Where a block is staged.
    pub(crate) fn file(self, batch: &Path, block: &BlockKey) -> PathBuf {
        let mut file = self.dir(batch);
        file.push(block.file_name());
        file
    }
}
