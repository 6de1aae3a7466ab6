//! Listings of many pages.

use std::fs;

use ds_flatfs::query::Order;
use ds_flatfs::{Accuracy, Datastore, Entry, Query};
use ds_flatfs_object_store::Server;
use futures::TryStreamExt;

const BLOCKS: usize = 10_000;

/// Puts many blocks below `blocks`, between other prefixes, and with keys that are prefixes of others.
fn fill(server: &Server) -> Vec<String> {
    let dir = server.bucket_dir();
    let put = |prefix: &str, name: &str, size: usize| {
        fs::write(dir.join(prefix).join(name), vec![0; size]).unwrap();
    };
    for prefix in ["block", "blocks", "blocks2", "zzz"] {
        fs::create_dir(dir.join(prefix)).unwrap();
        put(prefix, "CIQOTHER", 1);
    }
    let mut keys = vec!["/CIQOTHER".to_owned()];
    for i in 0..BLOCKS - 1 {
        let name = format!("CIQ{i}");
        put("blocks", &name, i % 100);
        keys.push(format!("/{name}"));
    }
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_blocks_are_listed_once_each_in_order_and_with_their_sizes() {
    let server = Server::start().await;
    let expected = fill(&server);
    let datastore = server.open("blocks").await;

    let before = server.faults.requests();
    let query = Query::new()
        .keys_only()
        .returns_sizes()
        .order(Order::by_key());
    let entries = datastore.query(query).await.unwrap();
    let entries: Vec<Entry> = entries.try_collect().await.unwrap();
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.to_string()).collect();
    assert!(keys == expected, "{} keys", keys.len());
    assert_eq!(server.faults.requests() - before, 10, "one request a page");
    for entry in &entries {
        let name = entry.key.as_str();
        let number: Option<u64> = name.strip_prefix("/CIQ").and_then(|n| n.parse().ok());
        assert_eq!(entry.size, Some(number.map_or(1, |n| n % 100)), "{name}");
    }

    let usage = datastore.disk_usage().await.unwrap();
    let bytes = entries.iter().filter_map(|entry| entry.size).sum::<u64>();
    assert_eq!((usage.bytes, usage.accuracy), (bytes, Accuracy::Exact));
    let first = datastore.query(Query::new().limit(3)).await.unwrap();
    let first: Vec<Entry> = first.try_collect().await.unwrap();
    assert_eq!(first.len(), 3);
}
