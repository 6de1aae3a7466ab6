//! What can be asked of a datastore, and what it answers.
//!
//! A [`Query`] says which entries are wanted; the answer is an [`EntryStream`]. The steps apply in
//! this order, as in go-datastore: prefix, filters, orders, offset, limit. [`apply()`] does all of them
//! over any stream of entries, for datastores that can't do better.

mod apply;
mod filter;
mod merge;
mod order;
mod rekey;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::apply::apply;
pub use self::filter::{Compare, Filter};
pub(crate) use self::merge::merge;
pub use self::order::Order;
pub(crate) use self::rekey::{KeyMap, rekey};
use crate::error::Result;
use crate::key::Key;

/// The answer to a query: entries as they are found, each of which may be an error.
///
/// An error item doesn't end the stream: the entries that could be read still come. Dropping the
/// stream ends the query.
pub type EntryStream = BoxStream<'static, Result<Entry>>;

/// A key with what the query asked for about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, unless the query asked for [keys only](Query::keys_only).
    pub value: Option<Bytes>,
    /// The value's size in bytes: always beside a value, else if the query
    /// [asked for it](Query::returns_sizes).
    pub size: Option<u64>,
}

impl Entry {
    /// An entry with a key alone.
    #[must_use]
    pub fn from_key(key: Key) -> Self {
        Entry {
            key,
            value: None,
            size: None,
        }
    }

    /// An entry with a key and the size of its value.
    #[must_use]
    pub fn with_size(key: Key, size: u64) -> Self {
        Entry {
            key,
            value: None,
            size: Some(size),
        }
    }

    /// An entry with a key, its value, and the value's size.
    #[must_use]
    pub fn with_value(key: Key, value: Bytes) -> Self {
        let size = Some(value.len() as u64);
        Entry {
            key,
            value: Some(value),
            size,
        }
    }
}

/// Which entries of a datastore are wanted, in which order, and how much of each.
///
/// The default asks for every entry with its value, in any order.
///
/// ```
/// use ds_flatfs::query::{Order, Query};
///
/// let query = Query::new().prefix("/blocks").order(Order::by_key()).limit(10).keys_only();
/// assert_eq!(query.to_string(), "prefix /blocks, ordered by key, at most 10, keys only");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Query {
    /// Only keys strictly below this one; `/` is every key.
    pub prefix: Key,
    /// Only entries that pass all of these.
    pub filters: Vec<Filter>,
    /// Sorted by the first of these, ties by the next one, and so on; in the end by key. Without
    /// orders the entries come in any order.
    pub orders: Vec<Order>,
    /// How many of the matching entries to leave out from the start.
    pub offset: usize,
    /// How many entries to answer at most.
    pub limit: Option<usize>,
    /// Whether the values are left out.
    pub keys_only: bool,
    /// Whether entries without a value have its size all the same.
    pub returns_sizes: bool,
}

impl Default for Query {
    fn default() -> Self {
        Query::new()
    }
}

impl Query {
    /// Every entry with its value, in any order.
    #[must_use]
    pub fn new() -> Self {
        Query {
            prefix: Key::root(),
            filters: Vec::new(),
            orders: Vec::new(),
            offset: 0,
            limit: None,
            keys_only: false,
            returns_sizes: false,
        }
    }

    /// Only keys strictly below this one: `/a` finds `/a/b`, and neither `/a` nor `/ab`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Key>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only entries that pass this filter too.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Sorts by this order what the orders before it leave equal.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.orders.push(order);
        self
    }

    /// Leaves out the first `offset` matching entries.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Answers at most `limit` entries.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves out the values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// Asks for the sizes of the values, also where the values are left out.
    #[must_use]
    pub fn returns_sizes(mut self) -> Self {
        self.returns_sizes = true;
        self
    }

    /// What an entry needs before [`apply()`] can judge and answer it: a value filter, say, needs the
    /// value even if only keys are wanted.
    #[must_use]
    pub fn needs(&self) -> Needs {
        if !self.keys_only || self.judges_values() {
            Needs::Value
        } else if self.returns_sizes {
            Needs::Size
        } else {
            Needs::Key
        }
    }

    /// Whether a filter or an order of this query looks at values.
    pub(crate) fn judges_values(&self) -> bool {
        self.filters
            .iter()
            .any(|filter| filter.needs_value(self.keys_only))
            || self
                .orders
                .iter()
                .any(|order| order.needs_value(self.keys_only))
    }

    /// Whether the key lies below the prefix.
    pub(crate) fn covers(&self, key: &Key) -> bool {
        self.prefix.is_root() || self.prefix.is_ancestor_of(key)
    }
}

/// How much of each entry a query has to look at; see [`Query::needs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// The key alone.
    Key,
    /// The key and the size of the value.
    Size,
    /// The value.
    Value,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prefix {}", self.prefix)?;
        for filter in &self.filters {
            write!(f, ", {filter}")?;
        }
        for (i, order) in self.orders.iter().enumerate() {
            let word = if i == 0 { "ordered by" } else { "then by" };
            write!(f, ", {word} {order}")?;
        }
        if self.offset > 0 {
            write!(f, ", without the first {}", self.offset)?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", at most {limit}")?;
        }
        match (self.keys_only, self.returns_sizes) {
            (true, true) => f.write_str(", keys and sizes only"),
            (true, false) => f.write_str(", keys only"),
            (false, _) => Ok(()),
        }
    }
}
