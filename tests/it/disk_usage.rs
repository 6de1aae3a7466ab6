//! The disk usage: what counts, when a stored figure is trusted, and when it is counted again.

use std::fs;
use std::path::Path;

use ds_flatfs::maintenance::Reshard;
use ds_flatfs::{Accuracy, Key};

use crate::mounts::Mount;
use crate::support::{
    Home, block, blocks, dir_size_slack, exact_usage, fill, new_dir, open_dropped, options,
    random_bytes, true_usage,
};

fn cache(home: &Home) -> String {
    fs::read_to_string(home.in_store("diskUsage.cache")).unwrap()
}

/// Writes a wrong disk usage.
fn write_wrong(root: &Path) {
    let wrong = "{\"diskUsage\":123456789,\"accuracy\":\"initial-exact\"}\n";
    fs::write(root.join("diskUsage.cache"), wrong).unwrap();
}

#[tokio::test]
async fn a_new_store_counts_its_directories_and_its_two_files() {
    for shard in ["next-to-last/2", "prefix/1"] {
        let (home, store) = Home::with_store(shard).await;
        let found_usage = store.disk_usage().await.unwrap();
        assert_eq!(found_usage.accuracy, Accuracy::Exact);
        assert_eq!(found_usage.bytes, true_usage(&home.store()));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_disk_usage_follows_every_write() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let mut expected = exact_usage(&store).await;
    let (_, dir_size) = new_dir(&home);
    let key = Key::new("KEY");

    store.put(&key, random_bytes(1, 100)).await.unwrap();
    expected += dir_size + 100;
    assert_eq!(exact_usage(&store).await, expected, "a new block");
    for (length, change) in [(5000, 4900), (10, -4990), (0, -10), (10, 10)] {
        store.put(&key, random_bytes(2, length)).await.unwrap();
        expected = expected.checked_add_signed(change).unwrap();
        assert_eq!(exact_usage(&store).await, expected, "{length} bytes");
    }
    store.put(&key, random_bytes(2, 10)).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected, "the same again");
    store.delete(&Key::new("ABSENT")).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected, "nothing deleted");

    let batch = store.batch().await.unwrap();
    batch
        .put(&Key::new("XKEX"), random_bytes(3, 1000))
        .await
        .unwrap();
    batch
        .put(&Key::new("OTHER"), random_bytes(3, 1000))
        .await
        .unwrap();
    batch
        .put(&Key::new("DROPPED"), random_bytes(3, 1000))
        .await
        .unwrap();
    batch.delete(&Key::new("DROPPED")).await.unwrap();
    batch.delete(&key).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected, "nothing committed");
    batch.commit().await.unwrap();
    expected += 2000 + dir_size - 10;
    assert_eq!(exact_usage(&store).await, expected, "a batch");

    store.delete(&Key::new("OTHER")).await.unwrap();
    expected -= 1000;
    assert_eq!(exact_usage(&store).await, expected, "a block less");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_close_stores_the_disk_usage_like_go_ds_flatfs() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(50)).await;
    let found_usage = exact_usage(&store).await;
    store.close().await.unwrap();
    let expected = format!("{{\"diskUsage\":{found_usage},\"accuracy\":\"initial-exact\"}}\n");
    assert_eq!(cache(&home), expected);
}

#[tokio::test]
async fn after_a_close_the_stored_disk_usage_is_trusted() {
    let home = Home::with_closed_store().await;
    write_wrong(&home.store());
    let store = options().open(home.store()).await.unwrap();
    let found_usage = store.disk_usage().await.unwrap();
    assert_eq!(
        (found_usage.bytes, found_usage.accuracy),
        (123_456_789, Accuracy::Exact)
    );
    store.put(&block(0).0, block(0).1).await.unwrap();
    store.delete(&block(0).0).await.unwrap();
    let less = 123_456_789 - block(0).1.len() as u64;
    assert_eq!(exact_usage(&store).await, less);
    store.close().await.unwrap();
    assert!(cache(&home).contains(&less.to_string()));
}

#[tokio::test]
async fn an_approximate_disk_usage_stays_approximate() {
    let home = Home::with_closed_store().await;
    for accuracy in ["initial-approximate", "initial-timed-out", "unknown"] {
        let stored = format!("{{\"diskUsage\":5000,\"accuracy\":\"{accuracy}\"}}\n");
        fs::write(home.in_store("diskUsage.cache"), &stored).unwrap();
        let store = options().open(home.store()).await.unwrap();
        let found = store.disk_usage().await.unwrap();
        assert_eq!(found.accuracy.to_string(), accuracy);
        store.close().await.unwrap();
        assert_eq!(cache(&home), stored);
    }
}

#[tokio::test]
async fn after_a_session_without_a_close_the_disk_usage_is_counted_again() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(200)).await;
    store.close().await.unwrap();
    drop(options().open(home.store()).await.unwrap());
    write_wrong(&home.store());
    let expected = true_usage(&home.store());

    let reader = options().read_only(true).open(home.store()).await.unwrap();
    let found_usage = reader.disk_usage().await.unwrap();
    assert_eq!(
        (found_usage.bytes, found_usage.accuracy),
        (123_456_789, Accuracy::Approximate)
    );
    reader.close().await.unwrap();

    let store = open_dropped(&home.store()).await;
    assert_eq!(exact_usage(&store).await, expected);
    store.close().await.unwrap();
    assert!(cache(&home).contains(&expected.to_string()));
    assert!(!home.in_store(".unclean").exists());
}

/// Returns a closed store of 300 blocks whose disk usage an open has to count, and that disk usage. The files
/// that an open creates exist already, because they may change the size of the root.
async fn with_usage_to_count() -> (Home, u64) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(300)).await;
    store.close().await.unwrap();
    fs::write(home.in_store(".unclean"), "").unwrap();
    write_wrong(&home.store());
    let space = true_usage(&home.store());
    (home, space)
}

#[tokio::test]
async fn without_a_stored_figure_the_disk_usage_is_counted_in_the_background() {
    let (home, _) = with_usage_to_count().await;
    fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    let expected = true_usage(&home.store());
    let store = options().open(home.store()).await.unwrap();
    let found_usage = store.disk_usage().await.unwrap();
    assert_ne!(
        found_usage.accuracy,
        Accuracy::Exact,
        "the open must not wait"
    );
    assert_eq!(exact_usage(&store).await, expected);
    store.close().await.unwrap();
    assert!(cache(&home).contains(&expected.to_string()));
}

#[tokio::test]
async fn writes_during_a_count_are_counted_once() {
    let (home, mut expected) = with_usage_to_count().await;
    let store = options().open(home.store()).await.unwrap();
    for (key, value) in blocks(300).iter().step_by(3) {
        store
            .put(key, random_bytes(1, value.len() + 1000))
            .await
            .unwrap();
        expected += 1000;
    }
    // If the size of a directory depends on its entries, `.temp` may be counted with a file in it.
    let difference = exact_usage(&store).await.abs_diff(expected);
    assert!(difference < 1000, "{difference} bytes");
    store.close().await.unwrap();
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Wine takes longer than the second that a close has for a count"
)]
async fn a_close_completes_a_count_that_is_still_running() {
    let (home, expected) = with_usage_to_count().await;
    let store = options().open(home.store()).await.unwrap();
    store.close().await.unwrap();
    assert!(!home.in_store(".unclean").exists());
    assert!(cache(&home).contains(&expected.to_string()));
}

#[tokio::test]
async fn foreign_files_count_as_in_go_ds_flatfs() {
    let home = Home::with_closed_store().await;
    fs::write(home.in_store("notes.txt"), random_bytes(1, 777)).unwrap();
    fs::create_dir(home.in_store("lower")).unwrap();
    fs::write(home.in_store("lower/file"), random_bytes(1, 555)).unwrap();
    fs::write(home.in_store(".unclean"), "").unwrap();
    let expected = true_usage(&home.store());
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected);
    store.close().await.unwrap();
}

/// xfs and btrfs make a directory larger with each entry.
#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn the_growth_of_directories_is_in_the_disk_usage_and_in_that_of_a_resharded_store() {
    for mount in Mount::with_growing_dirs() {
        let root = mount.path().join("store");
        let store = options().open_or_create(&root).await.unwrap();
        let blocks = blocks(2000);
        fill(&store, &blocks).await;
        let slack = dir_size_slack(&root);
        let is_true = |figure: u64, when: &str| {
            let found = true_usage(&root);
            assert!(
                figure.abs_diff(found) <= slack,
                "{when}: {figure}, not {found}"
            );
        };
        is_true(exact_usage(&store).await, "in the session");
        for key in blocks.keys().take(500) {
            store.delete(key).await.unwrap();
        }
        is_true(exact_usage(&store).await, "after deletes");
        store.close().await.unwrap();
        let saved = || {
            let cache = fs::read(root.join("diskUsage.cache")).unwrap();
            let cache: serde_json::Value = serde_json::from_slice(&cache).unwrap();
            assert_eq!(cache["accuracy"], "initial-exact");
            cache["diskUsage"].as_u64().unwrap()
        };
        is_true(saved(), "after the close");
        for shard in ["prefix/5", "next-to-last/2"] {
            let reshard = Reshard::new(&root, shard.parse().unwrap());
            let _ = reshard.run().await.unwrap();
            is_true(saved(), shard);
        }
    }
}
