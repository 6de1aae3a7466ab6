//! Bulk reads and writes.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ds_flatfs::{
    Datastore, Error, FlatFs, Key, MemoryDatastore, Result, ResultStream, ResultStreamExt,
    static_stream,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use crate::support::{Home, block, blocks, contents, fill, options};

/// The size of a block that is too long to be read without the blocking pool.
const LONG: usize = 600 * 1024;

fn key(number: usize) -> Key {
    Key::new(format!("KEY{number}"))
}

/// Returns the value of a block: long ones between short ones.
fn value(number: usize) -> Bytes {
    let len = if number.is_multiple_of(3) { LONG } else { 100 };
    vec![number as u8; len].into()
}

async fn store_of(numbers: impl Iterator<Item = usize> + Send) -> (Home, FlatFs) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let puts = numbers.map(|number| Ok((key(number), value(number))));
    store.put_many(stream::iter(puts).boxed()).await.unwrap();
    (home, store)
}

async fn collect<T>(results: ResultStream<'_, T>) -> Vec<(Key, T)> {
    let values = results.map(|(key, result)| (key, result.unwrap()));
    values.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_from_the_cache_and_from_disk_are_returned_in_the_order_of_their_keys() {
    let (_home, store) = store_of((0..40usize).filter(|number| !number.is_multiple_of(4))).await;
    let keys = || stream::iter((0..40).chain(0..40).map(key)).boxed();
    let there = |number: usize| (!number.is_multiple_of(4)).then(|| value(number));
    let expected: Vec<_> = (0..40).chain(0..40).map(|n| (key(n), there(n))).collect();
    assert!(collect(store.get_many(keys())).await == expected);
    let has = expected
        .into_iter()
        .map(|(key, value)| (key, value.is_some()));
    assert_eq!(
        collect(store.has_many(keys())).await,
        has.collect::<Vec<_>>()
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_with_few_open_files_reads_many_blocks() {
    let home = Home::new();
    let few = options().max_open_files(32);
    let store = few.create(home.store()).await.unwrap();
    for number in 0..30 {
        store.put(&key(number), vec![1; LONG].into()).await.unwrap();
    }
    let streams = (0..20).map(|_| store.get_many(stream::iter((0..30).map(key)).boxed()));
    let found = stream::select_all(streams).filter(|(_, value)| {
        let is_whole = matches!(value, Ok(Some(value)) if value.len() == LONG);
        std::future::ready(is_whole)
    });
    assert_eq!(found.count().await, 20 * 30);
}

#[tokio::test]
async fn a_key_that_no_block_can_have_has_no_value() {
    let (_home, store) = store_of(0..2).await;
    let keys = || stream::iter([key(0), Key::new("/not/flat"), key(1)]).boxed();
    let found = collect(store.has_many(keys())).await;
    let has: Vec<bool> = found.into_iter().map(|(_, has)| has).collect();
    assert_eq!(has, [true, false, true]);
    assert_eq!(collect(store.get_many(keys())).await[1].1, None);
}

#[tokio::test]
async fn an_error_concerns_its_key_alone() {
    let (home, store) = store_of(0..4).await;
    fs::remove_file(home.block(&key(1))).unwrap();
    fs::create_dir(home.block(&key(1))).unwrap();
    let keys = || stream::iter((0..4).map(key)).boxed();
    let values: Vec<_> = store.get_many(keys()).collect().await;
    let has: Vec<_> = store.has_many(keys()).collect().await;
    assert_eq!((values.len(), has.len()), (4, 4));
    for number in 0..4 {
        let (value, has) = (&values[number].1, &has[number].1);
        if number == 1 {
            assert!(matches!(value, Err(Error::Unexpected { .. })), "{value:?}");
            assert!(matches!(has, Err(Error::Unexpected { .. })), "{has:?}");
        } else {
            assert!(value.as_ref().unwrap().is_some() && *has.as_ref().unwrap());
        }
    }
}

#[tokio::test]
async fn a_result_does_not_wait_for_the_next_key() {
    let (_home, store) = store_of(0..6).await;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let keys = stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
    let mut results = store.get_many(keys);
    for number in 0..6 {
        sender.send(key(number)).unwrap();
        let (found, _) = results.next().await.unwrap();
        assert_eq!(found, key(number));
    }
    drop(sender);
    assert!(results.next().await.is_none());
}

#[tokio::test]
async fn only_a_few_long_blocks_are_read_ahead() {
    let (home, store) = store_of((0..300).step_by(3)).await;
    let mut results = store.get_many(stream::iter((0..300).step_by(3).map(key)).boxed());
    let (_, first) = results.next().await.unwrap();
    assert!(first.unwrap().is_some());
    for number in (0..300).step_by(3) {
        fs::remove_file(home.block(&key(number))).unwrap();
    }
    let found = results.filter(|(_, value)| std::future::ready(matches!(value, Ok(Some(_)))));
    assert!(found.count().await < 30);
}

#[tokio::test]
async fn a_stream_returns_closed_after_its_store_is_closed() {
    let (_home, store) = store_of(0..60).await;
    let mut results = store.get_many(stream::iter((0..60).map(key)).boxed());
    assert!(results.next().await.unwrap().1.unwrap().is_some());
    store.close().await.unwrap();
    let left: Vec<_> = results.collect().await;
    assert_eq!(left.len(), 59);
    let is_closed = |(_, result): &(Key, Result<_>)| matches!(result, Err(Error::Closed));
    assert!(left.iter().any(is_closed), "not all was read ahead");
}

#[tokio::test]
async fn a_static_stream_outlives_every_other_handle() {
    let (_home, store) = store_of(0..40).await;
    let store: Arc<dyn Datastore> = Arc::new(store);
    let wanted = || stream::iter((0..50).map(key)).boxed();
    let (values, has) = (wanted(), wanted());
    let values = static_stream(Arc::clone(&store), |store| store.get_many(values));
    let has = static_stream(store, |store| store.has_many(has));
    let expected: Vec<_> = (0..50)
        .map(|number| (key(number), (number < 40).then(|| value(number))))
        .collect();
    let (found, has) = tokio::spawn(async { (collect(values).await, collect(has).await) })
        .await
        .unwrap();
    assert!(found == expected);
    assert_eq!(has.into_iter().filter(|(_, has)| *has).count(), 40);
}

#[tokio::test]
async fn a_static_stream_reads_lazily_and_releases_its_datastore() {
    let store = Arc::new(MemoryDatastore::new());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = (0..).map(key).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let endless = stream::iter(endless).boxed();
    let mut results = static_stream(Arc::clone(&store), |store| store.get_many(endless));
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    for number in 0..100 {
        let (found, value) = results.next().await.unwrap();
        assert_eq!((found, value.unwrap()), (key(number), None));
    }
    assert!(taken.load(Ordering::SeqCst) <= 200);
    drop(results);
    assert_eq!(Arc::strong_count(&store), 1);
}

#[tokio::test]
async fn transposed_results_can_be_spawned_and_the_first_error_ends_their_collection() {
    let (_home, store) = store_of(0..2).await;
    let collect = |store: &FlatFs| {
        let results = store.get_many(stream::iter((0..2).map(key)));
        tokio::spawn(results.transpose().try_collect::<Vec<_>>())
    };
    let found = collect(&store).await.unwrap().unwrap();
    assert!(found == [0, 1].map(|number| (key(number), Some(value(number)))));
    store.close().await.unwrap();
    let closed = collect(&store).await.unwrap();
    assert!(matches!(closed, Err(Error::Closed)));
}

async fn put_many_of(store: &FlatFs, puts: Vec<Result<(Key, Bytes)>>) -> Error {
    let put = store.put_many(stream::iter(puts).boxed()).await;
    put.expect_err("a put that cannot be done")
}

#[tokio::test]
async fn no_value_is_stored_if_one_of_many_puts_fails() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let expected = blocks(20);
    fill(&store, &expected).await;
    let invalid = (Key::new("/not/flat"), Bytes::new());
    let error = put_many_of(&store, vec![Ok(block(30)), Ok(invalid), Ok(block(31))]).await;
    assert!(matches!(error, Error::InvalidKey { .. }), "{error:?}");
    let error = put_many_of(&store, vec![Ok(block(30)), Err(Error::Stopped)]).await;
    assert!(matches!(error, Error::Stopped), "{error:?}");
    assert_eq!(contents(&store).await, expected);
    store.close().await.unwrap();
    home.wait_for_batch_dirs(0).await;
}

#[tokio::test]
async fn a_bulk_delete_ignores_keys_without_a_value() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let mut expected = blocks(20);
    fill(&store, &expected).await;
    let mut deleted: Vec<Key> = expected.keys().take(10).cloned().collect();
    expected.retain(|key, _| !deleted.contains(key));
    deleted.extend([key(1), Key::new("/not/flat")]);
    store
        .delete_many(stream::iter(deleted).boxed())
        .await
        .unwrap();
    assert_eq!(contents(&store).await, expected);
}

#[tokio::test]
async fn an_endless_stream_of_keys_is_read_lazily() {
    let (_home, store) = store_of(0..3).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = (0..3).cycle().map(key).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let results = store.has_many(stream::iter(endless).boxed()).take(5000);
    let there = results.filter(|(_, has)| std::future::ready(matches!(has, Ok(true))));
    assert_eq!(there.count().await, 5000);
    assert!(taken.load(Ordering::SeqCst) <= 5000 + 1024);
}
