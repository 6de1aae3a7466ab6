//! Tests of [`apply`], and of filters and orders.

mod model;
mod text;

use std::cmp::Ordering;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures::FutureExt;
use futures::stream::{self, StreamExt};

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
