//! Tools for whole stores, which an operator runs while no node uses the store.
//!
//! A tool that takes the path of a store locks the store, so that no writer can have it open at the same
//! time. Only `Verify`, [`count_disk_usage`] and the dry run of a garbage collection change nothing and take no lock.
//! [`Copy`] and [`Diff`] work with any two open [datastores](crate::Datastore). The tools print nothing: pass a callback to get their [`Progress`], which
//! can also stop them. A tool that was stopped, whose future was dropped, or whose process was killed loses no block;
//! the same call completes the work.
//!
//! | tool | what it does |
//! | --- | --- |
//! | [`Move`] | moves all blocks into another store, even on another file system |
//! | [`Copy`] | copies the blocks that a datastore lacks from another one |
//! | [`Diff`] | lists the keys in which two datastores differ |
//! | [`Reshard`] | changes the shard function in place |
//! | [`recount()`] | counts the disk usage exactly, and saves it |
//! | [`count_disk_usage`] | counts the disk usage without a lock, even while a writer has the store open |
//! | [`upgrade`], [`downgrade`] | convert from format version 0 to 1, and back |
//! | `VerifyBlocks` (feature `verify`) | checks every block of any datastore against its hash |
//! | `Gc` (feature `dag`) | collects garbage: removes the blocks that can't be reached from some roots |
//! | `Verify`, `Repair` (feature `verify`) | check every block against its hash, and repair the store |
//!
//! The program `flatfs` has a command for each; [recipes](crate::guide::operators) show how to use
//! them on the repo of a kubo node.
//!
//! [`Copy`]: struct@Copy

mod compare;
pub(crate) mod convert;
mod copy;
mod diff;
#[cfg(feature = "dag")]
mod gc;
mod move_to_shard;
mod moving;
mod parallel_walk;
pub(crate) mod progress;
pub(crate) mod recount;
mod reporter;
mod reshard;
mod skipped;
mod tool_state;
mod usage_baseline;
#[cfg(feature = "verify")]
mod verify;

pub use self::convert::{downgrade, upgrade};
pub use self::copy::{Copied, Copy, CopyFailure};
pub use self::diff::{Diff, Difference};
#[cfg(feature = "dag")]
pub use self::gc::{Collected, Gc};
pub use self::moving::{Move, Moved};
pub use self::progress::{Phase, Progress};
pub use self::recount::{count_disk_usage, recount};
pub use self::reshard::{Reshard, Resharded};
pub use self::skipped::{SkipReason, Skipped};
#[cfg(feature = "verify")]
pub use self::verify::{Finding, Findings, Problem, Remedy, Repair, Summary, Verify, VerifyBlocks};
