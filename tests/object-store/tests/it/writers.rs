//! Two processes that write to one bucket.

use std::env;
use std::process::Command;

use bytes::Bytes;
use ds_flatfs::{Batch, Datastore, Key, Query};
use ds_flatfs_object_store::{Server, WRITER, options};
use futures::TryStreamExt;

const ENDPOINT: &str = "DS_FLATFS_TEST_ENDPOINT";
const BLOCKS: usize = 200;

/// Blocks whose keys are those of their contents, of which two writers have a half in common.
fn blocks(from: usize) -> impl Iterator<Item = (Key, Bytes)> {
    (from..from + BLOCKS).map(|i| (Key::new(format!("K{i}")), format!("block {i}").into()))
}

async fn write(endpoint: &str, from: usize) {
    let options = options(endpoint, WRITER);
    let datastore = options.open_url("s3://bucket/blocks").await.unwrap();
    let batch = datastore.batch().await.unwrap();
    for (i, (key, value)) in blocks(from).enumerate() {
        match i % 2 {
            0 => datastore.put(&key, value).await.unwrap(),
            _ => batch.put(&key, value).await.unwrap(),
        }
    }
    batch.commit().await.unwrap();
}

/// The other process. It does nothing unless the test below has started it.
#[tokio::test]
async fn second_writer() {
    if let Ok(endpoint) = env::var(ENDPOINT) {
        write(&endpoint, BLOCKS / 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_the_same_bucket() {
    let server = Server::start().await;
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "writers::second_writer"])
        .env(ENDPOINT, &server.endpoint)
        .spawn()
        .unwrap();
    write(&server.endpoint, 0).await;
    let ended = tokio::task::spawn_blocking(move || other.wait());
    assert!(ended.await.unwrap().unwrap().success());

    let datastore = server.open("blocks").await;
    let entries = datastore.query(Query::new()).await.unwrap();
    let mut found: Vec<_> = entries
        .map_ok(|entry| (entry.key, entry.value.unwrap()))
        .try_collect()
        .await
        .unwrap();
    found.sort();
    let mut expected: Vec<_> = blocks(0)
        .chain(blocks(BLOCKS / 2).skip(BLOCKS / 2))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}
