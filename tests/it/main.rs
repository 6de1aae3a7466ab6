//! Tests of the public API, in one binary with a module for each topic.
#![allow(clippy::disallowed_methods, reason = "tests access the disk directly")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, also in shared functions"
)]

mod batches;
mod blocking_reader;
#[cfg(feature = "blockstore")]
mod blockstore;
mod bulk;
mod child;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "conformance")]
mod conformance_faults;
mod contention;
mod convert;
mod copying;
mod create_open;
#[cfg(feature = "dag")]
mod dag_reports;
#[cfg(feature = "dag")]
mod dags;
mod damaged_stores;
mod disk_usage;
mod failing_disk;
mod fixtures;
mod full_disk;
#[cfg(feature = "dag")]
mod gc;
mod keys;
#[cfg(feature = "verify")]
mod killed_repairs;
mod killed_writers;
mod kubo_lock;
mod layers;
mod mounts;
mod move_and_reshard;
#[cfg(feature = "object-store")]
mod object;
mod open_file_limit;
mod permissions;
mod planted_files;
#[cfg_attr(unix, path = "platform/unix.rs")]
#[cfg_attr(windows, path = "platform/windows.rs")]
mod platform;
mod public_types;
mod queries;
mod read_only;
#[cfg(feature = "verify")]
mod repair;
mod several_processes;
mod shard_vectors;
mod stale_readers;
mod support;
mod symlinks;
mod tracing_and_metrics;
#[cfg(feature = "verify")]
mod verify;
mod wrappers;
mod writes;
