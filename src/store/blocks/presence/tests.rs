//! Tests of the presence filter alone.

use super::*;
use crate::key::Key;

fn block(name: impl Into<String>) -> BlockKey {
    BlockKey::new(&Key::new(name.into())).unwrap()
}

fn blocks(range: std::ops::Range<usize>) -> impl Iterator<Item = BlockKey> {
    range.map(|number| block(format!("CIQ{number}")))
}

/// Fills the shard with these blocks. Returns `false` if that is not due.
fn fill(filter: &PresenceFilter, shard: &str, found: impl Iterator<Item = BlockKey>) -> bool {
    let Some(mut fill) = filter.begin_fill(shard) else {
        return false;
    };
    found.for_each(|block| assert!(fill.add(&block)));
    fill.finish();
    true
}

/// Returns how many of these blocks the filter excludes.
fn excluded(filter: &PresenceFilter, shard: &str, range: std::ops::Range<usize>) -> usize {
    blocks(range)
        .filter(|block| filter.excludes(shard, block))
        .count()
}

#[test]
fn a_shard_that_was_not_listed_excludes_nothing() {
    let filter = PresenceFilter::new(1 << 20);
    assert!(!filter.excludes("AB", &block("X")));
    assert!(filter.is_fill_due("AB"));
}

#[test]
fn a_listed_shard_excludes_what_was_neither_listed_nor_published() {
    let filter = PresenceFilter::new(1 << 20);
    assert!(fill(&filter, "AB", blocks(0..1000)));
    assert_eq!(excluded(&filter, "AB", 0..1000), 0);
    let absent = excluded(&filter, "AB", 1000..11_000);
    assert!(absent > 9_950, "{absent}");
    assert!(!filter.is_fill_due("AB"));
    drop(filter.publishing("AB", &block("CIQ1000")));
    assert!(!filter.excludes("AB", &block("CIQ1000")));
}

#[test]
fn a_block_that_is_published_around_a_listing_is_never_excluded() {
    let filter = PresenceFilter::new(1 << 20);
    let before = filter.publishing("AB", &block("BEFORE"));
    let fill = filter.begin_fill("AB").unwrap();
    drop(filter.publishing("AB", &block("DURING")));
    let across = filter.publishing("AB", &block("ACROSS"));
    fill.finish();
    drop((before, across));
    for name in ["BEFORE", "DURING", "ACROSS"] {
        assert!(!filter.excludes("AB", &block(name)), "{name}");
    }
    assert!(filter.excludes("AB", &block("NONE")));
    assert!(lock(&filter.publishing).is_empty());
}

#[test]
fn a_shard_whose_absent_blocks_the_kernel_knows_is_listed_after_some_reads() {
    let filter = PresenceFilter::new(1 << 20);
    let mut reads = 0;
    while !filter.is_fill_worth("AB") {
        assert!(!filter.excludes("AB", &block("X")));
        reads += 1;
    }
    assert_eq!(reads, READS_PER_LISTING);
    assert!(fill(&filter, "AB", blocks(0..1)));
    for _ in 0..=READS_PER_LISTING {
        assert!(filter.excludes("AB", &block("X")));
        assert!(!filter.is_fill_worth("AB"));
    }
}

#[test]
fn a_fill_that_fails_leaves_the_shard_unknown() {
    let filter = PresenceFilter::new(1 << 20);
    drop(filter.begin_fill("AB").unwrap());
    assert!(!filter.excludes("AB", &block("X")));
    assert!(fill(&filter, "AB", blocks(0..1)));
}

#[test]
fn one_shard_is_listed_once_at_a_time_and_few_are_listed_together() {
    let filter = PresenceFilter::new(1 << 20);
    let first = filter.begin_fill("A").unwrap();
    assert!(filter.begin_fill("A").is_none());
    let second = filter.begin_fill("B").unwrap();
    assert!(filter.begin_fill("C").is_none());
    drop((first, second));
    assert!(filter.begin_fill("C").is_some());
}

#[test]
fn a_fill_does_not_touch_the_listing_of_a_later_one() {
    let filter = PresenceFilter::new(1 << 20);
    let first = filter.begin_fill("AB").unwrap();
    // As if the shard had been forgotten in the meantime.
    *write(&first.shard.contents) = Contents::Unknown;
    let mut second = filter.begin_fill("AB").unwrap();
    drop(filter.publishing("AB", &block("DURING")));
    first.finish();
    assert!(
        !filter.excludes("AB", &block("NONE")),
        "the listing is not complete"
    );
    assert!(second.add(&block("LISTED")));
    second.finish();
    assert!(!filter.excludes("AB", &block("DURING")) && !filter.excludes("AB", &block("LISTED")));
    assert!(filter.excludes("AB", &block("NONE")));
}

#[test]
fn a_shard_that_is_larger_than_the_limit_is_listed_once_and_not_to_its_end() {
    let filter = PresenceFilter::new(1000);
    let mut fill = filter.begin_fill("AB").unwrap();
    let listed = blocks(0..10_000)
        .take_while(|block| fill.add(block))
        .count();
    assert!(listed < 600, "{listed}");
    drop(fill);
    assert!(!filter.is_fill_due("AB") && !filter.excludes("AB", &block("NONE")));
}

#[test]
fn a_shard_that_has_grown_is_listed_again() {
    let filter = PresenceFilter::new(1 << 20);
    fill(&filter, "AB", blocks(0..100));
    blocks(100..200).for_each(|block| drop(filter.publishing("AB", &block)));
    assert!(!filter.excludes("AB", &block("NONE")));
    assert_eq!(filter.bytes(), 0);
    assert!(fill(&filter, "AB", blocks(0..200)));
}

#[test]
fn a_million_blocks_take_less_than_two_mebibytes() {
    let filter = PresenceFilter::new(64 << 20);
    for shard in 0..1024 {
        let listed = blocks(shard * 977..(shard + 1) * 977);
        fill(&filter, &format!("{shard:04}"), listed);
    }
    assert!(filter.bytes() <= 2 << 20, "{}", filter.bytes());
}

#[test]
fn beyond_the_limit_the_shard_that_is_asked_for_least_is_forgotten() {
    let filter = PresenceFilter::new(1000);
    fill(&filter, "A", blocks(0..100));
    fill(&filter, "B", blocks(0..100));
    fill(&filter, "C", blocks(0..100));
    assert_eq!(excluded(&filter, "A", 1000..1100), 100);
    assert!(!fill(&filter, "D", blocks(0..100)), "nobody asked for D");
    for _ in 0..4 {
        filter.excludes("D", &block("X"));
    }
    assert!(fill(&filter, "D", blocks(0..100)));
    assert!(filter.bytes() < 2000);
    assert!(filter.excludes("A", &block("X")) && filter.excludes("D", &block("X")));
    assert!(!filter.excludes("B", &block("X")) || !filter.excludes("C", &block("X")));
}

#[test]
fn without_memory_the_filter_is_off() {
    let filter = PresenceFilter::new(0);
    assert!(!filter.is_fill_due("AB") && filter.begin_fill("AB").is_none());
    drop(filter.publishing("AB", &block("X")));
    assert!(!filter.excludes("AB", &block("Y")));
}
