//! Test suites that check whether a [`Datastore`] implements the traits correctly. Feature `conformance`.
//!
//! A suite is an async function that takes a datastore and the [`Keys`] that the datastore can store. It
//! **panics** with a description if the datastore violates the traits. Every suite needs an empty datastore that
//! nothing else writes to, and leaves it empty. Therefore suites can run one after another on the same datastore,
//! as [`all`] does. Only [`closing()`] must come last, because it leaves the datastore closed.
//!
//! The suites check what the traits promise for every datastore. They do not check which error a datastore returns
//! for a key that it cannot store, nor what survives a crash.
//!
//! ```
//! use ds_flatfs::MemoryDatastore;
//! use ds_flatfs::conformance::{self, Keys};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let datastore = MemoryDatastore::new();
//! conformance::all(&datastore, Keys::Any).await;
//! conformance::closing(&datastore, Keys::Any).await;
//! # }
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, which reports failures by a panic"
)]

mod batches;
mod bulk;
mod check;
mod closing;
mod concurrency;
mod expected;
mod queries;
mod sample;
mod streams;
mod values;

pub use self::batches::{
    batch_commits, batch_deletes, batch_discards, batch_drops, batch_is_empty,
    batch_last_operation, batch_over_writes, batch_queries, batch_reads, batch_repeated_puts,
    concurrent_batches,
};
pub use self::bulk::{delete_many, get_many, has_many, put_many};
pub use self::closing::closing;
pub use self::concurrency::{concurrent_batch_puts, concurrent_keys, concurrent_writes_of_one_key};
pub use self::queries::{
    query_combinations, query_everything, query_filters, query_orders, query_prefixes,
    query_results, query_slices,
};
pub use self::streams::{query_dropped, query_during_writes};
pub use self::values::{absent_keys, basics, deletes, disk_usage, overwrites, syncs, value_sizes};
use crate::datastore::Datastore;
use crate::key::Key;

/// The number of entries that the suites about queries write into each namespace. There are four namespaces with
/// [`Keys::Any`], and one otherwise.
pub const ELEMENTS: usize = 100;

/// Which keys the datastore under test can store, and what its batches do with a key that is put twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Keys {
    /// All keys with at least one namespace. If a batch puts a key twice, the last value takes effect.
    Any,
    /// Keys with one namespace of `0-9` and `A-Z`, such as `/0KEY0`. If a batch puts a key twice, the last value takes
    /// effect.
    Flat,
    /// The keys of [`Flat`](Keys::Flat) in a store of content-addressed blocks such as [`FlatFs`](crate::FlatFs): if a
    /// batch puts a key twice, **the first value** takes effect.
    Blocks,
}

impl Keys {
    /// Returns a key for the value that the suite calls `name`, which is in lower case.
    fn key(self, name: &str) -> Key {
        match self {
            Keys::Any => Key::new(format!("/Some/namespace:{name}")),
            Keys::Flat | Keys::Blocks => Key::new(name.to_uppercase()),
        }
    }

    /// Returns two keys, of which the second begins with the first. With namespaces it is below the first.
    fn nested(self) -> [Key; 2] {
        match self {
            Keys::Any => [Key::new("/outer"), Key::new("/outer/inner")],
            Keys::Flat | Keys::Blocks => [Key::new("/OUTER"), Key::new("/OUTER0INNER")],
        }
    }

    /// Converts a text in lower case, with which keys are compared, to the case of these keys.
    fn text(self, text: &str) -> String {
        match self {
            Keys::Any => text.to_owned(),
            Keys::Flat | Keys::Blocks => text.to_uppercase(),
        }
    }

    /// Returns which of two values that a batch puts under the same key takes effect.
    fn effective<T>(self, first: T, last: T) -> T {
        match self {
            Keys::Any | Keys::Flat => last,
            Keys::Blocks => first,
        }
    }
}

/// Runs every suite except [`closing()`].
///
/// # Panics
///
/// Panics if the datastore fails a suite.
pub async fn all(datastore: &dyn Datastore, keys: Keys) {
    basics(datastore, keys).await;
    absent_keys(datastore, keys).await;
    overwrites(datastore, keys).await;
    value_sizes(datastore, keys).await;
    deletes(datastore, keys).await;
    syncs(datastore, keys).await;
    disk_usage(datastore, keys).await;

    get_many(datastore, keys).await;
    has_many(datastore, keys).await;
    put_many(datastore, keys).await;
    delete_many(datastore, keys).await;

    query_everything(datastore, keys).await;
    query_results(datastore, keys).await;
    query_prefixes(datastore, keys).await;
    query_filters(datastore, keys).await;
    query_orders(datastore, keys).await;
    query_slices(datastore, keys).await;
    query_combinations(datastore, keys).await;
    query_dropped(datastore, keys).await;
    query_during_writes(datastore, keys).await;

    batch_commits(datastore, keys).await;
    batch_deletes(datastore, keys).await;
    batch_last_operation(datastore, keys).await;
    batch_repeated_puts(datastore, keys).await;
    batch_reads(datastore, keys).await;
    batch_queries(datastore, keys).await;
    batch_discards(datastore, keys).await;
    batch_drops(datastore, keys).await;
    batch_over_writes(datastore, keys).await;
    concurrent_batches(datastore, keys).await;
    batch_is_empty(datastore, keys).await;

    concurrent_keys(datastore, keys).await;
    concurrent_writes_of_one_key(datastore, keys).await;
    concurrent_batch_puts(datastore, keys).await;
}
