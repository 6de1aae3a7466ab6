//! The differences of two datastores.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use ds_flatfs::maintenance::{Diff, Difference};
use ds_flatfs::{Datastore, Error, Key};
use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;

use super::faulty::{Faults, Faulty};
use super::{Blocks, datastore_of};
use crate::support::{Home, block, blocks, fill};

/// A key, and the sizes of its values.
type Found = (Key, Option<u64>, Option<u64>);

fn found(difference: Difference) -> Found {
    (difference.key, difference.first, difference.second)
}

async fn differences(first: &dyn Datastore, second: &dyn Datastore) -> Vec<Found> {
    let differences = Diff::new(first, second).start().await.unwrap();
    differences.map_ok(found).try_collect().await.unwrap()
}

/// The differences of two maps, in the order of the keys.
fn expected(first: &Blocks, second: &Blocks) -> Vec<Found> {
    let size = |blocks: &Blocks, key: &Key| blocks.get(key).map(|value| value.len() as u64);
    let keys: BTreeSet<&Key> = first.keys().chain(second.keys()).collect();
    let sizes = keys
        .into_iter()
        .map(|key| (key.clone(), size(first, key), size(second, key)));
    sizes.filter(|(_, first, second)| first != second).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_differences_are_those_of_the_contents(
        first in prop::collection::btree_map(0_u64..60, 0_usize..3, 0..40),
        second in prop::collection::btree_map(0_u64..60, 0_usize..3, 0..40),
    ) {
        let blocks = |sizes: &BTreeMap<u64, usize>| -> Blocks {
            let sizes = sizes.iter();
            sizes.map(|(seed, size)| (block(*seed).0, vec![0; *size].into())).collect()
        };
        let (first, second) = (blocks(&first), blocks(&second));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            differences(&datastore_of(&first).await, &datastore_of(&second).await).await
        });
        prop_assert_eq!(found, expected(&first, &second));
    }
}

#[tokio::test]
async fn stores_with_different_shard_functions_are_compared() {
    let (_home, first) = Home::with_store("next-to-last/2").await;
    let (_other, second) = Home::with_store("prefix/3").await;
    let (all, part) = (blocks(100), blocks(60));
    fill(&first, &all).await;
    fill(&second, &part).await;
    assert_eq!(differences(&first, &second).await, expected(&all, &part));
    assert_eq!(differences(&second, &first).await, expected(&part, &all));
    assert_eq!(differences(&first, &first).await, []);
}

#[tokio::test]
async fn after_an_error_of_a_listing_only_keys_that_it_has_are_compared() {
    let all = blocks(10);
    let (mut a, mut b) = (all.clone(), all.clone());
    let only_in_a = b.pop_last().unwrap().0;
    let only_in_b = a.pop_first().unwrap().0;
    let first = Faulty::over(datastore_of(&a).await);
    let second = Faulty::over(datastore_of(&b).await);
    for (failing, only) in [(&first, only_in_a), (&second, only_in_b)] {
        failing.set(Faults {
            listing: true,
            ..Faults::default()
        });
        let items = Diff::new(&first, &second).start().await.unwrap();
        let items: Vec<_> = items.collect().await;
        let (good, bad): (Vec<_>, Vec<_>) = items.into_iter().partition(Result::is_ok);
        let good: Vec<_> = good.into_iter().map(|item| found(item.unwrap())).collect();
        let mut expected = expected(&a, &b);
        expected.retain(|(key, ..)| *key == only);
        assert_eq!((good, bad.len()), (expected, 1));
        failing.set(Faults::default());
    }
}

#[tokio::test]
async fn a_comparison_that_is_stopped_ends_with_the_error() {
    let (first, second) = (
        datastore_of(&blocks(10)).await,
        datastore_of(&blocks(0)).await,
    );
    let diff = Diff::new(&first, &second).on_progress(|_| ControlFlow::Break(()));
    let found: Vec<_> = diff.start().await.unwrap().collect().await;
    assert!(matches!(found[..], [Err(Error::Stopped)]), "{found:?}");
}

#[tokio::test]
async fn keys_without_sizes_are_errors_and_not_equal() {
    let sizeless = Faulty::over(datastore_of(&blocks(3)).await);
    sizeless.set(Faults {
        sizeless: true,
        ..Faults::default()
    });
    let other = datastore_of(&blocks(2)).await;
    let found = Diff::new(&sizeless, &other).start().await.unwrap();
    let found: Vec<_> = found.collect().await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(Result::is_err), "{found:?}");
}
