//! What can be observed of a store: [tracing](https://docs.rs/tracing) events and spans, and with the
//! feature `metrics` figures for the recorder of the [metrics](https://docs.rs/metrics) facade.
//!
//! The names on this page are part of the crate's interface. More may come.
//!
//! # Events and spans
//!
//! | target | level | event | fields |
//! | --- | --- | --- | --- |
//! | `ds_flatfs::store` | debug | a store was opened or closed | `path`, `shard`, `read_only` |
//! | | info | the last session was not closed, its traces are cleaned up | `path` |
//! | | debug | a `sync` is done | `path` |
//! | | warn | the disk usage can't be kept, or makes no sense | `error`, `path` |
//! | | error | a flush failed | `path`, `error` |
//! | `ds_flatfs::read` | trace | a `get`, `has` or `get_size` of a block is answered | `operation`, `key`, `source`, `bytes`, `outcome` |
//! | `ds_flatfs::write` | trace | a `put` or `delete` of a block is done | `operation`, `key`, `bytes`, `outcome` |
//! | `ds_flatfs::batch` | debug | a batch was begun, committed or discarded | `batch`, `puts`, `deletes`, `bytes` |
//! | | info | a commit that was interrupted is completed | `batch` |
//! | | warn | a commit stays incomplete, or something is left behind | `batch`, `error` |
//! | | error | a block of a committed batch is gone | `key` |
//! | `ds_flatfs::query` | debug | a query begins | `query` |
//! | | warn | something in the store is no block | `path` |
//! | `ds_flatfs::disk` | warn | there is no free file descriptor, or a temp file can't be removed | `path`, `error` |
//! | `ds_flatfs::maintenance` | warn | a store can't be closed after its maintenance was stopped | `error` |
//! | `ds_flatfs::wrappers` | warn | something went wrong that no caller is told | `error`, `key` |
//!
//! There are spans for what takes several steps: `open` (info) and `close` (info) with `path`, `sync`
//! (debug) with `path`, all of the target `ds_flatfs::store`, and `commit` (debug) with `batch`, of the target
//! `ds_flatfs::batch`. What is done for them on the blocking pool is in the span too. `batch` is the name of
//! the batch's directory below `.temp`. Values are never part of an event.
//!
//! An event that nobody listens to costs a comparison.
//!
//! # Metrics
//!
//! | name | kind | labels | what |
//! | --- | --- | --- | --- |
//! | `ds_flatfs_operations_total` | counter | `operation`, `outcome` | calls that were answered |
//! | `ds_flatfs_operation_seconds` | histogram | `operation` | how long they took; of reads, those that needed the disk |
//! | `ds_flatfs_reads_total` | counter | `source` | reads of blocks that memory could answer at once (`memory`), or not (`disk`) |
//! | `ds_flatfs_read_bytes_total` | counter | | the sizes of the blocks that were got |
//! | `ds_flatfs_written_bytes_total` | counter | | the sizes of the blocks that were put, also into batches |
//! | `ds_flatfs_batch_puts` | histogram | | puts of each batch that was committed |
//! | `ds_flatfs_batch_deletes` | histogram | | deletes of each batch that was committed |
//! | `ds_flatfs_batch_bytes` | histogram | | the sizes of the blocks of each batch that was committed |
//! | `ds_flatfs_flush_seconds` | histogram | | how long flushes to the disk took, each of which may serve many writes |
//! | `ds_flatfs_flush_failures_total` | counter | | flushes that failed |
//! | `ds_flatfs_open_files` | histogram | | files that a store has open for its jobs, seen when one more is to be |
//! | `ds_flatfs_file_retries_total` | counter | | times that no file descriptor was free |
//!
//! `operation` is `get`, `has`, `get_size`, `put`, `delete`, `commit`, `sync`, `open` or `close`; each of
//! many keys is a `get` or `has`. `outcome` is `ok`, `absent` for a read of what is not there, or `error`.
//! Calls are not counted whose future was dropped, nor those that a closed store refuses, nor a close of one
//! that is closed already.
//!
//! `describe_metrics` tells the recorder what each of them is. Without the
//! feature nothing of this is in the program.

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
pub(crate) use self::recorder::{bytes_written, file_retry, open_files};
use crate::error::{Error, Result};
use crate::key::Key;

/// The targets of events and spans.
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

/// What answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Memory,
    Disk,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Memory => "memory",
            Source::Disk => "disk",
        }
    }
}

/// A call, from here to its answer.
#[must_use = "it is reported at its end"]
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

    /// Passes its answer on. A closed store's refusal is no answer, and isn't reported.
    pub(crate) fn end<T>(self, answer: Result<T>) -> Result<T> {
        if let Err(Error::Closed) = answer {
            return answer;
        }
        recorder::operation(self.name, outcome(&answer));
        recorder::took(self.name, self.timer);
        answer
    }

    /// Ends the write of a block.
    pub(crate) fn end_write(self, key: &Key, bytes: usize, answer: Result<()>) -> Result<()> {
        if let Err(Error::Closed) = answer {
            return answer;
        }
        tracing::trace!(
            target: target::WRITE,
            operation = self.name,
            %key,
            bytes,
            outcome = outcome(&answer),
            "write"
        );
        if answer.is_ok() {
            bytes_written(bytes);
        }
        self.end(answer)
    }

    /// Ends a read of a block from disk; `bytes` of it were read.
    pub(crate) fn end_read<T>(self, key: &Key, bytes: usize, answer: &Result<Option<T>>) {
        read(self.name, Source::Disk, key, bytes, answer);
        recorder::took(self.name, self.timer);
    }
}

/// Reports a read of a block, `bytes` of which were read.
#[inline]
pub(crate) fn read<T>(
    operation: &'static str,
    source: Source,
    key: &Key,
    bytes: usize,
    answer: &Result<Option<T>>,
) {
    let outcome = match answer {
        Ok(None) => "absent",
        answer => outcome(answer),
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

/// Reports a batch that was committed.
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

/// A flush to the disk that runs.
#[must_use = "it is reported at its end"]
pub(crate) struct Flush(Timer);

impl Flush {
    pub(crate) fn begin() -> Self {
        Flush(Timer::start())
    }

    pub(crate) fn end(self, failed: bool) {
        recorder::flush(self.0, failed);
    }
}

/// The last component of a path, as an event shows it.
pub(crate) fn name(path: &Path) -> impl fmt::Display {
    Path::new(path.file_name().unwrap_or_default()).display()
}

fn outcome<T>(answer: &Result<T>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(_) => "error",
    }
}
