//! [`StagingDir`]: one of the directories to which a batch writes its blocks. No I/O.

use std::path::{Path, PathBuf};

use super::block_key::BlockKey;

/// One of the staging directories of a batch.
///
/// The kernel locks a directory while it creates a file in it, so writes that run in parallel use different
/// directories: two threads then create small files in half the time. The first staging directory is the
/// batch's directory itself, and the others are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StagingDir(u8);

impl StagingDir {
    pub(crate) const FIRST: Self = StagingDir(0);

    /// Returns its number, counted from 0.
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn new(number: u8) -> Self {
        StagingDir(number)
    }

    /// Returns its path; `batch` is the directory of the batch.
    pub(crate) fn dir(self, batch: &Path) -> PathBuf {
        match self {
            StagingDir::FIRST => batch.to_owned(),
            StagingDir(number) => batch.join(number.to_string()),
        }
    }

    /// Returns the path of a block that is staged in it.
    pub(crate) fn file(self, batch: &Path, block: &BlockKey) -> PathBuf {
        let mut file = self.dir(batch);
        file.push(block.file_name());
        file
    }
}
