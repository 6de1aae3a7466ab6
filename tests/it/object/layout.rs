//! Which objects a datastore writes and reads, and its shard function.

use std::sync::Arc;

use ds_flatfs::object::ObjectDatastore;
use ds_flatfs::object_store::memory::InMemory;
use ds_flatfs::object_store::path::Path;
use ds_flatfs::object_store::{ObjectStore, ObjectStoreExt};
use ds_flatfs::{Datastore, Error, FlatFs, Key, Query, Shard};
use futures::TryStreamExt;

use super::rigged::Rigged;
use super::{options, put_object};

async fn objects(bucket: &InMemory) -> Vec<String> {
    let objects = bucket.list(None).map_ok(|object| object.location.into());
    objects.try_collect().await.unwrap()
}

async fn keys(datastore: &ObjectDatastore, query: Query) -> Vec<String> {
    let entries = datastore.query(query.keys_only()).await.unwrap();
    let keys = entries.map_ok(|entry| entry.key.to_string());
    keys.try_collect().await.unwrap()
}

#[tokio::test]
async fn a_bucket_of_go_ds_s3_is_read_and_written_as_it_is() {
    let bucket = Arc::new(InMemory::new());
    put_object(&bucket, "blocks/CIQONE", "one").await;
    let datastore = options().open(bucket.clone()).await.unwrap();
    assert_eq!(datastore.shard(), None);
    let one = datastore.get(&Key::new("CIQONE")).await.unwrap();
    assert_eq!(one.unwrap(), "one");
    datastore
        .put(&Key::new("CIQTWO"), "two".into())
        .await
        .unwrap();
    assert_eq!(objects(&bucket).await, ["blocks/CIQONE", "blocks/CIQTWO"]);
}

#[tokio::test]
async fn a_prefix_ends_at_a_slash() {
    let bucket = Arc::new(InMemory::new());
    for name in [
        "blocks/a",
        "blocks/a/b",
        "blocks/ab",
        "blocks2/a/c",
        "block/a/d",
    ] {
        put_object(&bucket, name, "").await;
    }
    let datastore = options().open(bucket).await.unwrap();
    assert_eq!(keys(&datastore, Query::new()).await, ["/a", "/a/b", "/ab"]);
    assert_eq!(keys(&datastore, Query::new().prefix("/a")).await, ["/a/b"]);
}

#[tokio::test]
async fn the_shard_function_is_kept_in_a_marker_and_found_by_an_open() {
    let bucket = Arc::new(InMemory::new());
    let shard: Shard = "prefix/3".parse().unwrap();
    let created = options().shard(shard).create(bucket.clone()).await.unwrap();
    created
        .put(&Key::new("CIQONE"), "one".into())
        .await
        .unwrap();
    let expected = ["blocks/CIQ/CIQONE", "blocks/SHARDING"];
    assert_eq!(objects(&bucket).await, expected);
    let marker = bucket.get(&Path::from("blocks/SHARDING")).await.unwrap();
    let marker = marker.bytes().await.unwrap();
    assert_eq!(marker, "objects /repo/flatfs/shard/v1/prefix/3\n");

    let opened = options().open(bucket).await.unwrap();
    assert_eq!(opened.shard(), Some(shard));
    assert_eq!(keys(&opened, Query::new()).await, ["/CIQONE"]);
}

#[tokio::test]
async fn another_shard_function_than_that_of_the_bucket_is_refused() {
    let bucket = Arc::new(InMemory::new());
    let wanted = options().shard(Shard::default());
    let error = wanted.open(bucket.clone()).await.unwrap_err();
    assert!(matches!(error, Error::ShardMismatch { .. }), "{error}");
    let other = options().shard(Shard::prefix(2).unwrap());
    other.create(bucket.clone()).await.unwrap();
    let error = wanted.open(bucket).await.unwrap_err();
    assert!(error.to_string().contains("prefix/2"), "{error}");
}

#[tokio::test]
async fn a_marker_that_is_no_shard_function_is_refused() {
    let bucket = Arc::new(InMemory::new());
    put_object(&bucket, "blocks/SHARDING", "by colour").await;
    let error = options().open(bucket.clone()).await.unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    put_object(&bucket, "blocks/SHARDING", "objects by colour").await;
    let error = options().open(bucket).await.unwrap_err();
    assert!(matches!(error, Error::InvalidShard { .. }), "{error}");
}

/// Otherwise such a store would look empty, because its blocks are in files with other names.
#[tokio::test]
async fn a_store_on_disk_and_a_datastore_of_objects_do_not_open_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blocks");
    let url = format!("file://{}", path.display());
    let store = FlatFs::options().create(&path).await.unwrap();
    store.close().await.unwrap();
    let error = ObjectDatastore::options().open_url(&url).await.unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("open the directory by its path"),
        "{message}"
    );

    std::fs::remove_dir_all(&path).unwrap();
    let sharded = ObjectDatastore::options().shard(Shard::default());
    sharded.create_url(&url).await.unwrap();
    for opened in [
        FlatFs::options().open(&path).await,
        FlatFs::options().open_or_create(&path).await,
    ] {
        let message = opened.unwrap_err().to_string();
        assert!(message.contains("open it by its URL"), "{message}");
    }
}

#[tokio::test]
async fn a_datastore_is_created_only_where_there_are_no_objects() {
    let bucket = Arc::new(InMemory::new());
    put_object(&bucket, "blocks2/CIQONE", "").await;
    options().create(bucket.clone()).await.unwrap();
    put_object(&bucket, "blocks/CIQONE", "").await;
    let error = options().create(bucket).await.unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
}

#[tokio::test]
async fn of_two_creators_with_different_shard_functions_one_fails() {
    let bucket = Arc::new(Rigged::default());
    let with_shard = |shard: &str| options().shard(shard.parse().unwrap());
    let (one, other) = (with_shard("prefix/2"), with_shard("prefix/3"));
    let (first, second) = tokio::join!(one.create(bucket.clone()), other.create(bucket.clone()));
    let (created, error) = match (first, second) {
        (Ok(created), Err(error)) | (Err(error), Ok(created)) => (created, error),
        both => panic!("{both:?}"),
    };
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    let opened = options().open(bucket.clone()).await.unwrap();
    assert_eq!(opened.shard(), created.shard());
}

/// A put writes `KEY#1`, and renames it to `KEY`. A crash can leave it behind.
#[tokio::test]
async fn in_a_directory_the_temp_file_of_a_put_is_not_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let datastore = ObjectDatastore::options().open_url(&url).await.unwrap();
    datastore.put(&Key::new("A"), "a".into()).await.unwrap();
    std::fs::write(dir.path().join("B#1"), "a part").unwrap();
    assert_eq!(keys(&datastore, Query::new()).await, ["/A"]);
    let temp = Key::new("B#1");
    assert_eq!(datastore.get(&temp).await.unwrap(), None);
    let error = datastore.put(&temp, "b".into()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidKey { .. }), "{error}");
    datastore.put(&Key::new("B"), "b".into()).await.unwrap();
    assert_eq!(keys(&datastore, Query::new()).await.len(), 2);
}
