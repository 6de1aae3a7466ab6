//! [`Filter`]: which entries pass.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, KeyMap};
use crate::key::Key;

/// How a filter compares what an entry has (left) with what the filter names (right).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Compare {
    /// Whether two things that stand in this order to each other pass the comparison.
    #[must_use]
    pub fn accepts(self, order: Ordering) -> bool {
        match self {
            Compare::Equal => order.is_eq(),
            Compare::NotEqual => order.is_ne(),
            Compare::Less => order.is_lt(),
            Compare::LessOrEqual => order.is_le(),
            Compare::Greater => order.is_gt(),
            Compare::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compare::Equal => "==",
            Compare::NotEqual => "!=",
            Compare::Less => "<",
            Compare::LessOrEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterOrEqual => ">=",
        })
    }
}

type Predicate = Arc<dyn Fn(&Entry) -> bool + Send + Sync>;
type KeyPredicate = Arc<dyn Fn(&Key) -> bool + Send + Sync>;

/// Which entries of a query pass.
#[derive(Clone)]
pub struct Filter(Kind);

#[derive(Clone)]
enum Kind {
    Key(Compare, Key),
    Value(Compare, Bytes),
    KeyPrefix(String),
    Custom(Predicate),
    CustomKey(KeyPredicate),
}

impl Filter {
    /// Entries whose key compares so with this one, byte by byte.
    #[must_use]
    pub fn key(compare: Compare, key: impl Into<Key>) -> Self {
        Filter(Kind::Key(compare, key.into()))
    }

    /// Entries whose value compares so with this one, byte by byte. It needs the values, also in a
    /// query for keys only.
    #[must_use]
    pub fn value(compare: Compare, value: impl Into<Bytes>) -> Self {
        Filter(Kind::Value(compare, value.into()))
    }

    /// Entries whose key's text starts with this one, the leading `/` included. Other than
    /// [`Query::prefix`](super::Query::prefix) it doesn't care where a namespace ends: `/a` lets `/a`,
    /// `/ab` and `/a/b` pass.
    #[must_use]
    pub fn key_prefix(prefix: impl Into<String>) -> Self {
        Filter(Kind::KeyPrefix(prefix.into()))
    }

    /// Entries for which `predicate` is true. It sees what the query answers, so it can count on the
    /// value only if the query isn't for keys only. It runs on whoever polls the stream, so it should
    /// be quick.
    #[must_use]
    pub fn custom(predicate: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Self {
        Filter(Kind::Custom(Arc::new(predicate)))
    }

    /// Entries for whose key `predicate` is true. It needs no values.
    pub(crate) fn custom_key(predicate: impl Fn(&Key) -> bool + Send + Sync + 'static) -> Self {
        Filter(Kind::CustomKey(Arc::new(predicate)))
    }

    /// The same filter for a datastore that has the entries under other keys, of which `map` makes those
    /// that this filter judges.
    pub(super) fn rekeyed(&self, map: &KeyMap) -> Self {
        let map = Arc::clone(map);
        match &self.0 {
            Kind::Value(..) => self.clone(),
            Kind::Custom(predicate) => {
                let predicate = Arc::clone(predicate);
                Filter::custom(move |entry| predicate(&entry.rekeyed(&map)))
            }
            Kind::Key(..) | Kind::KeyPrefix(_) | Kind::CustomKey(_) => {
                let filter = self.clone();
                Filter::custom_key(move |key| filter.accepts(&Entry::from_key(map(key))))
            }
        }
    }

    /// Whether this entry passes. A value comparison lets no entry pass that has no value.
    #[must_use]
    pub fn accepts(&self, entry: &Entry) -> bool {
        match &self.0 {
            Kind::Key(compare, key) => compare.accepts(entry.key.cmp(key)),
            Kind::Value(compare, value) => entry
                .value
                .as_ref()
                .is_some_and(|found| compare.accepts(found.cmp(value))),
            Kind::KeyPrefix(prefix) => entry.key.as_str().starts_with(prefix),
            Kind::Custom(predicate) => predicate(entry),
            Kind::CustomKey(predicate) => predicate(&entry.key),
        }
    }

    pub(super) fn needs_value(&self, keys_only: bool) -> bool {
        match self.0 {
            Kind::Key(..) | Kind::KeyPrefix(_) | Kind::CustomKey(_) => false,
            Kind::Value(..) => true,
            Kind::Custom(_) => !keys_only,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Key(compare, key) => write!(f, "key {compare} {key}"),
            Kind::Value(compare, value) => write!(f, "value {compare} {value:?}"),
            Kind::KeyPrefix(prefix) => write!(f, "key starts with {prefix:?}"),
            Kind::Custom(_) => f.write_str("custom filter"),
            Kind::CustomKey(_) => f.write_str("custom filter of keys"),
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}
