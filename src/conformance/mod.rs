//! Test suites that any [`Datastore`] can run, to show that it keeps the contract of the traits.
//!
//! A suite is an async function that takes a datastore and the [`Keys`] that the datastore can hold.
//! It **panics** with what was expected if the datastore doesn't do it. Every suite needs an empty
//! datastore that nobody else writes to, and leaves it empty again; so they can run one after the
//! other on the same datastore, as [`all`] runs them. [`closing()`] stands apart, since nothing can be
//! done with a datastore behind it.
//!
//! The suites ask for what the traits promise of every datastore. They don't ask what it says to a key
//! that it can't hold, nor whether anything survives a crash.
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
    reason = "this is test code: a panic is how it tells what failed"
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
    batch_commits, batch_deletes, batch_discards, batch_drops, batch_first_value, batch_is_empty,
    batch_last_operation, batch_over_writes, batch_queries, batch_reads, batches_at_once,
};
pub use self::bulk::{delete_many, get_many, has_many, put_many};
pub use self::closing::closing;
pub use self::concurrency::{concurrent_batch_puts, concurrent_keys, concurrent_writes_of_one_key};
pub use self::queries::{
    query_answers, query_combinations, query_everything, query_filters, query_orders,
    query_prefixes, query_slices,
};
pub use self::streams::{query_beside_writes, query_dropped};
pub use self::values::{absent_keys, basics, deletes, disk_usage, overwrites, syncs, value_sizes};
use crate::datastore::Datastore;
use crate::key::Key;

/// How many entries a suite that queries writes into each namespace. There are four namespaces with
/// [`Keys::Any`], one with [`Keys::Flat`].
pub const ELEMENTS: usize = 100;

/// Which keys the datastore under test can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Keys {
    /// All that have at least one namespace.
    Any,
    /// Those of one namespace, made of `0-9` and `A-Z`: `/0KEY0`. FlatFs can hold these.
    Flat,
}

impl Keys {
    /// A key for the value that the suite calls so; `name` is in lower case.
    fn key(self, name: &str) -> Key {
        match self {
            Keys::Any => Key::new(format!("/Some/namespace:{name}")),
            Keys::Flat => Key::new(name.to_uppercase()),
        }
    }

    /// Two keys of which one begins with the other: where there are namespaces, it lies below it.
    fn nested(self) -> [Key; 2] {
        match self {
            Keys::Any => [Key::new("/outer"), Key::new("/outer/inner")],
            Keys::Flat => [Key::new("/OUTER"), Key::new("/OUTER0INNER")],
        }
    }

    /// Text to compare keys with, given in lower case, in the case of these keys.
    fn text(self, text: &str) -> String {
        match self {
            Keys::Any => text.to_owned(),
            Keys::Flat => text.to_uppercase(),
        }
    }
}

/// Runs every suite but [`closing()`].
///
/// # Panics
///
/// If the datastore fails one.
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
    query_answers(datastore, keys).await;
    query_prefixes(datastore, keys).await;
    query_filters(datastore, keys).await;
    query_orders(datastore, keys).await;
    query_slices(datastore, keys).await;
    query_combinations(datastore, keys).await;
    query_dropped(datastore, keys).await;
    query_beside_writes(datastore, keys).await;

    batch_commits(datastore, keys).await;
    batch_deletes(datastore, keys).await;
    batch_last_operation(datastore, keys).await;
    batch_first_value(datastore, keys).await;
    batch_reads(datastore, keys).await;
    batch_queries(datastore, keys).await;
    batch_discards(datastore, keys).await;
    batch_drops(datastore, keys).await;
    batch_over_writes(datastore, keys).await;
    batches_at_once(datastore, keys).await;
    batch_is_empty(datastore, keys).await;

    concurrent_keys(datastore, keys).await;
    concurrent_writes_of_one_key(datastore, keys).await;
    concurrent_batch_puts(datastore, keys).await;
}
