//! The disk usage: what counts, when it is trusted, and when it is counted anew.

use std::fs;
use std::path::Path;

use ds_flatfs::{Accuracy, Key};

use crate::support::{
    Home, block, blocks, exact_usage, fill, new_dir, noise, open_dropped, options, usage,
};

fn cache(home: &Home) -> String {
    fs::read_to_string(home.in_store("diskUsage.cache")).unwrap()
}

/// Writes a figure that is wrong.
fn write_wrong(root: &Path) {
    let wrong = "{\"diskUsage\":123456789,\"accuracy\":\"initial-exact\"}\n";
    fs::write(root.join("diskUsage.cache"), wrong).unwrap();
}

#[tokio::test]
async fn a_new_store_takes_the_space_of_its_directories_and_its_two_files() {
    for shard in ["next-to-last/2", "prefix/1"] {
        let (home, store) = Home::with_store(shard).await;
        let figure = store.disk_usage().await.unwrap();
        assert_eq!(figure.accuracy, Accuracy::Exact);
        assert_eq!(figure.bytes, usage(&home.store()));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_figure_follows_every_write() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let mut expected = exact_usage(&store).await;
    let (_, dir_size) = new_dir(&home);
    let key = Key::new("KEY");

    store.put(&key, noise(1, 100)).await.unwrap();
    expected += dir_size + 100;
    assert_eq!(exact_usage(&store).await, expected, "a new block");
    for (length, change) in [(5000, 4900), (10, -4990), (0, -10), (10, 10)] {
        store.put(&key, noise(2, length)).await.unwrap();
        expected = expected.checked_add_signed(change).unwrap();
        assert_eq!(exact_usage(&store).await, expected, "{length} bytes");
    }
    store.put(&key, noise(2, 10)).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected, "the same again");
    store.delete(&Key::new("ABSENT")).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected, "nothing deleted");

    let batch = store.batch().await.unwrap();
    batch.put(&Key::new("XKEX"), noise(3, 1000)).await.unwrap();
    batch.put(&Key::new("OTHER"), noise(3, 1000)).await.unwrap();
    batch
        .put(&Key::new("DROPPED"), noise(3, 1000))
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
async fn a_close_writes_the_figure_as_the_reference_does() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(50)).await;
    let figure = exact_usage(&store).await;
    store.close().await.unwrap();
    let expected = format!("{{\"diskUsage\":{figure},\"accuracy\":\"initial-exact\"}}\n");
    assert_eq!(cache(&home), expected);
}

#[tokio::test]
async fn after_a_close_the_figure_is_trusted_as_it_stands() {
    let home = Home::with_closed_store().await;
    write_wrong(&home.store());
    let store = options().open(home.store()).await.unwrap();
    let figure = store.disk_usage().await.unwrap();
    assert_eq!(
        (figure.bytes, figure.accuracy),
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
async fn an_approximate_figure_stays_one() {
    let home = Home::with_closed_store().await;
    for accuracy in ["initial-approximate", "initial-timed-out", "unknown"] {
        let figure = format!("{{\"diskUsage\":5000,\"accuracy\":\"{accuracy}\"}}\n");
        fs::write(home.in_store("diskUsage.cache"), &figure).unwrap();
        let store = options().open(home.store()).await.unwrap();
        let found = store.disk_usage().await.unwrap();
        assert_eq!(found.accuracy.to_string(), accuracy);
        store.close().await.unwrap();
        assert_eq!(cache(&home), figure);
    }
}

#[tokio::test]
async fn after_a_session_that_did_not_close_the_space_is_counted_anew() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(200)).await;
    store.close().await.unwrap();
    drop(options().open(home.store()).await.unwrap());
    write_wrong(&home.store());
    let expected = usage(&home.store());

    let reader = options().read_only(true).open(home.store()).await.unwrap();
    let figure = reader.disk_usage().await.unwrap();
    assert_eq!(
        (figure.bytes, figure.accuracy),
        (123_456_789, Accuracy::Approximate)
    );
    reader.close().await.unwrap();

    let store = open_dropped(&home.store()).await;
    assert_eq!(exact_usage(&store).await, expected);
    store.close().await.unwrap();
    assert!(cache(&home).contains(&expected.to_string()));
    assert!(!home.in_store(".unclean").exists());
}

/// A closed store of 300 blocks whose space an open has to count, and that space now. All that an open
/// makes is there already, for that may change the size of the root.
async fn with_space_to_count() -> (Home, u64) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(300)).await;
    store.close().await.unwrap();
    fs::write(home.in_store(".unclean"), "").unwrap();
    write_wrong(&home.store());
    let space = usage(&home.store());
    (home, space)
}

#[tokio::test]
async fn without_a_figure_the_space_is_counted_in_the_background() {
    let (home, _) = with_space_to_count().await;
    fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    let expected = usage(&home.store());
    let store = options().open(home.store()).await.unwrap();
    let figure = store.disk_usage().await.unwrap();
    assert_ne!(figure.accuracy, Accuracy::Exact, "the open doesn't wait");
    assert_eq!(exact_usage(&store).await, expected);
    store.close().await.unwrap();
    assert!(cache(&home).contains(&expected.to_string()));
}

#[tokio::test]
async fn writes_during_a_count_are_counted_once() {
    let (home, mut expected) = with_space_to_count().await;
    let store = options().open(home.store()).await.unwrap();
    for (key, value) in blocks(300).iter().step_by(3) {
        store.put(key, noise(1, value.len() + 1000)).await.unwrap();
        expected += 1000;
    }
    // Where directories grow by the entry, `.temp` may be counted with a file in it.
    let difference = exact_usage(&store).await.abs_diff(expected);
    assert!(difference < 1000, "{difference} bytes");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_too_short_for_the_count_counts_when_it_closes() {
    let (home, expected) = with_space_to_count().await;
    let store = options().open(home.store()).await.unwrap();
    store.close().await.unwrap();
    assert!(!home.in_store(".unclean").exists());
    assert!(cache(&home).contains(&expected.to_string()));
}

#[tokio::test]
async fn files_that_are_no_blocks_count_as_the_reference_counts_them() {
    let home = Home::with_closed_store().await;
    fs::write(home.in_store("notes.txt"), noise(1, 777)).unwrap();
    fs::create_dir(home.in_store("lower")).unwrap();
    fs::write(home.in_store("lower/file"), noise(1, 555)).unwrap();
    fs::write(home.in_store(".unclean"), "").unwrap();
    let expected = usage(&home.store());
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(exact_usage(&store).await, expected);
    store.close().await.unwrap();
}
