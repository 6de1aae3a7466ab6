//! What crashes, a failing disk and dropped futures may do to a store, and what not: each promise by
//! a test on the [`FaultDisk`](crate::testing::fault_disk::FaultDisk).

mod coalescing;
mod commit_failures;
mod concurrency;
mod conversions;
mod crash_points;
mod creation;
mod dropped_futures;
mod fixture;
mod flush_failures;
mod full_disk;
mod io_errors;
mod model;
mod moving;
#[cfg(feature = "conformance")]
mod portable;
mod random;
mod records;
mod recount;
mod recovery;
#[cfg(feature = "verify")]
mod repair;
mod resharding;
mod writers;
