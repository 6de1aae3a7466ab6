//! The conformance suites over HTTP, and blocks of unusual sizes.

use bytes::Bytes;
use ds_flatfs::conformance::{self, Keys};
use ds_flatfs::{Datastore, Key, Shard};
use ds_flatfs_object_store::{Server, WRITER};
use futures::stream::{self, StreamExt, TryStreamExt};

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_with_the_layout_of_go_ds_s3() {
    let server = Server::start().await;
    let datastore = server.open("blocks").await;
    conformance::all(&datastore, Keys::Flat).await;
    conformance::closing(&datastore, Keys::Flat).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_with_a_shard_function() {
    let server = Server::start().await;
    let options = server.options(WRITER).shard(Shard::default());
    let created = options.create_url("s3://bucket/sharded").await;
    let datastore = created.unwrap();
    conformance::basics(&datastore, Keys::Flat).await;
    conformance::query_results(&datastore, Keys::Flat).await;
    conformance::batch_commits(&datastore, Keys::Flat).await;
    conformance::delete_many(&datastore, Keys::Flat).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_empty_blocks_are_read_as_they_were_put_by_a_hundred_tasks() {
    let server = Server::start().await;
    let datastore = server.open("blocks").await;
    let block = |i: usize| match i {
        0 => Bytes::new(),
        1..=4 => Bytes::from(vec![i as u8; 8 << 20]),
        _ => Bytes::from(vec![i as u8; 1000 * i]),
    };
    let tasks = (0..100).map(|i| {
        let datastore = datastore.clone();
        tokio::spawn(async move {
            let key = Key::new(format!("K{i}"));
            datastore.put(&key, block(i)).await.unwrap();
            assert_eq!(datastore.get(&key).await.unwrap(), Some(block(i)));
            let size = datastore.get_size(&key).await.unwrap();
            assert_eq!(size, Some(block(i).len() as u64));
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await.unwrap();
    }
    let keys = stream::iter((0..100).map(|i| Key::new(format!("K{i}")))).boxed();
    let found: Vec<_> = datastore.get_many(keys).collect().await;
    for (i, (_, value)) in found.into_iter().enumerate() {
        assert_eq!(value.unwrap(), Some(block(i)), "block {i}");
    }
    let deleted = stream::iter((0..100).map(|i| Key::new(format!("K{i}")))).boxed();
    datastore.delete_many(deleted).await.unwrap();
    let left = datastore
        .query(ds_flatfs::Query::new().keys_only())
        .await
        .unwrap();
    assert_eq!(left.try_collect::<Vec<_>>().await.unwrap(), []);
}
