//! Suites about single values.

use super::Keys;
use super::check::{begin, commit, delete, finish, has_no_value, has_value, ok, put, start};
use super::sample::noise;
use crate::datastore::{Accuracy, Datastore};

/// A value that was put can be read until it is deleted.
pub async fn basics(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let key = keys.key("basics");
    put(datastore, &key, "Hello Datastore!").await;
    for _ in 0..2 {
        has_value(datastore, &key, "Hello Datastore!", "after a put").await;
    }
    delete(datastore, &key).await;
    has_no_value(datastore, &key, "after a delete").await;
    finish(datastore).await;
}

/// A key without a value is not an error, for reads and for deletes.
pub async fn absent_keys(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let key = keys.key("absent");
    has_no_value(datastore, &key, "never put").await;
    delete(datastore, &key).await;
    has_no_value(datastore, &key, "never put, but deleted").await;
    finish(datastore).await;
}

/// A put replaces the earlier value, which may be shorter or longer.
pub async fn overwrites(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [key, other] = keys.nested();
    put(datastore, &other, "untouched").await;
    for value in ["first", "longer than before", "short", "other", "", "again"] {
        put(datastore, &key, value).await;
        has_value(datastore, &key, value, "an overwrite takes effect").await;
    }
    has_value(
        datastore,
        &other,
        "untouched",
        "another key was overwritten",
    )
    .await;
    finish(datastore).await;
}

/// Values may be empty, contain any byte, and have at least 1 MiB.
pub async fn value_sizes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let key = keys.key("size");
    let every_byte: Vec<u8> = (0..=255).collect();
    put(datastore, &key, every_byte.clone()).await;
    has_value(datastore, &key, &every_byte, "a value with every byte").await;
    for size in [0, 1, 4095, 4096, 4097, 1 << 20] {
        let key = keys.key(&format!("size{size}"));
        let value = noise(size as u64, size);
        put(datastore, &key, value.clone()).await;
        has_value(datastore, &key, &value, "a value of any size").await;
    }
    finish(datastore).await;
}

/// A delete removes its key alone and can be repeated, and a later put stores the key again.
pub async fn deletes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [outer, inner] = keys.nested();
    put(datastore, &outer, "outer").await;
    put(datastore, &inner, "inner").await;
    for why in ["after a delete", "after a second delete"] {
        delete(datastore, &outer).await;
        has_no_value(datastore, &outer, why).await;
    }
    has_value(
        datastore,
        &inner,
        "inner",
        "the key that it begins with was deleted",
    )
    .await;
    put(datastore, &outer, "new").await;
    has_value(datastore, &outer, "new", "put again after a delete").await;
    delete(datastore, &inner).await;
    has_value(
        datastore,
        &outer,
        "new",
        "a key that begins with it was deleted",
    )
    .await;
    finish(datastore).await;
}

/// `sync` succeeds after every kind of write, and changes nothing that can be read.
pub async fn syncs(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [outer, inner] = keys.nested();
    let sync = async |when| ok(datastore.sync().await, format_args!("sync {when}"));
    sync("with nothing to do").await;
    put(datastore, &outer, "outer").await;
    sync("after a put").await;
    let batch = begin(datastore).await;
    put(&*batch, &inner, "inner").await;
    sync("while a batch is open").await;
    has_no_value(datastore, &inner, "a sync does not commit a batch").await;
    commit(batch).await;
    sync("after a commit").await;
    has_value(datastore, &outer, "outer", "after a sync").await;
    has_value(datastore, &inner, "inner", "after a sync").await;
    delete(datastore, &outer).await;
    sync("after a delete").await;
    has_no_value(datastore, &outer, "deleted before a sync").await;
    finish(datastore).await;
}

/// The disk usage is available. An exact figure grows with a put and shrinks with a delete.
pub async fn disk_usage(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let key = keys.key("usage");
    let usage = async || ok(datastore.disk_usage().await, "the disk usage");
    let before = usage().await;
    put(datastore, &key, noise(1, 100_000)).await;
    let with = usage().await;
    delete(datastore, &key).await;
    let after = usage().await;
    let exact = [before, with, after].map(|usage| usage.accuracy == Accuracy::Exact);
    if exact == [true; 3] {
        assert!(before.bytes < with.bytes, "a put: {before:?}, {with:?}");
        assert!(with.bytes > after.bytes, "a delete: {with:?}, {after:?}");
    }
    finish(datastore).await;
}
