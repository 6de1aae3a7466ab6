//! [`FlatFs`]: blocks in sharded directories, one file each.
//!
//! Every operation that takes several steps on disk is one job on the blocking pool, which owns its key lock,
//! its permit and its bytes: it runs to its end even if its future is dropped. So a dropped future leaves
//! nothing half done.
//!
//! [`Store`] is composed of [`Blocks`](blocks::Blocks), which knows how one block is looked up and changed,
//! [`CommitLog`](commit_log::CommitLog), [`Lifecycle`](lifecycle::Lifecycle), a queue for the writes that
//! flush nothing and [`GroupCommit`](group_commit::GroupCommit) for the durable ones.

mod background;
mod blocking_reader;
mod blocks;
mod bulk;
mod close;
mod commit_log;
mod create;
mod flatfs;
mod group_commit;
mod key_locks;
mod kubo_lock;
mod lifecycle;
mod open;
mod opener;
mod options;
mod read;
mod resharding;
mod saved_usage;
mod scan;
mod shared;
mod stale_check;
mod teardown;
mod write;

pub(crate) use self::blocks::{FlushTarget, MAX_SINGLE_FLUSHES};
pub(crate) use self::commit_log::CommittedBatch;
pub use self::flatfs::FlatFs;
pub(crate) use self::key_locks::KeyLock;
#[cfg(feature = "dag")]
pub(crate) use self::key_locks::WriteWatch;
pub use self::kubo_lock::KuboLock;
pub(crate) use self::lifecycle::WorkGuard;
pub(crate) use self::open::Purpose;
#[cfg(feature = "verify")]
pub(crate) use self::opener::is_of_objects;
pub(crate) use self::opener::{DirState, Opener, locate};
pub use self::options::{Durability, ExistingBlock, Options};
pub(crate) use self::scan::walk;
pub(crate) use self::shared::Store;
