//! What a copy does, whatever fails, and that the same call completes it.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ds_flatfs::maintenance::{Copied, Copy, Progress};
use ds_flatfs::{Datastore, Error, Key, MemoryDatastore};
use futures::FutureExt;
use proptest::prelude::*;

use super::faulty::{Faults, Faulty};
use super::{Blocks, contents, datastore_of};
use crate::support::{Home, block, blocks, contents as stored, fill, key_of, options};

async fn copy(source: &dyn Datastore, destination: &dyn Datastore) -> Copied {
    Copy::new(source, destination).run().await.unwrap()
}

/// The keys that were not copied.
fn failed(copied: &Copied) -> Vec<Option<Key>> {
    assert_eq!(copied.failed.len() as u64, copied.failed_count);
    let keys = copied.failed.iter().map(|failure| failure.key.clone());
    keys.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_destination_has_its_own_blocks_and_all_good_blocks_of_the_source(
        source in prop::collection::btree_set(0_u64..60, 0..40),
        destination in prop::collection::btree_set(0_u64..60, 0..40),
        damaged in prop::collection::btree_set(0_u64..60, 0..4),
        concurrency in 1_usize..5,
        compares_listings: bool,
        batches: bool,
    ) {
        let value = |seed: &u64| match damaged.contains(seed) {
            true => (block(*seed).0, Bytes::from_static(b"damaged")),
            false => block(*seed),
        };
        let offered: Blocks = source.iter().map(value).collect();
        let present: Blocks = destination.iter().copied().map(block).collect();
        let is_good = |(key, value): &(Key, Bytes)| !cfg!(feature = "verify") || key_of(value) == *key;
        let lacking = offered.clone().into_iter().filter(|(key, _)| !present.contains_key(key));
        let (good, bad): (Blocks, Blocks) = lacking.partition(is_good);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (copied, result) = runtime.block_on(async {
            let (source, destination) = (datastore_of(&offered).await, datastore_of(&present).await);
            let copy = Copy::new(&source, &destination).compare_listings(compares_listings);
            let copied = copy.batches(batches).concurrency(concurrency.try_into().unwrap()).run().await.unwrap();
            (copied, contents(&destination).await)
        });
        prop_assert_eq!(copied.blocks, good.len() as u64);
        prop_assert_eq!(copied.bytes, good.values().map(|value| value.len() as u64).sum::<u64>());
        prop_assert_eq!(copied.present, (offered.len() - good.len() - bad.len()) as u64);
        let mut failed = failed(&copied);
        failed.sort();
        prop_assert_eq!(failed, bad.into_keys().map(Some).collect::<Vec<_>>());
        let mut expected = present;
        expected.extend(good);
        prop_assert_eq!(result, expected);
    }
}

#[tokio::test]
async fn stores_on_disk_are_copied_in_both_ways() {
    for compares_listings in [false, true] {
        let (_home, source) = Home::with_store("next-to-last/2").await;
        let (_other, destination) = Home::with_store("prefix/3").await;
        let all = blocks(300);
        fill(&source, &all).await;
        fill(&destination, &all.clone().into_iter().step_by(3).collect()).await;
        let copy = Copy::new(&source, &destination).compare_listings(compares_listings);
        let copied = copy.run().await.unwrap();
        assert_eq!((copied.blocks, copied.present), (200, 100));
        assert_eq!(stored(&destination).await, all);
    }
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_reported_and_the_others_are_copied() {
    let source = Faulty::over(datastore_of(&blocks(10)).await);
    let unreadable = block(3).0;
    source.set(Faults {
        unreadable: vec![unreadable.clone()],
        vanished: vec![block(4).0],
        listing: true,
        ..Faults::default()
    });
    for compares_listings in [false, true] {
        let destination = MemoryDatastore::new();
        let copy = Copy::new(&source, &destination).compare_listings(compares_listings);
        let copied = copy.run().await.unwrap();
        assert_eq!(failed(&copied), [None, Some(unreadable.clone())]);
        assert_eq!((copied.blocks, copied.vanished), (8, 1));
        assert_eq!(contents(&destination).await.len(), 8);
    }
}

#[cfg(feature = "cid")]
#[tokio::test]
async fn a_block_whose_key_the_destination_cannot_have_is_a_failure_and_what_is_not_a_block_is_skipped()
 {
    let source = MemoryDatastore::new();
    let (key, value) = block(0);
    source.put(&key, value.clone()).await.unwrap();
    let foreign = Key::new("/local/filesroot");
    source.put(&foreign, "text".into()).await.unwrap();
    let hash = key.to_multihash().unwrap();
    let cid = key.to_cid().unwrap();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let mut misnamed = [
        format!("/blocks{key}"),
        format!("/AB{key}.data"),
        key.to_string().to_ascii_lowercase(),
        cid.to_string(),
        hex(&cid.to_bytes()),
        hex(&hash.to_bytes()),
        hex(hash.digest()),
    ]
    .map(Key::new);
    misnamed.sort();
    for name in &misnamed {
        source.put(name, value.clone()).await.unwrap();
    }
    for batches in [true, false] {
        let (_home, store) = Home::with_store("next-to-last/2").await;
        let copied = Copy::new(&source, &store)
            .batches(batches)
            .run()
            .await
            .unwrap();
        let mut failed = failed(&copied);
        failed.sort();
        assert_eq!(failed, misnamed.clone().map(Some));
        assert_eq!((copied.blocks, copied.skipped), (1, 1));
        assert_eq!(store.get(&key).await.unwrap(), Some(value.clone()));
    }
}

#[tokio::test]
async fn a_source_of_which_nothing_can_be_read_ends_the_copy() {
    let all = blocks(1500);
    let source = Faulty::over(datastore_of(&all).await);
    source.set(Faults {
        unreadable: all.into_keys().collect(),
        ..Faults::default()
    });
    let destination = MemoryDatastore::new();
    let error = Copy::new(&source, &destination).run().await.unwrap_err();
    assert!(error.to_string().contains("a fault of the test"), "{error}");
}

#[cfg(feature = "verify")]
#[tokio::test]
async fn a_damaged_block_is_copied_only_without_checks_and_others_are_counted() {
    let (damaged, foreign) = (block(0).0, Key::new("/FOREIGN"));
    let source = datastore_of(&blocks(5)).await;
    source.put(&damaged, "damaged".into()).await.unwrap();
    source.put(&foreign, "foreign".into()).await.unwrap();
    let destination = MemoryDatastore::new();

    let copied = copy(&source, &destination).await;
    assert_eq!((copied.blocks, copied.unchecked), (5, 1));
    assert_eq!(failed(&copied), [Some(damaged.clone())]);
    assert_eq!(copied.bad_blocks, 1);
    assert!(matches!(copied.failed[0].error, Error::Corrupt { .. }));

    let again = Copy::new(&source, &destination).verified(false);
    let copied = again.run().await.unwrap();
    assert_eq!((copied.blocks, copied.present, copied.unchecked), (1, 5, 0));
    assert_eq!(contents(&destination).await, contents(&source).await);
}

#[tokio::test]
async fn an_error_of_the_destination_ends_the_copy_and_the_same_call_completes_it() {
    let source = datastore_of(&blocks(10)).await;
    let failing: [fn(&mut Faults); 3] = [
        |faults| faults.lookups = true,
        |faults| faults.commits = true,
        |faults| faults.listing = true,
    ];
    for (i, set) in failing.iter().enumerate() {
        let destination = Faulty::default();
        let mut faults = Faults::default();
        set(&mut faults);
        destination.set(faults);
        // The listing of the destination is read only for a comparison.
        let run = || {
            Copy::new(&source, &destination)
                .compare_listings(i == 2)
                .run()
        };
        let error = run().await.unwrap_err();
        assert!(error.to_string().contains("a fault of the test"), "{error}");
        assert_eq!(contents(&destination.inner).await.len(), 0);
        destination.set(Faults::default());
        assert_eq!(run().await.unwrap().blocks, 10);
    }
}

#[tokio::test]
async fn what_was_not_copied_is_known_even_if_the_destination_fails_later() {
    let all = blocks(10);
    let unreadable = all.keys().next().unwrap().clone();
    let source = Faulty::over(datastore_of(&all).await);
    source.set(Faults {
        unreadable: vec![unreadable.clone()],
        ..Faults::default()
    });
    let destination = Faulty::default();
    destination.set(Faults {
        commits: true,
        ..Faults::default()
    });
    let failed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&failed);
    let copy = Copy::new(&source, &destination);
    let copy = copy.on_failure(move |failure| seen.lock().unwrap().push(failure.key.clone()));
    copy.run().await.unwrap_err();
    assert_eq!(*failed.lock().unwrap(), [Some(unreadable)]);
}

/// Otherwise these reads could time out on a server.
#[tokio::test]
async fn reads_that_have_begun_continue_while_the_destination_writes() {
    let all = blocks(20);
    let source = Faulty::over(datastore_of(&all).await);
    let destination = Faulty::default();
    destination.set(Faults {
        puts_wait_for: Some(source.clone()),
        ..Faults::default()
    });
    let copy = Copy::new(&source, &destination).batches(false);
    let copied = copy.concurrency(2.try_into().unwrap()).run().await.unwrap();
    assert_eq!(copied.blocks, 20);
}

#[tokio::test]
async fn the_keys_after_the_last_one_of_the_source_are_not_listed() {
    let all = blocks(10);
    let source = datastore_of(&all).await;
    let destination = Faulty::default();
    destination
        .put(&Key::new("/ZZZ"), "last".into())
        .await
        .unwrap();
    destination.set(Faults {
        listing_end: true,
        ..Faults::default()
    });
    let copy = Copy::new(&source, &destination).compare_listings(true);
    assert_eq!(copy.run().await.unwrap().blocks, 10);
}

#[cfg(feature = "dag")]
#[tokio::test]
async fn a_block_of_a_dag_that_cannot_be_checked_is_counted() {
    use cid::Cid;
    use cid::multihash::Multihash;

    let (source, destination) = (MemoryDatastore::new(), MemoryDatastore::new());
    let unknown = Multihash::wrap(0x3f_ffff, &[7; 32]).unwrap();
    let root = Cid::new_v1(0x55, unknown);
    let key = Key::from_cid(&root);
    source.put(&key, "block".into()).await.unwrap();
    let copy = Copy::new(&source, &destination).roots([root]);
    let copied = copy.run().await.unwrap();
    assert_eq!((copied.blocks, copied.unchecked), (1, 1));
}

#[tokio::test]
async fn a_copy_that_is_dropped_at_any_point_is_completed_by_the_same_call() {
    let all = blocks(40);
    for polls in 0..10_000 {
        let source = Faulty::over(datastore_of(&all).await);
        let destination = Faulty::over(MemoryDatastore::new());
        let completed = {
            let copy = Copy::new(&source, &destination).concurrency(2.try_into().unwrap());
            let mut running = pin!(copy.run());
            let mut completed = false;
            for _ in 0..polls {
                completed = running.as_mut().now_or_never().is_some();
                if completed {
                    break;
                }
                // Lets the runtime wake what has yielded.
                tokio::task::yield_now().await;
            }
            completed
        };
        let has = contents(&destination.inner).await;
        assert!(has.iter().all(|(key, value)| all.get(key) == Some(value)));
        let copied = copy(&source, &destination).await;
        assert_eq!(copied.present, has.len() as u64);
        assert_eq!(contents(&destination.inner).await, all);
        if completed {
            assert!(polls > 10, "{polls} polls are too few to test anything");
            return;
        }
    }
    panic!("the copy does not end");
}

#[tokio::test]
async fn a_copy_that_is_stopped_stores_what_it_has_begun() {
    let all = blocks(2000);
    let source = datastore_of(&all).await;
    let destination = MemoryDatastore::new();
    // The first report is made at the first block.
    let stopped = Copy::new(&source, &destination).on_progress(|_| ControlFlow::Break(()));
    assert!(matches!(stopped.run().await, Err(Error::Stopped)));
    let stored = contents(&destination).await.len();
    assert!((1..2000).contains(&stored), "{stored} blocks");
    let copied = copy(&source, &destination).await;
    assert_eq!(copied.present, stored as u64);
    assert_eq!(contents(&destination).await, all);
    // Everything is there, so only the lookups can stop it.
    let stopped = Copy::new(&source, &destination).on_progress(|_| ControlFlow::Break(()));
    assert!(matches!(stopped.run().await, Err(Error::Stopped)));
}

#[tokio::test]
async fn the_last_progress_has_all_blocks_of_the_source_and_their_number() {
    let source = Faulty::over(datastore_of(&blocks(100)).await);
    source.set(Faults {
        unreadable: vec![block(50).0],
        vanished: vec![block(60).0],
        ..Faults::default()
    });
    let destination = datastore_of(&blocks(30)).await;
    let last = Arc::new(Mutex::new(Progress::default()));
    let seen = Arc::clone(&last);
    let copy = Copy::new(&source, &destination).on_progress(move |progress| {
        *seen.lock().unwrap() = progress;
        ControlFlow::Continue(())
    });
    let copied = copy.run().await.unwrap();
    let last = *last.lock().unwrap();
    assert_eq!((last.blocks, last.bytes), (100, copied.bytes));
    assert_eq!(last.total_blocks, Some(100));
}

#[tokio::test]
async fn a_copy_can_run_in_a_task_of_its_own_and_a_closed_store_ends_it() {
    let home = Home::with_closed_store().await;
    let store = options().open(home.store()).await.unwrap();
    let destination = MemoryDatastore::new();
    let task = {
        let (store, destination) = (store.clone(), destination.clone());
        tokio::spawn(async move { Copy::new(&store, &destination).run().await })
    };
    assert_eq!(task.await.unwrap().unwrap().blocks, 1);
    store.close().await.unwrap();
    let error = Copy::new(&store, &destination).run().await.unwrap_err();
    assert!(error.is_closed(), "{error}");
}
