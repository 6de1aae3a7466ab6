//! [`Verifying`]: values that are checked against the hash in their key.

use bytes::Bytes;
use ds_flatfs::wrappers::{Mount, Namespace, Verifying};
use ds_flatfs::{Datastore, Error, Key, MemoryDatastore, Query};
use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::{entries, keys, shared};
use crate::support::{assert_clear, block, key_of, random_bytes};

fn is_corrupt<T: std::fmt::Debug>(result: ds_flatfs::Result<T>, key: &Key) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_clear(&error, key.as_str());
}

/// Returns a datastore with an intact block and a damaged one, and their keys.
async fn damaged() -> (MemoryDatastore, [Key; 2]) {
    let inner = MemoryDatastore::new();
    let ((intact, value), (damaged, other)) = (block(1), block(2));
    inner.put(&intact, value).await.unwrap();
    inner.put(&damaged, other.slice(1..)).await.unwrap();
    (inner, [intact, damaged])
}

#[tokio::test]
async fn a_value_with_another_hash_is_not_written() {
    let inner = MemoryDatastore::new();
    let verifying = Verifying::new(shared(&inner));
    let (key, value) = block(1);
    is_corrupt(verifying.put(&key, "other".into()).await, &key);
    let batch = verifying.batch().await.unwrap();
    is_corrupt(batch.put(&key, "other".into()).await, &key);
    batch.commit().await.unwrap();
    assert!(!inner.has(&key).await.unwrap());

    let batch = verifying.batch().await.unwrap();
    batch.put(&key, value.clone()).await.unwrap();
    batch.commit().await.unwrap();
    verifying.put(&key, value).await.unwrap();
}

#[tokio::test]
async fn a_damaged_value_is_not_returned() {
    let (inner, [intact, damaged]) = damaged().await;
    let verifying = Verifying::new(shared(&inner));
    let batch = verifying.batch().await.unwrap();
    is_corrupt(verifying.get(&damaged).await, &damaged);
    is_corrupt(batch.get(&damaged).await, &damaged);
    assert!(verifying.get(&intact).await.unwrap().is_some());
    assert!(batch.get(&intact).await.unwrap().is_some());

    for stream in [
        verifying.query(Query::new()).await.unwrap(),
        batch.query(Query::new()).await.unwrap(),
    ] {
        let (found, errors): (Vec<_>, Vec<_>) = stream
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .partition(Result::is_ok);
        assert_eq!(found.len(), 1, "the other entries are still returned");
        is_corrupt(errors.into_iter().next().unwrap(), &damaged);
    }
}

#[tokio::test]
async fn an_error_of_a_read_names_the_key_of_the_caller() {
    let (inner, [_, damaged]) = damaged().await;
    let [other, _, _] = uncheckable_keys();
    inner.put(&other, "value".into()).await.unwrap();
    let checked = Verifying::new(shared(&inner));
    let mount = Mount::builder().mount("/blocks", shared(&checked));
    let mount = mount.build().unwrap();
    errors_name_the_keys_below(&mount, &Key::new("/blocks"), &damaged, &other).await;
    let namespace = Namespace::new(shared(&mount), "/blocks");
    errors_name_the_keys_below(&namespace, &Key::root(), &damaged, &other).await;
}

/// Checks that the errors about two bad keys name the keys below `prefix`.
async fn errors_name_the_keys_below(
    datastore: &dyn Datastore,
    prefix: &Key,
    damaged: &Key,
    other: &Key,
) {
    let batch = datastore.batch().await.unwrap();
    let [damaged, other] = [damaged, other].map(|key| prefix.child(key));
    let is_rejected = |error: Error| {
        let named = matches!(&error, Error::InvalidKey { key, .. } if *key == other.as_str());
        assert!(named, "{error:?}");
    };
    let is_corrupt = |error: Error| {
        let named = matches!(&error, Error::Corrupt { key, .. } if *key == damaged.as_str());
        assert!(named, "{error:?}");
    };
    is_corrupt(datastore.get(&damaged).await.unwrap_err());
    is_rejected(datastore.get(&other).await.unwrap_err());
    is_corrupt(batch.get(&damaged).await.unwrap_err());
    is_rejected(batch.get(&other).await.unwrap_err());
    is_corrupt(batch.put(&damaged, "another".into()).await.unwrap_err());
    is_corrupt(batch.get(&damaged).await.unwrap_err());

    let both = stream::iter([damaged.clone(), other.clone()]).boxed();
    let results: Vec<_> = datastore.get_many(both).collect().await;
    let [(first, corrupt), (second, rejected)] = results.try_into().unwrap();
    assert_eq!([first, second], [damaged.clone(), other.clone()]);
    is_corrupt(corrupt.unwrap_err());
    is_rejected(rejected.unwrap_err());

    let whole = Query::new();
    for entries in [
        datastore.query(whole.clone()).await,
        batch.query(whole).await,
    ] {
        let entries: Vec<_> = entries.unwrap().collect().await;
        for error in entries.into_iter().filter_map(Result::err) {
            match error {
                Error::InvalidKey { .. } => is_rejected(error),
                error => is_corrupt(error),
            }
        }
    }
}

#[tokio::test]
async fn calls_that_read_no_value_check_nothing() {
    let (inner, [_, damaged]) = damaged().await;
    let verifying = Verifying::new(shared(&inner));
    assert!(verifying.has(&damaged).await.unwrap());
    assert!(verifying.get_size(&damaged).await.unwrap().is_some());
    let sizes = Query::new().keys_only().returns_sizes();
    assert_eq!(entries(&verifying, sizes).await.unwrap().len(), 2);
}

#[tokio::test]
async fn each_check_can_be_switched_off() {
    let (inner, [intact, damaged]) = damaged().await;
    let unread = Verifying::new(shared(&inner)).check_reads(false);
    assert!(unread.get(&damaged).await.unwrap().is_some());
    assert_eq!(keys(&unread, Query::new()).await.len(), 2);
    is_corrupt(unread.put(&intact, "other".into()).await, &intact);

    let unwritten = Verifying::new(shared(&inner)).check_writes(false);
    unwritten.put(&intact, "other".into()).await.unwrap();
    is_corrupt(unwritten.get(&intact).await, &intact);
}

/// Returns keys that a value cannot be checked with: not a hash, a hash of an unknown function, a short hash.
fn uncheckable_keys() -> [Key; 3] {
    let unknown = ds_flatfs::cid::multihash::Multihash::<64>::wrap(0x1234, &[0; 32]);
    let short = ds_flatfs::cid::multihash::Multihash::<64>::wrap(0x12, &[0; 4]);
    let hashes = [unknown, short].map(|hash| Key::from_multihash(&hash.unwrap()));
    let [unknown, short] = hashes;
    [Key::new("/local/filesroot"), unknown, short]
}

#[tokio::test]
async fn uncheckable_keys_are_rejected_unless_they_are_allowed() {
    for key in uncheckable_keys() {
        let inner = MemoryDatastore::new();
        let strict = Verifying::new(shared(&inner));
        let lenient = strict.clone().allow_unchecked(true);
        let put = strict.put(&key, "value".into()).await.unwrap_err();
        assert_clear(&put, key.as_str());
        assert_eq!(strict.get(&key).await.unwrap(), None, "no value to check");

        lenient.put(&key, "value".into()).await.unwrap();
        assert_eq!(lenient.get(&key).await.unwrap().unwrap(), "value");
        let get = strict.get(&key).await.unwrap_err();
        assert!(matches!(get, Error::InvalidKey { .. }), "{get:?}");
    }
}

#[tokio::test]
async fn a_key_made_of_a_whole_cid_is_checked_by_its_hash() {
    let (key, value) = block(1);
    let cid = key.to_cid().unwrap();
    let legacy = Key::from_cid_bytes(&cid);
    let verifying = Verifying::new(shared(&MemoryDatastore::new()));
    verifying.put(&legacy, value).await.unwrap();
    is_corrupt(verifying.put(&legacy, "other".into()).await, &legacy);
}

#[tokio::test]
async fn a_large_value_is_hashed_on_another_thread_and_a_small_one_inline() {
    let verifying = Verifying::new(shared(&MemoryDatastore::new()));
    let large = random_bytes(1, 1 << 20);
    let key = key_of(&large);
    assert!(verifying.put(&key, large.clone()).now_or_never().is_none());
    verifying.put(&key, large).await.unwrap();
    let mut get = verifying.get(&key);
    assert!(get.as_mut().now_or_never().is_none());
    assert!(get.await.unwrap().is_some());
    let damaged = Bytes::from(vec![0; 1 << 20]);
    is_corrupt(verifying.put(&key, damaged).await, &key);

    let (key, small) = block(1);
    verifying.put(&key, small).now_or_never().unwrap().unwrap();
}
