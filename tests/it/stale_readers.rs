//! Readers of stores that another process re-shards or moves away.

use std::fs;
use std::path::Path;

use ds_flatfs::maintenance::{Move, Reshard};
use ds_flatfs::query::Order;
use ds_flatfs::{Error, FlatFs, Key, Query, Shard};
use futures::StreamExt;

use crate::support::{Home, blocks, fill};

async fn filled() -> (Home, Vec<Key>) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let blocks = blocks(50);
    fill(&store, &blocks).await;
    store.close().await.unwrap();
    (home, blocks.into_keys().collect())
}

async fn open_to_read(path: &Path) -> FlatFs {
    let options = FlatFs::options().read_only(true);
    options.open(path).await.unwrap()
}

/// Returns the error of each kind of read after the blocks have moved.
async fn refusals(store: &FlatFs, keys: &[Key]) -> Vec<Error> {
    let key = &keys[0];
    let mut errors = vec![
        store.get(key).await.unwrap_err(),
        store.has(key).await.unwrap_err(),
        store.get_size(key).await.unwrap_err(),
    ];
    for query in [Query::new(), Query::new().keys_only()] {
        let entries = store.query(query).await.unwrap();
        let last = entries.collect::<Vec<_>>().await.pop();
        errors.push(
            last.expect("the stream must end with an error")
                .unwrap_err(),
        );
    }
    let many = futures::stream::iter(keys.to_vec()).boxed();
    let results: Vec<_> = store.get_many(many).collect().await;
    errors.extend(results.into_iter().map(|(_, result)| result.unwrap_err()));
    errors
}

#[tokio::test]
async fn a_reader_of_a_resharded_store_reports_that_instead_of_missing_blocks() {
    let (home, keys) = filled().await;
    let reader = open_to_read(&home.store()).await;
    let to: Shard = "prefix/5".parse().unwrap();
    let _ = Reshard::new(home.store(), to).run().await.unwrap();
    for error in refusals(&reader, &keys).await {
        assert!(matches!(error, Error::ShardMismatch { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_reader_of_a_store_that_is_being_resharded_reports_that() {
    let (home, keys) = filled().await;
    let reader = open_to_read(&home.store()).await;
    // Leave the store like a re-sharding that stopped after the first block.
    let under_way = "/repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/5; go on\n";
    fs::write(home.in_store("SHARDING"), under_way).unwrap();
    let moved = home.beside("moved");
    fs::rename(home.block(&keys[0]), moved).unwrap();
    let error = reader.get(&keys[0]).await.unwrap_err();
    assert!(matches!(error, Error::Resharding { .. }), "{error}");
    assert!(reader.has(&keys[1]).await.unwrap());
}

/// The keys are listed and sorted before the first value is read.
#[tokio::test]
async fn a_sorted_query_reports_a_resharding_while_its_values_are_read() {
    let (home, _) = filled().await;
    let reader = open_to_read(&home.store()).await;
    let sorted = Query::new().order(Order::by_key());
    let mut entries = reader.query(sorted).await.unwrap();
    entries.next().await.unwrap().unwrap();
    let to: Shard = "prefix/5".parse().unwrap();
    let _ = Reshard::new(home.store(), to).run().await.unwrap();
    let rest: Vec<_> = entries.collect().await;
    let errors = rest.iter().filter(|entry| entry.is_err()).count();
    assert!(errors > 0, "{} entries and no error", rest.len());
}

#[tokio::test]
async fn a_reader_of_a_store_that_was_moved_away_reports_that_it_is_not_a_store() {
    let (home, keys) = filled().await;
    let reader = open_to_read(&home.store()).await;
    let moved = Move::new(home.store(), home.beside("new")).run().await;
    assert!(moved.unwrap().emptied);
    for error in refusals(&reader, &keys).await {
        assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    }
}
