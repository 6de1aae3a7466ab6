//! Tools for whole stores: what an operator runs while no node uses the store.
//!
//! Each takes the path of a store and its lock, so that no writer can have it open meanwhile. None
//! prints: each tells its [`Progress`] to a callback if one is given, which can stop it. A tool that was
//! stopped, whose future was dropped, or whose process was killed leaves a store in which nothing is
//! lost; the same call again completes the work.

#[cfg(feature = "verify")]
pub mod verify;

mod progress;

pub use self::progress::Progress;
