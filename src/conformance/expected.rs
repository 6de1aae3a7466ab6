//! The expected results of a query, computed in the simplest way over all entries in a `Vec`.

use std::collections::BTreeMap;

use super::check::{self, Access};
use crate::query::{Entry, Query};

/// Checks the results of the query if `contents` are all entries of the datastore. Without an order the results may be
/// any of the matching entries, as many as offset and limit select.
pub(super) async fn check_query<S>(subject: &S, contents: &[Entry], query: Query)
where
    S: Access + ?Sized,
{
    check_slice(subject, &matching(contents, &query), query).await;
}

/// Like [`check_query`], with the result of [`matching`], which is the same for every offset and limit.
pub(super) async fn check_slice<S>(subject: &S, matching: &[Entry], query: Query)
where
    S: Access + ?Sized,
{
    let found = check::query(subject, query.clone()).await;
    let slice = matching.iter().skip(query.offset);
    let slice: Vec<_> = slice.take(query.limit.unwrap_or(usize::MAX)).collect();
    check::equal(
        found.len(),
        slice.len(),
        format_args!("the number of entries of ({query})"),
    );
    if query.orders.is_empty() {
        check_selection(&found, matching, &query);
    } else {
        for (number, (found, expected)) in found.iter().zip(slice).enumerate() {
            check::equal(
                found,
                expected,
                format_args!("entry number {number} of ({query})"),
            );
        }
    }
}

/// Checks that each entry is one of the matching ones, and that none occurs twice.
fn check_selection(found: &[Entry], matching: &[Entry], query: &Query) {
    let matching = matching.iter().map(|entry| (&entry.key, entry));
    let mut left: BTreeMap<_, _> = matching.collect();
    for entry in found {
        let expected = left.remove(&entry.key);
        let what = format_args!("the only entry for {} of ({query})", entry.key);
        check::equal(Some(entry), expected, what);
    }
}

/// Returns the entries that match prefix and filters, sorted, with the parts that the query asks for.
pub(super) fn matching(contents: &[Entry], query: &Query) -> Vec<Entry> {
    let below = match query.prefix.as_str() {
        "/" => "/".to_owned(),
        prefix => format!("{prefix}/"),
    };
    let mut matching: Vec<_> = contents
        .iter()
        .filter(|entry| entry.key.as_str().starts_with(&below))
        .filter(|entry| query.filters.iter().all(|filter| filter.accepts(entry)))
        .collect();
    matching.sort_by(|a, b| a.key.cmp(&b.key));
    // Stable sorts by each order, the last one first: an earlier order decides before a later one.
    for order in query.orders.iter().rev() {
        matching.sort_by(|a, b| order.compare(a, b));
    }
    let trimmed = matching.into_iter().map(|entry| trim(entry, query));
    trimmed.collect()
}

fn trim(entry: &Entry, query: &Query) -> Entry {
    let mut trimmed = entry.clone();
    if query.keys_only {
        trimmed.value = None;
        if !query.returns_sizes {
            trimmed.size = None;
        }
    }
    trimmed
}
