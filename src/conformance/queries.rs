//! Suites about the results of queries.

use super::check::{fill, finish, start};
use super::expected::{check_slice, matching};
use super::{ELEMENTS, Keys, sample};
use crate::datastore::Datastore;
use crate::key::Key;
use crate::query::{Compare, Entry, Filter, Order, Query};

/// Fills the datastore, runs the queries one after another, and empties the datastore.
async fn check_queries(datastore: &dyn Datastore, contents: &[Entry], queries: Vec<Query>) {
    check_slices(datastore, contents, queries, &[0], &[None]).await;
}

/// Like [`check_queries`], with all of these offsets and limits.
async fn check_slices(
    datastore: &dyn Datastore,
    contents: &[Entry],
    queries: Vec<Query>,
    offsets: &[usize],
    limits: &[Option<usize>],
) {
    start(datastore).await;
    fill(datastore, contents).await;
    for query in queries {
        let matching = matching(contents, &query);
        let slices = times(vec![query], offsets, |query, offset| query.offset(*offset));
        for query in times(slices, limits, with_limit) {
            check_slice(datastore, &matching, query).await;
        }
    }
    finish(datastore).await;
}

/// A query without conditions returns every entry.
pub async fn query_everything(datastore: &dyn Datastore, keys: Keys) {
    let contents = sample::entries(keys, ELEMENTS);
    check_queries(datastore, &contents, vec![Query::new()]).await;
}

/// An entry has exactly what the query asked for: the key, the value, the size of the value.
pub async fn query_results(datastore: &dyn Datastore, keys: Keys) {
    let contents = sample::entries(keys, ELEMENTS);
    let mut queries = Vec::new();
    for with_part in PARTS {
        queries.push(with_part(Query::new()));
        queries.push(with_part(Query::new().order(Order::by_value())));
        queries.push(with_part(Query::new().filter(some_values())));
    }
    check_queries(datastore, &contents, queries).await;
}

/// A prefix matches the keys strictly below it, with and without a `/` at the end.
pub async fn query_prefixes(datastore: &dyn Datastore, keys: Keys) {
    let mut contents = sample::entries(keys, ELEMENTS);
    let neighbours: &[&str] = match keys {
        Keys::Any => &["/prefix", "/prefixed", "/prefixed/0key0", "/0key0/below"],
        Keys::Flat | Keys::Blocks => &["/PREFIX", "/PREFIXED", "/0KEY"],
    };
    let neighbours = neighbours.iter().map(Key::new);
    contents.extend(neighbours.map(|key| Entry::with_value(key, "neighbour".into())));
    let queries = [
        "",
        "/",
        "/./",
        "/.././/",
        "/prefix/../",
        "/prefix",
        "/prefix/",
        "/prefix/sub/",
        "/0",
        "/0key0",
        "/bad/",
    ];
    let queries = queries.map(|prefix| Query::new().prefix(keys.text(prefix)));
    check_queries(datastore, &contents, queries.into()).await;
}

/// A query returns only entries that pass all filters.
pub async fn query_filters(datastore: &dyn Datastore, keys: Keys) {
    let contents = sample::entries(keys, ELEMENTS);
    let queries = filters(keys)
        .into_iter()
        .map(|filters| with_filters(Query::new(), &filters));
    check_queries(datastore, &contents, queries.collect()).await;
}

/// Entries are returned in the order of the query, and entries that are equal by it in the order of their keys.
pub async fn query_orders(datastore: &dyn Datastore, keys: Keys) {
    let contents = sample::entries(keys, ELEMENTS);
    let queries = orders()
        .into_iter()
        .map(|orders| with_orders(Query::new(), &orders));
    check_queries(datastore, &contents, queries.collect()).await;
}

/// Offset and limit select a range of the results, with and without an order.
pub async fn query_slices(datastore: &dyn Datastore, keys: Keys) {
    let contents = sample::entries(keys, ELEMENTS);
    let (tenth, all) = (ELEMENTS / 10, contents.len());
    let offsets = [0, 1, tenth, all / 2, all - 5, all - 1, all, all * 2];
    let limits = [0, 1, tenth, all, usize::MAX].map(Some);
    let limits = [&[None], &limits[..]].concat();
    let query = Query::new().keys_only();
    let queries = vec![query.clone().order(Order::by_key()), query];
    check_slices(datastore, &contents, queries, &offsets, &limits).await;
}

/// All combinations of prefix, filters, order, offset and limit return the right entries, with and without values.
/// The datastore has no entry, then one, then [`ELEMENTS`] in each namespace.
pub async fn query_combinations(datastore: &dyn Datastore, keys: Keys) {
    let offsets = [0, ELEMENTS / 10, ELEMENTS - 5, ELEMENTS];
    let limits = [None, Some(1), Some(ELEMENTS / 10), Some(ELEMENTS)];
    for count in [0, 1, ELEMENTS] {
        let contents = sample::entries(keys, count);
        let queries = combinations(keys);
        check_slices(datastore, &contents, queries, &offsets, &limits).await;
    }
}

fn combinations(keys: Keys) -> Vec<Query> {
    let prefixes = ["/", "/prefix", "/0"].map(|prefix| keys.text(prefix));
    let filters = [
        vec![],
        vec![Filter::key(Compare::Equal, keys.text("/0key0"))],
        vec![
            Filter::key(Compare::Less, "/2"),
            Filter::custom(even_number),
        ],
        vec![some_values()],
    ];
    let orders = [
        vec![],
        vec![Order::by_key()],
        vec![Order::by_key().descending()],
        vec![Order::by_value(), Order::by_key().descending()],
        vec![by_length()],
    ];
    let mut queries = vec![Query::new()];
    queries = times(queries, &prefixes, |query, prefix| {
        query.prefix(prefix.as_str())
    });
    queries = times(queries, &filters, |query, filters| {
        with_filters(query, filters)
    });
    queries = times(queries, &orders, |query, orders| with_orders(query, orders));
    let [whole, _, _, sizes] = PARTS;
    times(queries, &[whole, sizes], |query, with_part| {
        with_part(query)
    })
}

/// Returns every query with every option.
fn times<T>(queries: Vec<Query>, options: &[T], add: impl Fn(Query, &T) -> Query) -> Vec<Query> {
    let mut combined = Vec::with_capacity(queries.len() * options.len());
    for query in queries {
        combined.extend(options.iter().map(|option| add(query.clone(), option)));
    }
    combined
}

fn with_filters(query: Query, filters: &[Filter]) -> Query {
    filters.iter().cloned().fold(query, Query::filter)
}

fn with_orders(query: Query, orders: &[Order]) -> Query {
    orders.iter().cloned().fold(query, Query::order)
}

fn with_limit(query: Query, limit: &Option<usize>) -> Query {
    match *limit {
        Some(limit) => query.limit(limit),
        None => query,
    }
}

/// How much of each entry a query returns.
const PARTS: [fn(Query) -> Query; 4] = [
    |query| query,
    Query::returns_sizes,
    Query::keys_only,
    |query| query.keys_only().returns_sizes(),
];

/// Each list of filters accepts some of the entries, but not all.
fn filters(keys: Keys) -> Vec<Vec<Filter>> {
    let known = || keys.text("/0key0");
    vec![
        vec![Filter::key(Compare::Equal, known())],
        vec![Filter::key(Compare::NotEqual, known())],
        vec![Filter::key(Compare::Less, "/2")],
        vec![Filter::key(Compare::LessOrEqual, known())],
        vec![Filter::key(Compare::Greater, known())],
        vec![Filter::key(Compare::GreaterOrEqual, "/2")],
        vec![Filter::key_prefix(known())],
        vec![Filter::key_prefix("/1")],
        vec![Filter::value(Compare::Equal, sample::value(1))],
        vec![Filter::value(Compare::NotEqual, "")],
        vec![Filter::value(Compare::Less, sample::value(1))],
        vec![Filter::value(Compare::GreaterOrEqual, sample::value(1))],
        vec![Filter::custom(even_number)],
        vec![Filter::custom(early_key)],
        vec![
            Filter::key_prefix("/1"),
            some_values(),
            Filter::custom(even_number),
        ],
    ]
}

fn orders() -> Vec<Vec<Order>> {
    vec![
        vec![Order::by_key()],
        vec![Order::by_key().descending()],
        vec![Order::by_value()],
        vec![Order::by_value().descending()],
        vec![Order::by_value(), Order::by_key()],
        vec![Order::by_value(), Order::by_key().descending()],
        vec![by_length()],
        vec![by_length().descending(), Order::by_value()],
        vec![by_first_letter().descending()],
        vec![Order::custom(|a, b| a.value.cmp(&b.value))],
    ]
}

fn some_values() -> Filter {
    Filter::value(Compare::Greater, sample::MIDDLE)
}

fn even_number(entry: &Entry) -> bool {
    let digits = entry.key.as_str().bytes();
    digits.last().is_some_and(|digit| digit % 2 == 0)
}

/// Reads the whole key, so that it detects a datastore that passes the wrong key to a filter.
fn early_key(entry: &Entry) -> bool {
    entry.key.as_str() < "/5"
}

/// Reads the key from its beginning, for the same reason as [`early_key`].
fn by_first_letter() -> Order {
    let letter = |entry: &Entry| entry.key.as_str().chars().nth(1);
    Order::custom(move |a, b| letter(a).cmp(&letter(b)))
}

fn by_length() -> Order {
    Order::custom(|a, b| a.key.as_str().len().cmp(&b.key.as_str().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_of_the_suites_accepts_some_entries_but_not_all() {
        for keys in [Keys::Any, Keys::Flat, Keys::Blocks] {
            let contents = sample::entries(keys, ELEMENTS);
            for filters in filters(keys) {
                let query = with_filters(Query::new(), &filters);
                let passing = matching(&contents, &query).len();
                assert!(passing > 0 && passing < contents.len(), "{query}");
            }
        }
    }

    #[test]
    fn every_order_of_the_suites_returns_the_entries_in_another_order() {
        for keys in [Keys::Any, Keys::Flat, Keys::Blocks] {
            let contents = sample::entries(keys, ELEMENTS);
            let mut sorted: Vec<_> = orders()
                .iter()
                .map(|orders| matching(&contents, &with_orders(Query::new(), orders)))
                .collect();
            sorted.sort_by(|a, b| a.iter().map(|e| &e.key).cmp(b.iter().map(|e| &e.key)));
            sorted.dedup();
            assert_eq!(sorted.len(), orders().len() - 2, "all but two differ");
        }
    }
}
