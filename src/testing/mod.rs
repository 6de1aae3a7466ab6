//! Support for the crate's own tests: a disk that injects faults, and the crash tests that run on it.

use proptest::test_runner::Config;

mod crash_tests;
pub(crate) mod fault_disk;

/// Returns the configuration of the property tests, which print a failing case and do not write it to a
/// file.
pub(crate) fn proptest_config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}
