//! The format of a store on disk: names, paths, and the text of its small files. No I/O.

mod block_key;
mod commit_record;
mod layout;
mod names;
pub(crate) mod object_marker;
mod reshard_marker;
mod shard;
mod staging_dir;
pub(crate) mod usage_cache;

pub(crate) use self::block_key::BlockKey;
pub(crate) use self::commit_record::{CommitRecord, Put, UnreadableRecord};
pub(crate) use self::layout::Layout;
pub(crate) use self::names::{
    COMMIT, DISK_USAGE, LOCK, QUARANTINE, README, SET_ASIDE, SHARDING, TEMP, UNCLEAN, is_known,
    is_left_over, is_shard_name,
};
pub(crate) use self::reshard_marker::{ReshardMarker, UnreadableMarker};
pub use self::shard::Shard;
pub(crate) use self::staging_dir::StagingDir;
