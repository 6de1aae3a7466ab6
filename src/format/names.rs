//! The names of a store's own files. No I/O.

use std::ffi::OsStr;

use super::block_key::is_allowed;

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
