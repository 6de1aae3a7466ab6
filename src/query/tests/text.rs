//! Tests of the text of a query.

use std::cmp::Ordering;

use crate::query::*;

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
