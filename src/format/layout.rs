//! [`Layout`]: the paths of one store. No I/O.

use std::borrow::Cow;
use std::path::{MAIN_SEPARATOR_STR, Path, PathBuf};

use uuid::Uuid;

use super::block_key::{BlockKey, EXTENSION};
use super::names::TEMP;
use super::shard::Shard;

const BATCH_PREFIX: &str = "batch-";

/// The paths of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    shard: Shard,
}

impl Layout {
    pub(crate) fn new(root: PathBuf, shard: Shard) -> Self {
        Layout { root, shard }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn shard(&self) -> Shard {
        self.shard
    }

    /// Returns the path of an entry of the root.
    pub(crate) fn at_root(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns the name of the block's shard directory.
    pub(crate) fn shard_of<'a>(&self, block: &'a BlockKey) -> Cow<'a, str> {
        self.shard.dir_of(block.name())
    }

    /// Returns the path of the block's file.
    pub(crate) fn block(&self, block: &BlockKey) -> PathBuf {
        let (shard, name) = (self.shard_of(block), block.name());
        let len = self.root.as_os_str().len() + shard.len() + name.len() + EXTENSION.len() + 2;
        // One allocation: every operation on a block makes its path.
        let mut path = PathBuf::with_capacity(len);
        path.push(&self.root);
        path.push(&*shard);
        path.push(name);
        path.as_mut_os_string().push(EXTENSION);
        path
    }

    /// Returns the path of the block's file relative to the root.
    pub(crate) fn below_root(&self, block: &BlockKey) -> String {
        [
            &self.shard_of(block),
            MAIN_SEPARATOR_STR,
            block.name(),
            EXTENSION,
        ]
        .concat()
    }

    pub(crate) fn temp(&self) -> PathBuf {
        self.at_root(TEMP)
    }

    /// Returns the path of a temp file, for the `number`th write since the store was opened.
    pub(crate) fn temp_file(&self, number: u64) -> PathBuf {
        self.temp().join(format!("write-{number}"))
    }

    /// Returns the path of a batch's directory.
    pub(crate) fn batch_dir(&self, id: Uuid) -> PathBuf {
        self.temp().join(format!("{BATCH_PREFIX}{id}"))
    }
}
