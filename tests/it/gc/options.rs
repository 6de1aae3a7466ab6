//! Options that leave some garbage.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ds_flatfs::maintenance::{Gc, Phase, Progress, SkipReason, Skipped};
use ds_flatfs::{Error, FlatFs, Key, MemoryDatastore};

use tokio::runtime::Handle;

use super::faulty::Faulty;
use super::{keys, keys_of, removed, roots};
use crate::dags::{leaf, put_all};
use crate::support::{Home, block};

const SIZE: u64 = 1_000;

/// Returns a store with a root, and with garbage of 1,000 bytes each that was written so many seconds ago.
async fn store_with_ages(ages: &[u64]) -> (Home, FlatFs, Vec<Key>) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    put_all(&store, [&leaf(0)]).await;
    let mut garbage = Vec::new();
    for (number, age) in ages.iter().enumerate() {
        let mut value = block(number as u64).1.to_vec();
        value.resize(SIZE as usize, 0);
        let key = Key::for_block(&value);
        store.put(&key, Bytes::from(value)).await.unwrap();
        set_age(&home, &key, *age);
        garbage.push(key);
    }
    (home, store, garbage)
}

fn set_age(home: &Home, key: &Key, seconds: u64) {
    let file = File::options().write(true).open(home.block(key)).unwrap();
    let time = SystemTime::now() - Duration::from_secs(seconds);
    file.set_modified(time).unwrap();
}

fn gc(store: &FlatFs) -> Gc {
    Gc::open(store).roots(roots([&leaf(0)]))
}

#[tokio::test]
async fn new_garbage_is_kept() {
    let (_home, store, garbage) = store_with_ages(&[10_000, 5_000, 10]).await;
    let gc = gc(&store).keep_newer(Duration::from_secs(7_000));
    assert_eq!(removed(&store, gc).await, [garbage[0].clone()].into());
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_oldest_garbage_is_removed_until_the_store_is_small_enough() {
    // In one period of 18 hours and in several.
    let ages = [50, 900_000, 20, 40, 100_000, 30];
    let by_age = [1, 4, 0, 3, 5, 2];
    for wanted in 0..=ages.len() {
        let (home, store, garbage) = store_with_ages(&ages).await;
        let usage = store.disk_usage().await.unwrap().bytes;
        let target = usage - wanted as u64 * SIZE;
        let gc = gc(&store).target_size(target);
        let expected = by_age[..wanted].iter().map(|index| garbage[*index].clone());
        assert_eq!(removed(&store, gc).await, expected.collect(), "{wanted}");
        assert!(store.disk_usage().await.unwrap().bytes <= target);
        store.close().await.unwrap();
        drop(home);
    }
}

#[tokio::test]
async fn no_more_garbage_of_the_same_second_is_removed_than_needed() {
    let (_home, store, _) = store_with_ages(&[500; 9]).await;
    let usage = store.disk_usage().await.unwrap().bytes;
    let gc = gc(&store).target_size(usage - 3 * SIZE - 1);
    assert_eq!(removed(&store, gc).await.len(), 4);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_dry_run_chooses_the_same_garbage_of_one_second_as_the_collection() {
    let (_home, store, garbage) = store_with_ages(&[500; 40]).await;
    let usage = store.disk_usage().await.unwrap().bytes;
    let chosen = Arc::new(Mutex::new(BTreeSet::new()));
    let list = Arc::clone(&chosen);
    // The usage may change a little: a checkpoint has a temp file for a moment.
    let gc = || gc(&store).target_size(usage - 20 * SIZE + SIZE / 2);
    let dry = gc().dry_run(true).on_garbage(move |key, _| {
        list.lock().unwrap().insert(key.clone());
    });
    assert_eq!(dry.run().await.unwrap().removed, 20);
    let removed = removed(&store, gc()).await;
    assert_eq!(removed, *chosen.lock().unwrap());
    assert!(removed.iter().all(|key| garbage.contains(key)));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_limit_holds_for_the_oldest_garbage_too() {
    let (_home, store, garbage) = store_with_ages(&[10, 20, 30, 40]).await;
    let limited = gc(&store).target_size(0).limit(2);
    let expected: BTreeSet<Key> = garbage[2..].iter().cloned().collect();
    assert_eq!(removed(&store, limited).await, expected);
    let limited = gc(&store).limit(1);
    assert_eq!(removed(&store, limited).await.len(), 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_not_reached_is_reported_in_bytes() {
    let (_home, store, _) = store_with_ages(&[10, 20, 30, 40]).await;
    let usage = store.disk_usage().await.unwrap().bytes;
    for (wanted, limit, missed) in [(2, 2, 0), (2, 1, 1), (4, 4, 0), (4, 1, 3)] {
        let gc = gc(&store).target_size(usage - wanted * SIZE).limit(limit);
        let collected = gc.dry_run(true).run().await.unwrap();
        assert_eq!(collected.target_missed, missed * SIZE, "{wanted} {limit}");
    }
    let all = gc(&store).target_size(0).run().await.unwrap();
    assert_eq!((all.removed, all.target_missed), (4, usage - 4 * SIZE));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_chosen_block_that_is_written_meanwhile_is_missing_from_the_target() {
    let (home, store, garbage) = store_with_ages(&[10, 20, 30]).await;
    let usage = store.disk_usage().await.unwrap().bytes;
    let (writer, runtime) = (store.clone(), Handle::current());
    let oldest = (
        garbage[2].clone(),
        Bytes::from(std::fs::read(home.block(&garbage[2])).unwrap()),
    );
    let write = move |progress: Progress| {
        if progress.phase == Phase::Blocks {
            let (key, value) = oldest.clone();
            runtime.block_on(writer.put(&key, value)).unwrap();
        }
        ControlFlow::Continue(())
    };
    let gc = gc(&store).target_size(usage - 2 * SIZE).on_progress(write);
    let collected = gc.run().await.unwrap();
    assert_eq!((collected.removed, collected.target_missed), (1, SIZE));
    store.close().await.unwrap();
}

#[tokio::test]
async fn garbage_is_removed_only_while_the_file_system_has_too_little_space() {
    let (_home, store, garbage) = store_with_ages(&[10, 20]).await;
    let enough = gc(&store).target_free(1);
    assert_eq!(removed(&store, enough).await.len(), 0);
    let never_enough = gc(&store).target_free(u64::MAX);
    assert_eq!(
        removed(&store, never_enough).await,
        garbage.into_iter().collect()
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_of_unknown_size_is_counted_first() {
    let (home, store, _) = store_with_ages(&[10, 20, 30]).await;
    store.close().await.unwrap();
    std::fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    let gc = || Gc::new(home.store()).roots(roots([&leaf(0)]));
    let dry = gc().dry_run(true).target_size(u64::MAX).run().await;
    assert_eq!(dry.unwrap().left, 3);
    let collected = gc().target_size(0).run().await.unwrap();
    assert_eq!((collected.removed, collected.left), (3, 0));
}

#[tokio::test]
async fn a_dry_run_chooses_the_same_garbage_although_it_does_not_create_what_an_open_creates() {
    let (home, store, _) = store_with_ages(&[500; 40]).await;
    store.close().await.unwrap();
    // Counted, because no size is saved, and without the directory that an open for writing creates.
    std::fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    std::fs::remove_dir(home.in_store(".temp")).unwrap();
    let gc = || Gc::new(home.store()).roots(roots([&leaf(0)]));
    let all = gc().dry_run(true).target_size(0).run().await.unwrap();
    let target = all.removed_bytes + all.target_missed - 20 * SIZE;
    let dry = gc().dry_run(true).target_size(target).run().await.unwrap();
    assert_eq!((dry.removed, dry.target_missed), (20, 0));
    let done = gc().target_size(target).run().await.unwrap();
    assert_eq!((done.removed, done.target_missed), (20, 0));
}

#[tokio::test]
async fn the_callback_gets_each_removed_block_and_its_size() {
    let (_home, store, garbage) = store_with_ages(&[10, 20]).await;
    for dry_run in [true, false] {
        let listed = Arc::new(Mutex::new(BTreeSet::new()));
        let list = Arc::clone(&listed);
        let gc = gc(&store).dry_run(dry_run).on_garbage(move |key, size| {
            list.lock().unwrap().insert((key.clone(), size));
        });
        assert_eq!(gc.run().await.unwrap().removed, 2);
        let expected = garbage.iter().map(|key| (key.clone(), SIZE));
        assert_eq!(*listed.lock().unwrap(), expected.collect());
    }
    assert_eq!(keys(&store).await.len(), 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn blocks_that_a_failed_bulk_delete_has_removed_are_reported_before_its_error() {
    let store = Faulty {
        stuck: Some(leaf(7).key()),
        ..Faulty::default()
    };
    let garbage: Vec<_> = (1..20).map(leaf).collect();
    put_all(&store, [&leaf(0)]).await;
    put_all(&store, &garbage).await;
    let listed = Arc::new(Mutex::new(BTreeSet::new()));
    let list = Arc::clone(&listed);
    let gc = Gc::over(store.clone()).roots(roots([&leaf(0)]));
    let gc = gc.on_garbage(move |key, _| {
        list.lock().unwrap().insert(key.clone());
    });
    let error = gc.run().await.unwrap_err();
    let is_right = matches!(
        error,
        Error::PartlyStored {
            deleted: 18,
            deletes: 19,
            ..
        }
    );
    assert!(is_right, "{error}");
    assert_eq!(keys(&store).await, keys_of([&leaf(0), &leaf(7)]));
    let gone = garbage.iter().filter(|block| block.cid != leaf(7).cid);
    assert_eq!(*listed.lock().unwrap(), keys_of(gone));
}

#[tokio::test]
async fn what_is_not_a_block_where_readers_find_it_is_skipped_and_reported() {
    let (home, store, garbage) = store_with_ages(&[10, 20]).await;
    let from = home.block(&garbage[0]);
    let name = from.file_name().unwrap();
    std::fs::create_dir_all(home.in_store("ZZ")).unwrap();
    let misplaced = home.in_store("ZZ").join(name);
    std::fs::rename(&from, &misplaced).unwrap();
    let foreign = home.in_store("ZZ").join("note.txt");
    let left_over = home.in_store("ZZ").join("put-123");
    for path in [&foreign, &left_over] {
        std::fs::write(path, "").unwrap();
    }
    let sorted = |mut skipped: Vec<Skipped>| {
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        let skipped = skipped.into_iter();
        skipped
            .map(|entry| (entry.path, entry.reason))
            .collect::<Vec<_>>()
    };
    for dry_run in [true, false] {
        let done = gc(&store).dry_run(dry_run).run().await.unwrap();
        assert_eq!(
            (done.removed, done.skipped_count, done.left_over_count),
            (1, 2, 1)
        );
        let mut expected = vec![
            (misplaced.clone(), SkipReason::WrongShard),
            (foreign.clone(), SkipReason::Foreign),
        ];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(sorted(done.skipped), expected);
        let expected = [(left_over.clone(), SkipReason::LeftOver)];
        assert_eq!(sorted(done.left_over), expected);
    }
    assert!(misplaced.exists());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_datastore_without_times_refuses_options_that_need_them() {
    let gc = || Gc::over(MemoryDatastore::new()).remove_everything(true);
    for gc in [
        gc().keep_newer(Duration::ZERO),
        gc().target_size(0),
        gc().target_free(0),
    ] {
        let error = gc.run().await.unwrap_err();
        assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
    }
}
