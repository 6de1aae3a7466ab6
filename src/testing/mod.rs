//! What the crate's own tests stand on: a disk with faults, and the crash tests that use it.

mod crash_tests;
pub(crate) mod fault_disk;
