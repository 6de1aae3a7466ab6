//! Values checked against the hash in their key.

use bytes::Bytes;
use ds_flatfs::wrappers::{Mount, Namespace, Verifying};
use ds_flatfs::{Datastore, Error, Key, MemoryDatastore, Query};
use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::{answer, keys, shared};
use crate::support::{assert_clear, block, key_of, random_bytes};

fn is_corrupt<T: std::fmt::Debug>(result: ds_flatfs::Result<T>, key: &Key) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_clear(&error, key.as_str());
}

/// A datastore with a sound block and one that is damaged, and their keys.
async fn damaged() -> (MemoryDatastore, [Key; 2]) {
    let below = MemoryDatastore::new();
    let ((sound, value), (damaged, other)) = (block(1), block(2));
    below.put(&sound, value).await.unwrap();
    below.put(&damaged, other.slice(1..)).await.unwrap();
    (below, [sound, damaged])
}

#[tokio::test]
async fn a_value_with_another_hash_is_not_written() {
    let below = MemoryDatastore::new();
    let verifying = Verifying::new(shared(&below));
    let (key, value) = block(1);
    is_corrupt(verifying.put(&key, "other".into()).await, &key);
    let batch = verifying.batch().await.unwrap();
    is_corrupt(batch.put(&key, "other".into()).await, &key);
    batch.commit().await.unwrap();
    assert!(!below.has(&key).await.unwrap());

    let batch = verifying.batch().await.unwrap();
    batch.put(&key, value.clone()).await.unwrap();
    batch.commit().await.unwrap();
    verifying.put(&key, value).await.unwrap();
}

#[tokio::test]
async fn a_damaged_value_is_not_answered() {
    let (below, [sound, damaged]) = damaged().await;
    let verifying = Verifying::new(shared(&below));
    let batch = verifying.batch().await.unwrap();
    is_corrupt(verifying.get(&damaged).await, &damaged);
    is_corrupt(batch.get(&damaged).await, &damaged);
    assert!(verifying.get(&sound).await.unwrap().is_some());
    assert!(batch.get(&sound).await.unwrap().is_some());

    for stream in [
        verifying.query(Query::new()).await.unwrap(),
        batch.query(Query::new()).await.unwrap(),
    ] {
        let (found, errors): (Vec<_>, Vec<_>) = stream
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .partition(Result::is_ok);
        assert_eq!(found.len(), 1, "the others still come");
        is_corrupt(errors.into_iter().next().unwrap(), &damaged);
    }
}

#[tokio::test]
async fn an_error_of_a_read_names_the_key_that_the_caller_gave() {
    let (below, [_, damaged]) = damaged().await;
    let [other, _, _] = other_keys();
    below.put(&other, "value".into()).await.unwrap();
    let checked = Verifying::new(shared(&below));
    let mount = Mount::builder().mount("/blocks", shared(&checked));
    let mount = mount.build().unwrap();
    names_its_keys(&mount, &Key::new("/blocks"), &damaged, &other).await;
    let namespace = Namespace::new(shared(&mount), "/blocks");
    names_its_keys(&namespace, &Key::root(), &damaged, &other).await;
}

/// Whether the errors about two bad keys name them as they are called below `prefix`.
async fn names_its_keys(datastore: &dyn Datastore, prefix: &Key, damaged: &Key, other: &Key) {
    let batch = datastore.batch().await.unwrap();
    let [damaged, other] = [damaged, other].map(|key| prefix.child(key));
    let is_refused = |error: Error| {
        let named = matches!(&error, Error::InvalidKey { key, .. } if *key == other.as_str());
        assert!(named, "{error:?}");
    };
    let is_corrupt = |error: Error| {
        let named = matches!(&error, Error::Corrupt { key, .. } if *key == damaged.as_str());
        assert!(named, "{error:?}");
    };
    is_corrupt(datastore.get(&damaged).await.unwrap_err());
    is_refused(datastore.get(&other).await.unwrap_err());
    is_corrupt(batch.get(&damaged).await.unwrap_err());
    is_refused(batch.get(&other).await.unwrap_err());
    is_corrupt(batch.put(&damaged, "another".into()).await.unwrap_err());
    is_corrupt(batch.get(&damaged).await.unwrap_err());

    let both = stream::iter([damaged.clone(), other.clone()]).boxed();
    let answers: Vec<_> = datastore.get_many(both).collect().await;
    let [(first, corrupt), (second, refused)] = answers.try_into().unwrap();
    assert_eq!([first, second], [damaged.clone(), other.clone()]);
    is_corrupt(corrupt.unwrap_err());
    is_refused(refused.unwrap_err());

    let whole = Query::new();
    for entries in [
        datastore.query(whole.clone()).await,
        batch.query(whole).await,
    ] {
        let entries: Vec<_> = entries.unwrap().collect().await;
        for error in entries.into_iter().filter_map(Result::err) {
            match error {
                Error::InvalidKey { .. } => is_refused(error),
                error => is_corrupt(error),
            }
        }
    }
}

#[tokio::test]
async fn what_needs_no_value_checks_nothing() {
    let (below, [_, damaged]) = damaged().await;
    let verifying = Verifying::new(shared(&below));
    assert!(verifying.has(&damaged).await.unwrap());
    assert!(verifying.get_size(&damaged).await.unwrap().is_some());
    let sizes = Query::new().keys_only().returns_sizes();
    assert_eq!(answer(&verifying, sizes).await.unwrap().len(), 2);
}

#[tokio::test]
async fn each_check_can_be_switched_off() {
    let (below, [sound, damaged]) = damaged().await;
    let unread = Verifying::new(shared(&below)).check_reads(false);
    assert!(unread.get(&damaged).await.unwrap().is_some());
    assert_eq!(keys(&unread, Query::new()).await.len(), 2);
    is_corrupt(unread.put(&sound, "other".into()).await, &sound);

    let unwritten = Verifying::new(shared(&below)).check_writes(false);
    unwritten.put(&sound, "other".into()).await.unwrap();
    is_corrupt(unwritten.get(&sound).await, &sound);
}

/// Keys that say too little of their value: no hash, one of an unknown function, a short one.
fn other_keys() -> [Key; 3] {
    let unknown = ds_flatfs::cid::multihash::Multihash::<64>::wrap(0x1234, &[0; 32]);
    let short = ds_flatfs::cid::multihash::Multihash::<64>::wrap(0x12, &[0; 4]);
    let hashes = [unknown, short].map(|hash| Key::from_multihash(&hash.unwrap()));
    let [unknown, short] = hashes;
    [Key::new("/local/filesroot"), unknown, short]
}

#[tokio::test]
async fn keys_that_say_too_little_are_refused_unless_they_are_allowed() {
    for key in other_keys() {
        let below = MemoryDatastore::new();
        let strict = Verifying::new(shared(&below));
        let lenient = strict.clone().allow_other_keys(true);
        let put = strict.put(&key, "value".into()).await.unwrap_err();
        assert_clear(&put, key.as_str());
        assert_eq!(strict.get(&key).await.unwrap(), None, "nothing is there");

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
async fn a_large_value_is_hashed_on_another_thread_and_a_small_one_at_once() {
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
