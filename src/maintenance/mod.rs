//! Tools for whole stores, which an operator runs while no node uses the store.
//!
//! Each tool takes the path of a store and locks the store, so that no writer can have it open at the same
//! time. Only `Verify` and [`count_disk_usage`] change nothing and take no lock. The tools print
//! nothing: pass a callback to get their [`Progress`], which can also stop them. A tool that was stopped,
//! whose future was dropped, or whose process was killed loses no block; the same call completes the work.
//!
//! | tool | job |
//! | --- | --- |
//! | [`Move`] | all blocks into another store, also on another file system |
//! | [`Reshard`] | another shard function, in place |
//! | [`recount()`] | the disk usage, counted exactly and written down |
//! | [`count_disk_usage`] | the disk usage, counted beside a writer |
//! | [`upgrade`], [`downgrade`] | from format version 0 to 1, and back |
//! | `Verify`, `Repair` (feature `verify`) | checks of every block against its hash, and repairs |
//!
//! The program `flatfs` has a command for each; [recipes](crate::guide::operators) show how to use
//! them on the repo of a kubo node.

pub(crate) mod convert;
mod move_to_shard;
mod moving;
mod parallel_walk;
pub(crate) mod progress;
pub(crate) mod recount;
mod reshard;
mod skipped;
mod tool_state;
mod usage_baseline;
#[cfg(feature = "verify")]
mod verify;

pub use self::convert::{downgrade, upgrade};
pub use self::moving::{Move, Moved};
pub use self::progress::{Phase, Progress};
pub use self::recount::{count_disk_usage, recount};
pub use self::reshard::{Reshard, Resharded};
pub use self::skipped::{SkipReason, Skipped};
#[cfg(feature = "verify")]
pub use self::verify::{Finding, Findings, Problem, Remedy, Repair, Summary, Verify};
