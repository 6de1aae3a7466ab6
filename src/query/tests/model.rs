//! Compares queries with a model that runs them in the simplest way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{entry, run_over};
use crate::query::*;

/// A query in parts, so that the model below does not depend on the query itself.
#[derive(Clone, Debug)]
struct Parts {
    prefix: &'static str,
    key_below: Option<&'static str>,
    value_above: Option<&'static str>,
    by_value: bool,
    descending: bool,
    offset: usize,
    limit: Option<usize>,
}

impl Parts {
    fn query(&self) -> Query {
        let order = if self.by_value {
            Order::by_value()
        } else {
            Order::by_key()
        };
        let order = if self.descending {
            order.descending()
        } else {
            order
        };
        let mut query = Query::new().prefix(self.prefix).order(order);
        if let Some(key) = self.key_below {
            query = query.filter(Filter::key(Compare::Less, key));
        }
        if let Some(value) = self.value_above {
            query = query.filter(Filter::value(Compare::Greater, value));
        }
        query = query.offset(self.offset);
        query.limit = self.limit;
        query
    }

    fn model(&self, entries: &BTreeMap<String, String>) -> Vec<Entry> {
        let below = format!("{}/", self.prefix.trim_end_matches('/'));
        let mut found: Vec<_> = entries
            .iter()
            .filter(|(key, _)| key.starts_with(&below))
            .filter(|(key, _)| self.key_below.is_none_or(|bound| key.as_str() < bound))
            .filter(|(_, value)| self.value_above.is_none_or(|bound| value.as_str() > bound))
            .collect();
        match (self.by_value, self.descending) {
            (false, false) => {}
            (false, true) => found.reverse(),
            (true, false) => found.sort_by_key(|(_, value)| *value),
            (true, true) => found.sort_by_key(|(_, value)| std::cmp::Reverse(*value)),
        }
        let behind = found.into_iter().skip(self.offset);
        let slice = behind.take(self.limit.unwrap_or(usize::MAX));
        slice.map(|(key, value)| entry(key, value)).collect()
    }
}

fn any_parts() -> impl Strategy<Value = Parts> {
    (
        prop::sample::select(vec!["/", "/a", "/a/b", "/c"]),
        prop::option::of(prop::sample::select(vec!["/a/c", "/b", "/c/a"])),
        prop::option::of(prop::sample::select(vec!["", "x", "xy"])),
        any::<(bool, bool)>(),
        0_usize..6,
        prop::option::of(0_usize..8),
    )
        .prop_map(
            |(prefix, key_below, value_above, (by_value, descending), offset, limit)| Parts {
                prefix,
                key_below,
                value_above,
                by_value,
                descending,
                offset,
                limit,
            },
        )
}

proptest! {
    #![proptest_config(crate::testing::proptest_config())]

    #[test]
    fn the_results_are_those_of_the_model(
        entries in prop::collection::btree_map("(/[abc]){1,3}", "[xy]{0,2}", 0..30),
        parts in any_parts(),
        backwards: bool,
    ) {
        let mut shuffled: Vec<_> = entries.iter().map(|(key, value)| entry(key, value)).collect();
        if backwards {
            shuffled.reverse();
        }
        prop_assert_eq!(run_over(parts.query(), shuffled), parts.model(&entries));
    }
}
