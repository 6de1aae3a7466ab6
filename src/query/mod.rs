//! Queries: which entries of a datastore to return, in which order, and how much of each.
//!
//! A [`Query`] returns an [`EntryStream`]. Its steps are applied in the same order as in go-datastore: prefix,
//! filters, orders, offset, limit. [`apply()`] applies all of them to any stream of entries, for datastores
//! that have no faster way.

mod apply;
mod excerpt;
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
pub(crate) use self::excerpt::Excerpt;
pub use self::filter::{Compare, Filter};
pub(crate) use self::merge::merge;
pub use self::order::Order;
pub(crate) use self::rekey::{KeyMap, rekey};
use crate::error::Result;
use crate::key::Key;

/// The results of a query, returned as they are found.
///
/// An error item does not end the stream: the entries that can be read still follow. Dropping the stream ends the
/// query.
pub type EntryStream = BoxStream<'static, Result<Entry>>;

/// A key, with the value and the size if the query asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, unless the query asked for [keys only](Query::keys_only).
    pub value: Option<Bytes>,
    /// The size of the value in bytes. It is there if the value is, or if the query
    /// [asked for it](Query::returns_sizes).
    pub size: Option<u64>,
}

impl Entry {
    /// Makes an entry with a key alone.
    #[must_use]
    pub fn from_key(key: Key) -> Self {
        Entry {
            key,
            value: None,
            size: None,
        }
    }

    /// Makes an entry with a key and the size of its value.
    #[must_use]
    pub fn with_size(key: Key, size: u64) -> Self {
        Entry {
            key,
            value: None,
            size: Some(size),
        }
    }

    /// Makes an entry with a key, its value, and the size of the value.
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

/// Which entries of a datastore to return, in which order, and how much of each.
///
/// The default query returns every entry with its value, in any order.
///
/// **A prefix ends at a `/`**: the prefix `/C` matches `/C/A`, but not `/CIQ`. In a store whose keys have one
/// namespace, such as [`FlatFs`](crate::FlatFs), every prefix except `/` matches nothing. Use
/// [`Filter::key_prefix`] to match the first letters of keys.
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
    /// Returns only keys strictly below this one; every key is below `/`.
    pub prefix: Key,
    /// Returns only entries that pass all of these filters.
    pub filters: Vec<Filter>,
    /// Sorts the entries by the first order, those that are equal under it by the next one, and so on, and finally by
    /// key. Without orders the entries are returned in any order.
    pub orders: Vec<Order>,
    /// How many of the matching entries to skip.
    pub offset: usize,
    /// The maximum number of entries to return.
    pub limit: Option<usize>,
    /// Whether the entries are returned without their values.
    pub keys_only: bool,
    /// Whether entries that are returned without their values still have the sizes.
    pub returns_sizes: bool,
}

impl Default for Query {
    fn default() -> Self {
        Query::new()
    }
}

impl Query {
    /// Makes a query for every entry with its value, in any order.
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

    /// Returns only keys strictly below `prefix`, which ends at a `/` as in go-datastore: `/a` matches `/a/b`, and
    /// neither `/a` nor `/ab`. On a [`FlatFs`](crate::FlatFs) every prefix except `/` therefore matches nothing;
    /// [`Filter::key_prefix`] matches the first letters of keys instead.
    ///
    /// ```
    /// # use ds_flatfs::query::Filter;
    /// # use ds_flatfs::Query;
    /// let starts_with_ci = Query::new().filter(Filter::key_prefix("/CI"));
    /// ```
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Key>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Returns only entries that also pass this filter.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Adds an order, which sorts the entries that are equal under the earlier orders.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.orders.push(order);
        self
    }

    /// Skips the first `offset` matching entries.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Returns at most `limit` entries.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Returns the entries without their values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// Returns the sizes of the values, even if the values are not returned.
    #[must_use]
    pub fn returns_sizes(mut self) -> Self {
        self.returns_sizes = true;
        self
    }

    /// Returns how much of an entry [`apply()`] needs to decide about it and to return it: for example, a value
    /// filter needs the value even if the query returns keys only.
    #[must_use]
    pub fn needs(&self) -> Needs {
        if !self.keys_only || self.reads_values() {
            Needs::Value
        } else if self.returns_sizes {
            Needs::Size
        } else {
            Needs::Key
        }
    }

    /// Returns whether a filter or an order of this query reads values.
    pub(crate) fn reads_values(&self) -> bool {
        self.filters
            .iter()
            .any(|filter| filter.needs_value(self.keys_only))
            || self
                .orders
                .iter()
                .any(|order| order.needs_value(self.keys_only))
    }

    /// Returns whether the entries are to be in the order of their keys.
    pub(crate) fn is_by_key(&self) -> bool {
        self.orders.first().is_some_and(Order::is_by_key)
    }

    /// Returns whether the key is below the prefix.
    pub(crate) fn covers(&self, key: &Key) -> bool {
        self.prefix.is_root() || self.prefix.is_ancestor_of(key)
    }

    /// Returns whether the key passes all filters that decide by the key alone.
    #[cfg(feature = "object-store")]
    pub(crate) fn accepts_key(&self, key: &Key) -> bool {
        let mut by_key = self
            .filters
            .iter()
            .filter(|filter| !filter.needs_value(false));
        let entry = Entry::from_key(key.clone());
        by_key.all(|filter| filter.accepts(&entry))
    }
}

/// How much of each entry a query needs; see [`Query::needs`].
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
