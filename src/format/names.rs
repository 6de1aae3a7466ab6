//! The names of a store's own files. No I/O.

use std::ffi::OsStr;

use super::block_key::is_allowed;

/// The file that names the shard function. It makes a directory a store.
pub(crate) const SHARDING: &str = "SHARDING";
/// A note for users who find the directory.
pub(crate) const README: &str = "_README";
/// The directory of everything that is not yet published: temp files and batches.
pub(crate) const TEMP: &str = ".temp";
/// The file with the disk usage at the last checkpoint.
pub(crate) const DISK_USAGE: &str = "diskUsage.cache";
/// The file that a writer locks. go-ds-flatfs does not have it, and ignores it because it is hidden.
pub(crate) const LOCK: &str = ".lock";
/// The file that exists while a writer has the store open, and after it has crashed. It is hidden, too.
pub(crate) const UNCLEAN: &str = ".unclean";
/// The directory to which a repair moves damaged files. It is hidden, too.
#[cfg_attr(not(feature = "verify"), allow(dead_code))]
pub(crate) const QUARANTINE: &str = ".quarantine";

/// The commit record in the directory of a batch. It makes the batch committed.
pub(crate) const COMMIT: &str = "COMMIT";

/// The extension, without its dot, of a block file that was in the way of another one with the same
/// key. It is as long as that of a block, and no program mistakes such a file for a block.
pub(crate) const SET_ASIDE: &str = "kept";

/// Returns whether a name in the root can be that of a shard directory. Queries list these.
pub(crate) fn is_shard_name(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| !name.is_empty() && is_allowed(name))
}

/// Returns whether a name in the root is one of the store's own files.
pub(crate) fn is_known(name: &OsStr) -> bool {
    [SHARDING, README, TEMP, DISK_USAGE, LOCK, UNCLEAN]
        .iter()
        .any(|known| name == *known)
}

/// Returns whether a file in a shard directory is a temp file of an old version of go-ds-flatfs: `put-` and a
/// number. Such versions wrote them beside the blocks, and left them there after a crash.
pub(crate) fn is_left_over(name: &OsStr) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix("put-"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
