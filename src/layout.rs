//! Names and paths: where everything of a store stands. No I/O.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::key::Key;
use crate::shard::Shard;

/// Names the shard function, and so marks a directory as a store.
pub(crate) const SHARDING: &str = "SHARDING";
/// A note for people who find the directory.
pub(crate) const README: &str = "_README";
/// Everything in flight.
pub(crate) const TEMP: &str = ".temp";
/// The disk usage as of the last checkpoint.
pub(crate) const DISK_USAGE: &str = "diskUsage.cache";
/// The file that a writer holds a lock on. Other than go-ds-flatfs has it; hidden, so that it ignores
/// it.
pub(crate) const LOCK: &str = ".lock";
/// Is there while a writer has the store open, and after it crashed. Hidden as well.
pub(crate) const UNCLEAN: &str = ".unclean";
/// Where a repair moves what is damaged. Hidden as well.
#[cfg_attr(not(feature = "verify"), allow(dead_code))]
pub(crate) const QUARANTINE: &str = ".quarantine";

/// The record in a batch's directory that makes the batch committed.
pub(crate) const COMMIT: &str = "COMMIT";

/// How the name of a block ends, after a dot, that was in the way of another one of its key: as long as
/// a block's, and no program takes it for one.
pub(crate) const SET_ASIDE: &str = "kept";

const BLOCK: &str = ".data";
const BATCH: &str = "batch-";

/// File names have 255 bytes at most on the file systems that there are.
const LONGEST_NAME: usize = 255 - BLOCK.len();

/// A key that a flatfs can hold: one namespace of `0-9 A-Z + - _ =`, no longer than a file name may
/// be.
///
/// Such keys never collide on a file system that ignores case, and can't leave the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockKey(Key);

impl BlockKey {
    /// The key as a block's, or what is wrong with it.
    pub(crate) fn new(key: &Key) -> Result<Self> {
        match fault_of(name(key)) {
            Some(reason) => Err(Error::InvalidKey {
                key: key.to_string(),
                reason,
            }),
            None => Ok(BlockKey(key.clone())),
        }
    }

    /// The key of a block file, `None` if the file is not one.
    pub(crate) fn of_file(file_name: &OsStr) -> Option<Self> {
        let name = file_name.to_str()?.strip_suffix(BLOCK)?;
        let is_block = fault_of(name).is_none();
        is_block.then(|| BlockKey(Key::from_clean_namespace(name)))
    }

    /// The key's text without the `/`.
    pub(crate) fn name(&self) -> &str {
        name(&self.0)
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0
    }

    pub(crate) fn into_key(self) -> Key {
        self.0
    }

    /// The name of the block's file.
    pub(crate) fn file_name(&self) -> String {
        [self.name(), BLOCK].concat()
    }
}

/// Which rule a block's name breaks.
fn fault_of(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if !is_allowed(name) {
        Some("a block's key has the characters 0-9 A-Z + - _ = only, and no second /")
    } else if name.len() > LONGEST_NAME {
        Some("a block's key has 250 characters at most")
    } else {
        None
    }
}

fn name(key: &Key) -> &str {
    key.as_str().strip_prefix('/').unwrap_or("")
}

/// Looks at every byte, also behind one that is not allowed: the compiler makes one step of many then.
fn is_allowed(name: &str) -> bool {
    let is_allowed = |byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'+' | b'-' | b'_' | b'=');
    let bytes = name.bytes();
    bytes.fold(true, |all, byte| all & is_allowed(byte))
}

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

    /// Something that stands in the root.
    pub(crate) fn at_root(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The name of the block's shard directory.
    pub(crate) fn shard_of<'a>(&self, block: &'a BlockKey) -> Cow<'a, str> {
        self.shard.dir_of(block.name())
    }

    /// Where the block stands.
    pub(crate) fn block(&self, block: &BlockKey) -> PathBuf {
        self.at_root(&self.below_root(block))
    }

    /// Where the block stands, seen from the root.
    pub(crate) fn below_root(&self, block: &BlockKey) -> String {
        [&self.shard_of(block), "/", block.name(), BLOCK].concat()
    }

    pub(crate) fn temp(&self) -> PathBuf {
        self.at_root(TEMP)
    }

    /// A temp file for the `number`th write since the store was opened.
    pub(crate) fn temp_file(&self, number: u64) -> PathBuf {
        self.temp().join(format!("write-{number}"))
    }

    /// A batch's directory.
    pub(crate) fn batch_dir(&self, id: Uuid) -> PathBuf {
        self.temp().join(format!("{BATCH}{id}"))
    }
}

/// Which of a batch's directories a block was written to. The creation of a file locks its directory, so
/// writes that run side by side have one each: two threads create small files in half the time then.
///
/// The first one is the batch's directory itself, the others are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane(u8);

impl Lane {
    pub(crate) const FIRST: Self = Lane(0);

    /// Which one it is, counted from 0.
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn new(number: u8) -> Self {
        Lane(number)
    }

    /// The directory, in that of its batch.
    pub(crate) fn dir(self, batch: &Path) -> PathBuf {
        match self {
            Lane::FIRST => batch.to_owned(),
            Lane(number) => batch.join(number.to_string()),
        }
    }

    /// Where a block is staged.
    pub(crate) fn file(self, batch: &Path, block: &BlockKey) -> PathBuf {
        let mut file = self.dir(batch);
        file.push(block.file_name());
        file
    }
}

/// Whether a name in the root can be a shard directory's: queries look into these.
pub(crate) fn is_shard_name(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| !name.is_empty() && is_allowed(name))
}

/// Whether a name in the root is one of the store's own, and no shard directory's.
pub(crate) fn is_known(name: &OsStr) -> bool {
    [SHARDING, README, TEMP, DISK_USAGE, LOCK, UNCLEAN]
        .iter()
        .any(|known| name == *known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_key_has_upper_case_digits_and_four_signs_only() {
        for good in ["/A", "/0Z+-_=", "/CIQ"] {
            let block = BlockKey::new(&Key::new(good)).unwrap();
            assert_eq!(block.key().as_str(), good);
        }
        for bad in ["/", "", "/a", "/A/B", "/A.B", "/..A", "/A B", "/Ä", "/A\n"] {
            let error = BlockKey::new(&Key::new(bad)).unwrap_err();
            assert!(matches!(error, Error::InvalidKey { .. }), "{bad:?}");
        }
    }

    #[test]
    fn a_block_key_is_no_longer_than_a_file_name_may_be() {
        assert!(BlockKey::new(&Key::new("A".repeat(250))).is_ok());
        assert!(BlockKey::new(&Key::new("A".repeat(251))).is_err());
    }

    #[test]
    fn a_file_name_and_its_key_are_each_other_s() {
        let block = BlockKey::of_file(OsStr::new("CIQX.data")).unwrap();
        assert_eq!(block.key(), &Key::new("/CIQX"));
        assert_eq!(block.file_name(), "CIQX.data");
        for foreign in [
            "CIQX",
            "ciqx.data",
            ".data",
            "CIQX.data.tmp",
            "a/B.data",
            ".X.data",
        ] {
            assert_eq!(BlockKey::of_file(OsStr::new(foreign)), None, "{foreign}");
        }
    }
}
