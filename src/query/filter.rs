//! [`Filter`]: conditions that an entry must meet.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Excerpt, KeyMap};
use crate::key::Key;

/// How a filter compares the key or value of an entry (left) with its own (right).
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
    /// Returns whether the comparison holds if comparing the left side with the right side gives `order`.
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

/// A condition that the entries of a query must meet.
#[derive(Clone)]
pub struct Filter(Condition);

#[derive(Clone)]
enum Condition {
    Key(Compare, Key),
    Value(Compare, Bytes),
    KeyPrefix(String),
    Custom(Predicate),
    CustomKey(KeyPredicate),
}

impl Filter {
    /// Accepts entries whose key has this relation to `key`, compared byte by byte.
    #[must_use]
    pub fn key(compare: Compare, key: impl Into<Key>) -> Self {
        Filter(Condition::Key(compare, key.into()))
    }

    /// Accepts entries whose value has this relation to `value`, compared byte by byte. The filter reads the
    /// values, even if the query returns keys only.
    #[must_use]
    pub fn value(compare: Compare, value: impl Into<Bytes>) -> Self {
        Filter(Condition::Value(compare, value.into()))
    }

    /// Accepts entries whose key starts with this text, which includes the leading `/`. Unlike
    /// [`Query::prefix`](super::Query::prefix), the text may end within a namespace: `/a` accepts `/a`, `/ab` and
    /// `/a/b`.
    #[must_use]
    pub fn key_prefix(prefix: impl Into<String>) -> Self {
        Filter(Condition::KeyPrefix(prefix.into()))
    }

    /// Accepts entries for which `predicate` returns true. The predicate sees what the query returns, so the value
    /// is missing if the query returns keys only. It runs in the task that polls the stream and must not block.
    #[must_use]
    pub fn custom(predicate: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Self {
        Filter(Condition::Custom(Arc::new(predicate)))
    }

    /// Accepts entries for whose key `predicate` returns true. The filter reads no values.
    pub(crate) fn custom_key(predicate: impl Fn(&Key) -> bool + Send + Sync + 'static) -> Self {
        Filter(Condition::CustomKey(Arc::new(predicate)))
    }

    /// Returns the same filter for a datastore that has the entries under other keys. `map` turns its keys into the
    /// ones that this filter is for.
    pub(super) fn rekeyed(&self, map: &KeyMap) -> Self {
        let map = Arc::clone(map);
        match &self.0 {
            Condition::Value(..) => self.clone(),
            Condition::Custom(predicate) => {
                let predicate = Arc::clone(predicate);
                Filter::custom(move |entry| predicate(&entry.rekeyed(&map)))
            }
            Condition::Key(..) | Condition::KeyPrefix(_) | Condition::CustomKey(_) => {
                let filter = self.clone();
                Filter::custom_key(move |key| filter.accepts(&Entry::from_key(map(key))))
            }
        }
    }

    /// Returns whether the filter accepts this entry. A comparison of values accepts no entry without a value.
    #[must_use]
    pub fn accepts(&self, entry: &Entry) -> bool {
        match &self.0 {
            Condition::Key(compare, key) => compare.accepts(entry.key.cmp(key)),
            Condition::Value(compare, value) => entry
                .value
                .as_ref()
                .is_some_and(|found| compare.accepts(found.cmp(value))),
            Condition::KeyPrefix(prefix) => entry.key.as_str().starts_with(prefix),
            Condition::Custom(predicate) => predicate(entry),
            Condition::CustomKey(predicate) => predicate(&entry.key),
        }
    }

    pub(super) fn needs_value(&self, keys_only: bool) -> bool {
        match self.0 {
            Condition::Key(..) | Condition::KeyPrefix(_) | Condition::CustomKey(_) => false,
            Condition::Value(..) => true,
            Condition::Custom(_) => !keys_only,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Condition::Key(compare, key) => {
                write!(f, "key {compare} {}", Excerpt::text(key.as_str()))
            }
            Condition::Value(compare, value) => {
                write!(f, "value {compare} {}", Excerpt::bytes(value))
            }
            Condition::KeyPrefix(prefix) => {
                write!(f, "key starts with {}", Excerpt::quoted(prefix))
            }
            Condition::Custom(_) => f.write_str("custom filter"),
            Condition::CustomKey(_) => f.write_str("custom filter of keys"),
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}
