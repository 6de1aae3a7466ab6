//! [`Order`]: the order in which a query returns entries.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::{Entry, KeyMap};

type Comparison = Arc<dyn Fn(&Entry, &Entry) -> Ordering + Send + Sync>;

/// An order in which a query returns entries.
#[derive(Clone)]
pub struct Order {
    by: By,
    descending: bool,
}

#[derive(Clone)]
enum By {
    Key,
    Value,
    Custom(Comparison),
}

impl Order {
    /// Sorts by the bytes of the keys, ascending.
    #[must_use]
    pub fn by_key() -> Self {
        Order::ascending(By::Key)
    }

    /// Sorts by the bytes of the values, ascending. The order reads the values, even if the query returns keys
    /// only.
    #[must_use]
    pub fn by_value() -> Self {
        Order::ascending(By::Value)
    }

    /// Sorts by a custom comparison. The comparison sees what the query returns, so the values are missing if the
    /// query returns keys only. It must be a total order, or sorting may panic.
    #[must_use]
    pub fn custom(comparison: impl Fn(&Entry, &Entry) -> Ordering + Send + Sync + 'static) -> Self {
        Order::ascending(By::Custom(Arc::new(comparison)))
    }

    /// Reverses the order.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = !self.descending;
        self
    }

    /// Returns whether this is the order by key, ascending.
    pub(crate) fn is_by_key(&self) -> bool {
        matches!(self.by, By::Key) && !self.descending
    }

    fn ascending(by: By) -> Self {
        Order {
            by,
            descending: false,
        }
    }

    /// Compares two entries.
    #[must_use]
    pub fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let order = match &self.by {
            By::Key => a.key.cmp(&b.key),
            By::Value => a.value.cmp(&b.value),
            By::Custom(comparison) => comparison(a, b),
        };
        if self.descending {
            order.reverse()
        } else {
            order
        }
    }

    /// Returns the same order for a datastore that has the entries under other keys. `map` turns its keys into the
    /// ones that this order compares, and must preserve the order of the keys.
    pub(super) fn rekeyed(&self, map: &KeyMap) -> Self {
        let By::Custom(comparison) = &self.by else {
            return self.clone();
        };
        let (comparison, map) = (Arc::clone(comparison), Arc::clone(map));
        let rekeyed = move |a: &Entry, b: &Entry| comparison(&a.rekeyed(&map), &b.rekeyed(&map));
        Order {
            by: By::Custom(Arc::new(rekeyed)),
            descending: self.descending,
        }
    }

    pub(super) fn needs_value(&self, keys_only: bool) -> bool {
        match self.by {
            By::Key => false,
            By::Value => true,
            By::Custom(_) => !keys_only,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by {
            By::Key => "key",
            By::Value => "value",
            By::Custom(_) => "custom order",
        })?;
        if self.descending {
            f.write_str(" descending")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Order({self})")
    }
}
