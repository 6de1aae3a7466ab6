//! The crate's behaviour through its public face. One binary, made of a module for each topic.
#![allow(
    clippy::disallowed_methods,
    reason = "tests look at the disk past the store"
)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, also in the functions that tests share"
)]

mod api;
mod bad_input;
mod batches;
#[cfg(feature = "blockstore")]
mod blockstore;
mod bulk;
mod child;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "conformance")]
mod conformance;
mod convert;
mod create_open;
mod disk_usage;
mod failing_disk;
#[cfg(feature = "conformance")]
mod faulty;
mod fixtures;
mod full_disk;
mod keys;
mod kill;
mod kubo_lock;
mod layers;
mod limits;
mod links;
mod mounts;
mod observed;
mod processes;
mod queries;
mod read_only;
mod relocate;
#[cfg(feature = "verify")]
mod repair;
#[cfg(feature = "verify")]
mod repair_kill;
mod stale_readers;
mod support;
mod vectors;
#[cfg(feature = "verify")]
mod verify;
mod wrappers;
mod writes;
