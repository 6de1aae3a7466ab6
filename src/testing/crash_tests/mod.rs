//! Tests of what crashes, disk failures and dropped futures can do to a store. Each promise has a test that
//! runs on a [`FaultDisk`](crate::testing::fault_disk::FaultDisk).

mod calls;
mod commit_failures;
mod commit_records;
mod concurrency;
mod concurrent_writers;
#[cfg(feature = "conformance")]
mod conformance;
mod conversions;
mod crash_points;
mod crashes;
mod creation;
mod dropped_futures;
mod files_in_use;
mod flush_counts;
mod flush_failures;
mod full_disk;
#[cfg(feature = "dag")]
mod gc;
mod inspect;
mod io_errors;
mod model;
mod moving;
mod presence_filter;
mod random_sessions;
mod recovery;
#[cfg(feature = "verify")]
mod repair;
mod resharding;
mod setup;
mod staged_flushes;
mod usage_count;
mod whole_store_tool;
mod writes_of_one_key;
