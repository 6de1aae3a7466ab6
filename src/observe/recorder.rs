//! Passes metrics to the recorder that is installed for the metrics facade.

use std::time::Instant;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

const OPERATIONS: &str = "ds_flatfs_operations_total";
const OPERATION_SECONDS: &str = "ds_flatfs_operation_seconds";
const READS: &str = "ds_flatfs_reads_total";
const READ_BYTES: &str = "ds_flatfs_read_bytes_total";
const WRITTEN_BYTES: &str = "ds_flatfs_written_bytes_total";
const BATCH_PUTS: &str = "ds_flatfs_batch_puts";
const BATCH_DELETES: &str = "ds_flatfs_batch_deletes";
const BATCH_BYTES: &str = "ds_flatfs_batch_bytes";
const FLUSH_SECONDS: &str = "ds_flatfs_flush_seconds";
const FLUSH_FAILURES: &str = "ds_flatfs_flush_failures_total";
const OPEN_FILES: &str = "ds_flatfs_open_files";
const PRESENCE_FILTER_BYTES: &str = "ds_flatfs_presence_filter_bytes";
const OBJECT_REQUESTS: &str = "ds_flatfs_object_requests_total";
const OBJECT_REQUEST_SECONDS: &str = "ds_flatfs_object_request_seconds";
const FILE_RETRIES: &str = "ds_flatfs_file_retries_total";

/// Registers a description and a unit of each metric with the installed recorder, if there is one. Call it once,
/// after you have installed a recorder that shows descriptions. Feature `metrics`.
pub fn describe_metrics() {
    describe_counter!(OPERATIONS, Unit::Count, "Operations that have ended");
    describe_histogram!(OPERATION_SECONDS, Unit::Seconds, "How long operations took");
    describe_counter!(
        READS,
        Unit::Count,
        "Reads of blocks, from memory or from disk"
    );
    describe_counter!(
        READ_BYTES,
        Unit::Bytes,
        "Sizes of the blocks that were read"
    );
    describe_counter!(
        WRITTEN_BYTES,
        Unit::Bytes,
        "Sizes of the blocks that were put"
    );
    describe_histogram!(BATCH_PUTS, Unit::Count, "Puts of each committed batch");
    describe_histogram!(
        BATCH_DELETES,
        Unit::Count,
        "Deletes of each committed batch"
    );
    describe_histogram!(
        BATCH_BYTES,
        Unit::Bytes,
        "Sizes of the blocks of each committed batch"
    );
    describe_histogram!(
        FLUSH_SECONDS,
        Unit::Seconds,
        "How long flushes to the disk took"
    );
    describe_counter!(
        FLUSH_FAILURES,
        Unit::Count,
        "Flushes to the disk that failed"
    );
    describe_histogram!(
        OPEN_FILES,
        Unit::Count,
        "Files that a store has open for its jobs"
    );
    describe_gauge!(
        PRESENCE_FILTER_BYTES,
        Unit::Bytes,
        "Memory that the filters of absent blocks take"
    );
    describe_counter!(
        OBJECT_REQUESTS,
        Unit::Count,
        "HTTP requests to object stores"
    );
    describe_histogram!(
        OBJECT_REQUEST_SECONDS,
        Unit::Seconds,
        "How long it took until the responses of object stores began"
    );
    describe_counter!(
        FILE_RETRIES,
        Unit::Count,
        "Times that no file descriptor was free"
    );
}

#[derive(Clone, Copy)]
pub(super) struct Timer(Instant);

impl Timer {
    pub(super) fn start() -> Self {
        Timer(Instant::now())
    }
}

pub(super) fn operation(operation: &'static str, outcome: &'static str) {
    counter!(OPERATIONS, "operation" => operation, "outcome" => outcome).increment(1);
}

pub(super) fn took(operation: &'static str, timer: Timer) {
    histogram!(OPERATION_SECONDS, "operation" => operation).record(timer.0.elapsed());
}

pub(super) fn read(source: &'static str, bytes: usize) {
    counter!(READS, "source" => source).increment(1);
    counter!(READ_BYTES).increment(bytes as u64);
}

pub(super) fn batch(puts: usize, deletes: usize, bytes: u64) {
    histogram!(BATCH_PUTS).record(puts as f64);
    histogram!(BATCH_DELETES).record(deletes as f64);
    histogram!(BATCH_BYTES).record(bytes as f64);
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(super) fn request(method: &str, outcome: &'static str, timer: Timer) {
    let method = method.to_owned();
    counter!(OBJECT_REQUESTS, "method" => method.clone(), "outcome" => outcome).increment(1);
    histogram!(OBJECT_REQUEST_SECONDS, "method" => method).record(timer.0.elapsed());
}

pub(super) fn flush(timer: Timer, failed: bool) {
    histogram!(FLUSH_SECONDS).record(timer.0.elapsed());
    if failed {
        counter!(FLUSH_FAILURES).increment(1);
    }
}

pub(crate) fn bytes_written(bytes: usize) {
    counter!(WRITTEN_BYTES).increment(bytes as u64);
}

pub(crate) fn presence_filter_grew(bytes: usize) {
    gauge!(PRESENCE_FILTER_BYTES).increment(bytes as f64);
}

pub(crate) fn presence_filter_shrank(bytes: usize) {
    gauge!(PRESENCE_FILTER_BYTES).decrement(bytes as f64);
}

pub(crate) fn file_retry() {
    counter!(FILE_RETRIES).increment(1);
}

pub(crate) fn open_files(count: impl FnOnce() -> usize) {
    histogram!(OPEN_FILES).record(count() as f64);
}
