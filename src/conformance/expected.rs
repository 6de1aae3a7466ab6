//! What a query should answer, found the plain way over all entries in a `Vec`.

use std::collections::BTreeMap;

use super::check::{self, Verbs};
use crate::query::{Entry, Query};

/// The query answers what it should where `contents` is all there is. Without an order it may answer
/// any of the matching entries, as many as offset and limit leave.
pub(super) async fn check_query<S>(subject: &S, contents: &[Entry], query: Query)
where
    S: Verbs + ?Sized,
{
    check_slice(subject, &matching(contents, &query), query).await;
}

/// The same, where [`matching`] has been asked already: that is the same for every offset and limit.
pub(super) async fn check_slice<S>(subject: &S, matching: &[Entry], query: Query)
where
    S: Verbs + ?Sized,
{
    let found = check::answer(subject, query.clone()).await;
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

/// Each entry that was found is one of the matching ones, and none is there twice.
fn check_selection(found: &[Entry], matching: &[Entry], query: &Query) {
    let matching = matching.iter().map(|entry| (&entry.key, entry));
    let mut left: BTreeMap<_, _> = matching.collect();
    for entry in found {
        let expected = left.remove(&entry.key);
        let what = format_args!("the only entry for {} of ({query})", entry.key);
        check::equal(Some(entry), expected, what);
    }
}

/// The entries that pass prefix and filters, sorted, with as much of each as the query asks for.
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
    // A stable sort by each order, the last one first, leaves ties to the orders behind it.
    for order in query.orders.iter().rev() {
        matching.sort_by(|a, b| order.compare(a, b));
    }
    let asked = matching.into_iter().map(|entry| asked(entry, query));
    asked.collect()
}

fn asked(entry: &Entry, query: &Query) -> Entry {
    let mut asked = entry.clone();
    if query.keys_only {
        asked.value = None;
        if !query.returns_sizes {
            asked.size = None;
        }
    }
    asked
}
