//! Tools for whole stores: what an operator runs while no node uses the store.
//!
//! Each takes the path of a store and its lock, so that no writer can have it open meanwhile; only
//! `verify::Verify` changes nothing and takes no lock. None prints: each tells its [`Progress`] to a callback if one is given, which can stop it. A tool that was
//! stopped, whose future was dropped, or whose process was killed leaves a store in which nothing is
//! lost; the same call again completes the work.
//!
//! | tool | job |
//! | --- | --- |
//! | [`Move`] | all blocks into another store, also on another file system |
//! | [`Reshard`] | another shard function, in place |
//! | [`recount()`] | the disk usage, counted exactly and written down |
//! | [`upgrade`], [`downgrade`] | from format version 0 to 1, and back |
//! | `verify` (feature `verify`) | checks of every block against its hash, and repairs |
//!
//! The program `flatfs` has each as a command; [recipes](crate::guide::operators) say how to use them on a
//! repo of kubo.

pub(crate) mod convert;
mod move_file;
mod moving;
mod parallel_walk;
pub(crate) mod progress;
pub(crate) mod recount;
mod reshard;
mod skipped;
mod usage;
#[cfg(feature = "verify")]
pub mod verify;
mod work;

pub use self::convert::{downgrade, upgrade};
pub use self::moving::{Move, Moved};
pub use self::progress::Progress;
pub use self::recount::recount;
pub use self::reshard::{Reshard, Resharded};
pub use self::skipped::{SkipReason, Skipped};
