//! [`BlockingReader`]: reads for jobs on the blocking pool.

use std::fmt;

use bytes::Bytes;

use crate::error::Result;
use crate::key::Key;

/// Reads that block the thread, for one job on the blocking pool of the runtime.
///
/// A job that reads hundreds of values costs one hop to the pool, instead of one for each value. The job owns the
/// reader, and drops it at its end: the datastore may wait for that when it is closed.
pub trait BlockingReader: fmt::Debug + Send {
    /// Returns the value of `key`, or `None` if the key has no value.
    ///
    /// # Errors
    ///
    /// As for [`Datastore::get`](super::Datastore::get).
    fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Returns the size of the value of `key` in bytes, or `None` if the key has no value.
    ///
    /// # Errors
    ///
    /// As for [`Datastore::get_size`](super::Datastore::get_size).
    fn get_size(&self, key: &Key) -> Result<Option<u64>>;
}
