//! Tests of [`apply`], of filters and orders, and of the text of a query. The model at the end runs queries in the
//! simplest way.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures::FutureExt;
use futures::stream::{self, StreamExt};
use proptest::prelude::*;

use super::*;
use crate::error::Error;

fn entry(key: &str, value: &str) -> Entry {
    Entry::with_value(Key::new(key), Bytes::copy_from_slice(value.as_bytes()))
}

/// Three entries, out of order; `/a` and `/c` have the same value.
fn abc() -> Vec<Entry> {
    vec![entry("/c", "x"), entry("/a", "x"), entry("/b", "yy")]
}

fn entries_with_keys(keys: &[&str]) -> Vec<Entry> {
    keys.iter().map(|key| entry(key, "value")).collect()
}

/// Runs the query over entries and errors that are ready at once.
fn run(query: Query, items: Vec<Result<Entry>>) -> Vec<Result<Entry>> {
    let results = apply(query, stream::iter(items)).collect().now_or_never();
    results.expect("nothing to wait for")
}

fn run_over(query: Query, entries: Vec<Entry>) -> Vec<Entry> {
    let items = entries.into_iter().map(Ok).collect();
    let results = run(query, items).into_iter();
    results.map(|item| item.expect("no error")).collect()
}

fn keys(query: Query, entries: Vec<Entry>) -> Vec<String> {
    let entries = run_over(query, entries).into_iter();
    entries.map(|entry| entry.key.into()).collect()
}

#[test]
fn a_query_without_conditions_returns_everything_unchanged() {
    assert_eq!(run_over(Query::new(), abc()), abc());
}

#[test]
fn a_prefix_matches_keys_strictly_below_it() {
    let all = entries_with_keys(&["/", "/a", "/ab", "/a/b", "/a/b/c", "/b/a", "/ab/c"]);
    let below = |prefix: &str| keys(Query::new().prefix(prefix), all.clone());
    assert_eq!(below("/a"), ["/a/b", "/a/b/c"]);
    assert_eq!(below("/a/b/"), ["/a/b/c"]);
    assert_eq!(below("/c"), [""; 0]);
    assert_eq!(below("/").len(), all.len());
}

#[test]
fn a_key_filter_compares_bytes() {
    let passing = |compare| keys(Query::new().filter(Filter::key(compare, "/b")), abc());
    assert_eq!(passing(Compare::Equal), ["/b"]);
    assert_eq!(passing(Compare::NotEqual), ["/c", "/a"]);
    assert_eq!(passing(Compare::Less), ["/a"]);
    assert_eq!(passing(Compare::LessOrEqual), ["/a", "/b"]);
    assert_eq!(passing(Compare::Greater), ["/c"]);
    assert_eq!(passing(Compare::GreaterOrEqual), ["/c", "/b"]);
}

#[test]
fn a_value_filter_compares_bytes_even_in_a_query_for_keys() {
    let filter = Filter::value(Compare::Greater, "x");
    let query = Query::new().filter(filter).keys_only();
    assert_eq!(query.needs(), Needs::Value);
    assert_eq!(
        run_over(query, abc()),
        [Entry::from_key(Key::new("/b"))],
        "the value is needed, but not returned"
    );
}

#[test]
fn a_value_filter_accepts_no_entry_without_a_value() {
    let filter = Filter::value(Compare::NotEqual, "x");
    assert!(!filter.accepts(&Entry::from_key(Key::new("/a"))));
}

#[test]
fn a_key_prefix_filter_matches_within_a_namespace() {
    let all = entries_with_keys(&["/a", "/ab", "/a/b", "/b/a"]);
    let query = Query::new().filter(Filter::key_prefix("/a"));
    assert_eq!(keys(query, all), ["/a", "/ab", "/a/b"]);
}

#[test]
fn an_entry_must_pass_all_filters() {
    let query = Query::new()
        .filter(Filter::value(Compare::Equal, "x"))
        .filter(Filter::custom(|entry| entry.key.as_str() > "/b"));
    assert_eq!(keys(query, abc()), ["/c"]);
}

#[test]
fn orders_sort_in_both_directions() {
    let sorted = |order| keys(Query::new().order(order), abc());
    assert_eq!(sorted(Order::by_key()), ["/a", "/b", "/c"]);
    assert_eq!(sorted(Order::by_key().descending()), ["/c", "/b", "/a"]);
    assert_eq!(
        sorted(Order::by_key().descending().descending()),
        ["/a", "/b", "/c"]
    );
    let by_size = Order::custom(|a, b| a.size.cmp(&b.size));
    assert_eq!(sorted(by_size.descending()), ["/b", "/a", "/c"]);
}

#[test]
fn entries_that_are_equal_by_the_orders_are_sorted_by_key_ascending() {
    let sorted = |order| keys(Query::new().order(order), abc());
    assert_eq!(sorted(Order::by_value()), ["/a", "/c", "/b"]);
    assert_eq!(sorted(Order::by_value().descending()), ["/b", "/a", "/c"]);
    assert_eq!(
        sorted(Order::custom(|_, _| Ordering::Equal)),
        ["/a", "/b", "/c"]
    );
}

#[test]
fn a_later_order_sorts_entries_that_are_equal_by_the_earlier_ones() {
    let query = Query::new()
        .order(Order::by_value())
        .order(Order::by_key().descending());
    assert_eq!(keys(query, abc()), ["/c", "/a", "/b"]);
}

#[test]
fn offset_and_limit_select_a_range_of_the_matching_entries() {
    let sorted = || Query::new().order(Order::by_key());
    assert_eq!(keys(sorted().offset(1), abc()), ["/b", "/c"]);
    assert_eq!(keys(sorted().limit(2), abc()), ["/a", "/b"]);
    assert_eq!(keys(sorted().offset(1).limit(1), abc()), ["/b"]);
    assert_eq!(keys(sorted().offset(3), abc()), [""; 0]);
    assert_eq!(keys(sorted().limit(0), abc()), [""; 0]);
    assert_eq!(keys(sorted().offset(1).limit(usize::MAX), abc()).len(), 2);
    assert_eq!(keys(Query::new().offset(1).limit(1), abc()), ["/a"]);
}

#[test]
fn a_query_stops_reading_at_its_limit() {
    let endless = stream::iter(0..).map(|i| Ok(entry(&format!("/{i}"), "")));
    let results = apply(Query::new().offset(2).limit(3), endless);
    let results: Vec<_> = results.collect().now_or_never().expect("it ends");
    assert_eq!(results.len(), 3);
}

/// Far more entries than a sort with a small limit keeps in memory, in the order of a shuffled deck.
fn deck() -> impl Iterator<Item = Entry> {
    const CARDS: usize = 14_009;
    (0..CARDS).map(|i| entry(&format!("/{:05}", i * 1_237 % CARDS), "value"))
}

#[test]
fn a_sorted_query_with_a_limit_returns_the_right_ones_of_many_entries() {
    for (offset, limit) in [(0, 1), (3, 7), (700, 300), (13_999, 20), (0, 20_000)] {
        for descending in [false, true] {
            let mut order = Order::by_key();
            let mut expected: Vec<_> = deck().map(|entry| entry.key.to_string()).collect();
            expected.sort();
            if descending {
                order = order.descending();
                expected.reverse();
            }
            let query = Query::new().order(order).offset(offset).limit(limit);
            let found = keys(query.clone(), deck().collect());
            let end = expected.len().min(offset + limit);
            assert_eq!(found, expected[offset..end], "{query}");
        }
    }
}

/// The query yields while the entries arrive, and again while the first of them are skipped.
#[tokio::test]
async fn a_query_that_sorts_many_entries_yields_to_other_tasks() {
    const BUDGET: usize = 128;
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let least = deck().count() / BUDGET;
    for (limit, expected) in [(None, 2 * least), (Some(1), least)] {
        runs.store(0, SeqCst);
        let query = Query::new().order(Order::by_key());
        let query = match limit {
            Some(limit) => query.limit(limit),
            None => query.offset(deck().count() - 1),
        };
        let mut results = apply(query, stream::iter(deck().map(Ok)));
        results.next().await.unwrap().unwrap();
        assert!(runs.load(SeqCst) >= expected, "{limit:?}: {runs:?}");
    }
    other.abort();
}

#[test]
fn errors_are_passed_on_and_do_not_count() {
    let items = || {
        let mut items = vec![Err(Error::Closed)];
        for entry in abc() {
            items.extend([Ok(entry), Err(Error::Closed)]);
        }
        items
    };
    let shape = |query| -> Vec<_> {
        let results = run(query, items()).into_iter();
        results
            .map(|item| item.map_or("error".to_owned(), |entry| entry.key.into()))
            .collect()
    };
    let filtered = Query::new().filter(Filter::key(Compare::Equal, "/b"));
    assert_eq!(shape(filtered), ["error", "error", "error", "/b", "error"]);
    let slice = Query::new().offset(1).limit(1);
    assert_eq!(shape(slice.clone()), ["error", "error", "/a"]);
    assert_eq!(
        shape(slice.order(Order::by_key())),
        ["error", "error", "error", "error", "/b"],
        "before sorted entries"
    );
}

#[test]
fn an_entry_has_exactly_what_the_query_asked_for() {
    let whole = entry("/a", "value");
    let key = Key::new("/a");
    for (query, expected) in [
        (Query::new(), whole.clone()),
        (Query::new().returns_sizes(), whole.clone()),
        (Query::new().keys_only(), Entry::from_key(key.clone())),
        (
            Query::new().keys_only().returns_sizes(),
            Entry::with_size(key, 5),
        ),
    ] {
        let needs_the_value = query.clone().order(Order::by_value());
        for query in [query, needs_the_value] {
            let found = run_over(query.clone(), vec![whole.clone()]);
            assert_eq!(found.as_slice(), slice::from_ref(&expected), "{query}");
        }
    }
}

#[test]
fn a_query_needs_values_only_if_something_reads_them() {
    let keys = || Query::new().keys_only();
    assert_eq!(Query::new().needs(), Needs::Value);
    assert_eq!(keys().needs(), Needs::Key);
    assert_eq!(keys().returns_sizes().needs(), Needs::Size);
    for reads_keys in [
        keys().filter(Filter::key_prefix("/a")),
        keys().filter(Filter::key(Compare::Less, "/a")),
        keys().filter(Filter::custom(|_| true)),
        keys().order(Order::by_key()),
        keys().order(Order::custom(|_, _| Ordering::Equal)),
    ] {
        assert_eq!(reads_keys.needs(), Needs::Key, "{reads_keys}");
    }
    for reads_values in [
        keys().filter(Filter::value(Compare::Equal, "")),
        keys().order(Order::by_value()),
        keys().returns_sizes().order(Order::by_value()),
    ] {
        assert_eq!(reads_values.needs(), Needs::Value, "{reads_values}");
    }
}

#[test]
fn a_query_has_a_readable_text() {
    let query = Query::new()
        .prefix("a/")
        .filter(Filter::key(Compare::GreaterOrEqual, "/a/b"))
        .filter(Filter::value(Compare::NotEqual, "x\n"))
        .filter(Filter::key_prefix("/a/b"))
        .filter(Filter::custom(|_| true))
        .order(Order::by_value().descending())
        .order(Order::custom(|_, _| Ordering::Equal))
        .offset(2)
        .limit(3)
        .keys_only()
        .returns_sizes();
    assert_eq!(
        query.to_string(),
        "prefix /a, key >= /a/b, value != b\"x\\n\", key starts with \"/a/b\", custom filter, \
         ordered by value descending, then by custom order, without the first 2, at most 3, \
         keys and sizes only"
    );
    assert_eq!(Query::default().to_string(), "prefix /");
}

#[test]
fn the_text_of_a_query_has_only_the_beginning_of_long_values_and_keys() {
    let long = "ä".repeat(1 << 20);
    let query = Query::new()
        .filter(Filter::value(Compare::Equal, long.clone()))
        .filter(Filter::key(Compare::Less, long.as_str()))
        .filter(Filter::key_prefix(long));
    let filters = query.filters.iter().map(|filter| format!("{filter:?}"));
    for text in filters.chain([query.to_string()]) {
        assert!(text.len() < 1000, "{} bytes", text.len());
        assert!(text.contains("… (20971"), "{text}");
    }
    let short = Query::new().filter(Filter::value(Compare::Equal, vec![b'x'; 64]));
    assert!(!short.to_string().contains('…'));
}

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
