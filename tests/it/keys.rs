//! Which keys a store accepts, and the errors for the others.

use std::collections::BTreeMap;

use bytes::Bytes;
use ds_flatfs::{Error, Key};

use crate::support::{Home, assert_clear, contents, fill, names, options};

const VALID: [&str; 8] = [
    "/A",
    "/0",
    "/_",
    "/-",
    "/+=",
    "/CIQ",
    "/0123456789+-_=",
    "/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
];

const INVALID: [&str; 14] = [
    "/", "/a", "/ABc", "/A/B", "/A.B", "/.A", "/A.", "/..A", "/A B", "/A\\B", "/A:B", "/Ä",
    "/A\nB", "/A\0B",
];

fn value() -> Bytes {
    Bytes::from_static(b"value")
}

#[tokio::test]
async fn every_allowed_character_can_occur_in_a_key() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    for key in VALID.map(Key::new) {
        store.put(&key, value()).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), Some(value()), "{key}");
        assert!(home.block(&key).is_file(), "{key}");
        store.delete(&key).await.unwrap();
        assert!(!store.has(&key).await.unwrap(), "{key}");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_put_of_an_invalid_key_is_an_error_that_names_it_and_writes_nothing() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let before = names(&home.store());
    let batch = store.batch().await.unwrap();
    for key in INVALID.map(Key::new) {
        for error in [
            store.put(&key, value()).await.unwrap_err(),
            batch.put(&key, value()).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::InvalidKey { .. }), "{error}");
            assert_clear(&error, &format!("{:?}", key.as_str()));
        }
    }
    batch.commit().await.unwrap();
    store.close().await.unwrap();
    let after = names(&home.store());
    let visible = |names: &[String]| {
        let names = names.iter().filter(|name| *name != ".unclean");
        names
            .filter(|name| *name != "diskUsage.cache")
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(visible(&after), visible(&before));
    assert_eq!(home.temp_names(), [""; 0]);
}

/// The shard directory of each key is a file, so that an access to it would be an error.
#[tokio::test]
async fn reads_and_deletes_of_an_invalid_key_do_not_touch_the_disk() {
    let (home, store) = Home::with_store("prefix/1").await;
    for key in ["/a1", "/Aa", "/A.", "/äA"].map(Key::new) {
        let shard = store.shard().dir(&key.as_str()[1..]);
        std::fs::write(home.in_store(shard), "in the way").unwrap();
        assert_eq!(store.get(&key).await.unwrap(), None, "{key}");
        assert_eq!(store.get_size(&key).await.unwrap(), None, "{key}");
        assert!(!store.has(&key).await.unwrap(), "{key}");
        store.delete(&key).await.unwrap();
        let batch = store.batch().await.unwrap();
        batch.delete(&key).await.unwrap();
        assert_eq!(batch.get(&key).await.unwrap(), None, "{key}");
        batch.commit().await.unwrap();
    }
    let valid = store.get(&Key::new("/A1")).await.unwrap_err();
    assert!(matches!(valid, Error::Unexpected { .. }), "{valid}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_key_has_at_most_250_characters_to_fit_into_a_file_name() {
    let (home, store) = Home::with_store("prefix/1").await;
    let longest = Key::new("A".repeat(250));
    store.put(&longest, value()).await.unwrap();
    assert_eq!(store.get(&longest).await.unwrap(), Some(value()));
    let batch = store.batch().await.unwrap();
    batch
        .put(&Key::new("B".repeat(250)), value())
        .await
        .unwrap();
    batch.commit().await.unwrap();
    assert_eq!(names(&home.in_store("B"))[0].len(), 255);

    for length in [251, 300, 5000] {
        let key = Key::new("A".repeat(length));
        let error = store.put(&key, value()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidKey { .. }), "{error}");
        assert_eq!(store.get(&key).await.unwrap(), None);
        assert_eq!(store.get_size(&key).await.unwrap(), None);
        assert!(!store.has(&key).await.unwrap());
        store.delete(&key).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Windows has devices of these names in every directory, even if an extension follows.
#[tokio::test]
async fn keys_and_shard_directories_can_have_the_names_of_devices() {
    let devices = ["CON", "NUL", "AUX", "PRN", "COM1"];
    let keys = devices.map(|device| {
        [
            device.to_owned(),
            format!("{device}-A"),
            format!("A{device}B"),
        ]
    });
    let keys: BTreeMap<Key, Bytes> = keys
        .iter()
        .flatten()
        .map(|key| (Key::new(key), value()))
        .collect();
    for shard in ["prefix/3", "prefix/4", "next-to-last/3", "next-to-last/4"] {
        let (home, store) = Home::with_store(shard).await;
        for key in keys.keys() {
            store.put(key, Bytes::from_static(b"old")).await.unwrap();
        }
        fill(&store, &keys).await;
        store.close().await.unwrap();
        let store = options().open(home.store()).await.unwrap();
        assert_eq!(contents(&store).await, keys, "{shard}");
        assert!(
            names(&home.store())
                .contains(&if shard.ends_with('3') { "NUL" } else { "COM1" }.to_owned())
        );
        for key in keys.keys() {
            assert_eq!(store.get(key).await.unwrap(), Some(value()), "{key}");
            store.delete(key).await.unwrap();
        }
        assert!(contents(&store).await.is_empty(), "{shard}");
        store.close().await.unwrap();
    }
}
