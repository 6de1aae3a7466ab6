//! What a store reports: [tracing](https://docs.rs/tracing) events and spans, and with the feature `metrics`,
//! metrics for the recorder of the [metrics](https://docs.rs/metrics) facade.
//!
//! The names on this page are part of the crate's interface. More may be added.
//!
//! # Events and spans
//!
//! | target | level | event | fields |
//! | --- | --- | --- | --- |
//! | `ds_flatfs::store` | debug | a store has been opened | `path`, `shard`, `read_only` |
//! | | debug | a store has been closed, or a `sync` has ended | `path` |
//! | | info | the store was not closed by the last session, and is cleaned up | `path` |
//! | | debug | a datastore in an object store has been opened | `location`, `shard` |
//! | | debug | a datastore in an object store has been closed | `location` |
//! | | warn | the cached disk usage is invalid | `path` |
//! | | warn | the disk usage cannot be counted or saved | `error` |
//! | | error | a flush failed | `path`, `error` |
//! | `ds_flatfs::read` | trace | a `get`, `has` or `get_size` of a block has ended | `operation`, `key`, `source`, `bytes`, `outcome` |
//! | | debug | the shard directory of an absent block cannot be listed | `key`, `error` |
//! | `ds_flatfs::write` | trace | a `put` or `delete` of a block has ended | `operation`, `key`, `bytes`, `outcome` |
//! | `ds_flatfs::batch` | debug | a batch has been begun or discarded | `batch` |
//! | | debug | a batch has been committed | `batch`, `puts`, `deletes`, `bytes` |
//! | | info | a commit that was interrupted is completed | `batch` |
//! | | warn | a commit stays incomplete, or a directory cannot be removed | `batch`, `error` |
//! | | warn | a batch whose commit was not durable is removed after a crash of the machine | `batch` |
//! | | error | a block of a committed batch is missing | `key` |
//! | | debug | a batch has been sent to an object store | `location`, `puts`, `deletes`, `bytes` |
//! | `ds_flatfs::query` | debug | a query begins | `query` |
//! | | warn | a file in the store is not a block, or is in the shard directory of another key | `path` |
//! | `ds_flatfs::disk` | debug | the permissions of the lock file cannot be restricted | `error` |
//! | | warn | no file descriptor is free | |
//! | | warn | a temp file cannot be removed | `path`, `error` |
//! | `ds_flatfs::maintenance` | warn | a store cannot be closed after its maintenance was stopped | `error` |
//! | `ds_flatfs::wrappers` | warn | a commit failed or is incomplete, and no caller gets the error | `error` |
//! | | warn | a collected write was rejected, and is dropped | `key`, `error` |
//! | | warn | an `AutoBatch` was dropped, and its uncommitted writes are lost | |
//!
//! Operations of several steps have spans: `open` (info) and `close` (info) with `path`, `sync` (debug)
//! with `path`, all of the target `ds_flatfs::store`, and `commit` (debug) with `batch`, of the target
//! `ds_flatfs::batch`. Their work on the blocking pool is in the span, too. `batch` is the name of the
//! batch's directory below `.temp`. Values of blocks are never part of an event.
//!
//! An event without a subscriber costs a comparison.
//!
//! # Metrics
//!
//! | name | kind | labels | meaning |
//! | --- | --- | --- | --- |
//! | `ds_flatfs_operations_total` | counter | `operation`, `outcome` | operations that have ended |
//! | `ds_flatfs_operation_seconds` | histogram | `operation` | how long they took; for reads, only those that needed the disk |
//! | `ds_flatfs_reads_total` | counter | `source` | reads of blocks, served from memory at once (`memory`) or not (`disk`), or by an object store (`object_store`) |
//! | `ds_flatfs_read_bytes_total` | counter | | sizes of the blocks that were read |
//! | `ds_flatfs_written_bytes_total` | counter | | sizes of the blocks that were put, including into batches |
//! | `ds_flatfs_batch_puts` | histogram | | puts of each committed batch |
//! | `ds_flatfs_batch_deletes` | histogram | | deletes of each committed batch |
//! | `ds_flatfs_batch_bytes` | histogram | | sizes of the blocks of each committed batch |
//! | `ds_flatfs_flush_seconds` | histogram | | how long flushes to the disk took, each of which can serve many writes |
//! | `ds_flatfs_flush_failures_total` | counter | | flushes that failed |
//! | `ds_flatfs_open_files` | histogram | | files that a store has open for its jobs, recorded when one more is requested |
//! | `ds_flatfs_presence_filter_bytes` | gauge | | memory that the filters of absent blocks take, in all open stores |
//! | `ds_flatfs_object_requests_total` | counter | `method`, `outcome` | HTTP requests of the clients that `ObjectOptions::open_url` makes, including each retry and each page of a listing |
//! | `ds_flatfs_object_request_seconds` | histogram | `method` | how long these requests took until the response began |
//! | `ds_flatfs_file_retries_total` | counter | | retries because no file descriptor was free |
//!
//! `operation` is `get`, `has`, `get_size`, `put`, `delete`, `commit`, `sync`, `open` or `close`; in an
//! operation on many keys, each key is a `get` or `has`. `outcome` is `ok`, `absent` for a read of an
//! absent block, or `error`; for an HTTP request, `ok`, `absent`, `retry` if the client sends it again unless its
//! limits are reached, or `error`. Operations whose future was dropped are not counted, nor those that a closed
//! store refuses, nor a second close.
//!
//! `describe_metrics` registers a description and a unit of each metric with the recorder. Without the
//! feature, none of this is compiled.

#[cfg(not(feature = "metrics"))]
#[path = "no_recorder.rs"]
mod recorder;
#[cfg(feature = "metrics")]
mod recorder;

use std::fmt;
use std::path::Path;

use self::recorder::Timer;
#[cfg(feature = "metrics")]
pub use self::recorder::describe_metrics;
pub(crate) use self::recorder::{
    bytes_written, file_retry, open_files, presence_filter_grew, presence_filter_shrank,
};
use crate::error::{Error, Result};
use crate::key::Key;

/// The targets of the events and spans.
pub(crate) mod target {
    pub(crate) const STORE: &str = "ds_flatfs::store";
    pub(crate) const READ: &str = "ds_flatfs::read";
    pub(crate) const WRITE: &str = "ds_flatfs::write";
    pub(crate) const BATCH: &str = "ds_flatfs::batch";
    pub(crate) const QUERY: &str = "ds_flatfs::query";
    pub(crate) const DISK: &str = "ds_flatfs::disk";
    pub(crate) const MAINTENANCE: &str = "ds_flatfs::maintenance";
    pub(crate) const WRAPPERS: &str = "ds_flatfs::wrappers";
}

/// Where a block was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadSource {
    Memory,
    Disk,
    #[cfg(feature = "object-store")]
    ObjectStore,
}

impl ReadSource {
    fn name(self) -> &'static str {
        match self {
            ReadSource::Memory => "memory",
            ReadSource::Disk => "disk",
            #[cfg(feature = "object-store")]
            ReadSource::ObjectStore => "object_store",
        }
    }
}

/// An operation in progress, which is reported when it ends.
#[must_use = "the operation is reported when this ends"]
pub(crate) struct Operation {
    name: &'static str,
    timer: Timer,
}

impl Operation {
    pub(crate) fn begin(name: &'static str) -> Self {
        Operation {
            name,
            timer: Timer::start(),
        }
    }

    /// Reports the result and returns it. An operation that a closed store refuses is not reported.
    pub(crate) fn end<T>(self, result: Result<T>) -> Result<T> {
        if let Err(Error::Closed) = result {
            return result;
        }
        recorder::operation(self.name, outcome(&result));
        recorder::took(self.name, self.timer);
        result
    }

    /// Reports the result of the write of a block of `bytes` bytes, and returns it.
    pub(crate) fn end_write(self, key: &Key, bytes: usize, result: Result<()>) -> Result<()> {
        if let Err(Error::Closed) = result {
            return result;
        }
        tracing::trace!(
            target: target::WRITE,
            operation = self.name,
            %key,
            bytes,
            outcome = outcome(&result),
            "write"
        );
        if result.is_ok() {
            bytes_written(bytes);
        }
        self.end(result)
    }

    /// Reports the result of a read of a block that was not in memory, of which `bytes` bytes were read.
    pub(crate) fn end_read<T>(
        self,
        source: ReadSource,
        key: &Key,
        bytes: usize,
        result: &Result<Option<T>>,
    ) {
        read(self.name, source, key, bytes, result);
        recorder::took(self.name, self.timer);
    }
}

/// Reports a read of a block, of which `bytes` bytes were read.
#[inline]
pub(crate) fn read<T>(
    operation: &'static str,
    source: ReadSource,
    key: &Key,
    bytes: usize,
    result: &Result<Option<T>>,
) {
    let outcome = match result {
        Ok(None) => "absent",
        result => outcome(result),
    };
    tracing::trace!(
        target: target::READ,
        operation,
        %key,
        source = source.name(),
        bytes,
        outcome,
        "read"
    );
    recorder::operation(operation, outcome);
    recorder::read(source.name(), bytes);
}

/// Reports that a batch has been committed.
pub(crate) fn committed(dir: &Path, puts: usize, deletes: usize, bytes: u64) {
    tracing::debug!(
        target: target::BATCH,
        batch = %name(dir),
        puts,
        deletes,
        bytes,
        "committed"
    );
    recorder::batch(puts, deletes, bytes);
}

/// Reports that a batch has been sent to the object store at `location`.
#[cfg(feature = "object-store")]
pub(crate) fn sent(location: &str, puts: usize, deletes: usize, bytes: u64) {
    tracing::debug!(target: target::BATCH, location, puts, deletes, bytes, "committed");
    recorder::batch(puts, deletes, bytes);
}

/// An HTTP request to an object store, which is reported when its response begins.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
#[must_use = "the request is reported when this ends"]
pub(crate) struct Request(Timer);

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
impl Request {
    pub(crate) fn begin() -> Self {
        Request(Timer::start())
    }

    pub(crate) fn end(self, method: &str, outcome: &'static str) {
        recorder::request(method, outcome, self.0);
    }
}

/// A flush to the disk in progress, which is reported when it ends.
#[must_use = "the flush is reported when this ends"]
pub(crate) struct Flush(Timer);

impl Flush {
    pub(crate) fn begin() -> Self {
        Flush(Timer::start())
    }

    pub(crate) fn end(self, failed: bool) {
        recorder::flush(self.0, failed);
    }
}

/// Returns the last component of a path, for a field of an event.
pub(crate) fn name(path: &Path) -> impl fmt::Display {
    Path::new(path.file_name().unwrap_or_default()).display()
}

fn outcome<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(_) => "error",
    }
}
