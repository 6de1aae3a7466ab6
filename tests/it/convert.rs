//! Conversions between the versions of the format, and recounts of the disk usage.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ds_flatfs::maintenance::{Progress, downgrade, recount, upgrade};
use ds_flatfs::{Accuracy, Error};

use crate::platform::symlink;

use super::support::{
    Home, assert_clear, blocks, contents, exact_usage, fill, names, options, tree, true_usage,
};

const PREFIX: &str = "prefix/5";

/// Returns a home with a closed store with [`PREFIX`] and this number of blocks.
async fn home(count: usize) -> Home {
    let (home, store) = Home::with_store(PREFIX).await;
    fill(&store, &blocks(count)).await;
    store.close().await.unwrap();
    home
}

/// Returns the same store converted to version 0.
async fn home_of_version_0(count: usize) -> Home {
    let home = home(count).await;
    downgrade(home.store()).await.unwrap();
    home
}

/// Returns all block files below a store's root.
fn block_files(home: &Home) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let nodes = tree(&home.store()).into_iter();
    let blocks = nodes.filter(|(path, _)| path.extension().is_some_and(|end| end == "data"));
    blocks.map(|(path, node)| (path, node.contents)).collect()
}

#[tokio::test]
async fn a_downgrade_and_an_upgrade_do_not_move_blocks() {
    let home = home(50).await;
    let before = block_files(&home);
    downgrade(home.store()).await.unwrap();
    let others = names(&home.store()).into_iter();
    let others: Vec<String> = others.filter(|name| !name.starts_with("CIQ")).collect();
    assert_eq!(others, [".lock"]);
    assert!(matches!(
        options().open(home.store()).await,
        Err(Error::NotAStore { .. })
    ));
    upgrade(home.store(), 5).await.unwrap();
    assert_eq!(block_files(&home), before);
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(store.shard(), PREFIX.parse().unwrap());
    assert_eq!(contents(&store).await, blocks(50));
    assert_eq!(exact_usage(&store).await, true_usage(&home.store()));
}

#[tokio::test]
async fn an_empty_store_can_be_converted() {
    let home = home_of_version_0(0).await;
    upgrade(home.store(), 3).await.unwrap();
    let sharding = fs::read_to_string(home.in_store("SHARDING")).unwrap();
    assert_eq!(sharding, "/repo/flatfs/shard/v1/prefix/3\n");
}

#[tokio::test]
async fn a_store_of_version_1_is_not_upgraded() {
    let home = home(3).await;
    let before = tree(&home.store());
    let error = upgrade(home.store(), 5).await.unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    let error = upgrade(home.store(), 4).await.unwrap_err();
    assert!(matches!(error, Error::ShardMismatch { .. }), "{error}");
    assert_eq!(tree(&home.store()), before);
}

#[tokio::test]
async fn a_store_with_another_shard_function_is_not_downgraded() {
    for shard in ["next-to-last/2", "suffix/5"] {
        let (home, store) = Home::with_store(shard).await;
        store.close().await.unwrap();
        let before = tree(&home.store());
        let error = downgrade(home.store()).await.unwrap_err();
        assert!(matches!(error, Error::NotConvertible { .. }), "{error}");
        assert_clear(&error, shard);
        assert_eq!(tree(&home.store()), before);
    }
}

#[tokio::test]
async fn an_open_store_is_neither_converted_nor_counted() {
    let (home, _store) = Home::with_store(PREFIX).await;
    assert!(downgrade(home.store()).await.unwrap_err().is_locked());
    let watch = |_| ControlFlow::Continue(());
    assert!(recount(home.store(), watch).await.unwrap_err().is_locked());
    fs::remove_file(home.in_store("SHARDING")).unwrap();
    assert!(upgrade(home.store(), 5).await.unwrap_err().is_locked());
}

#[tokio::test]
async fn an_upgrade_names_what_does_not_match_the_prefix_length_and_changes_nothing() {
    let home = home_of_version_0(20).await;
    fs::remove_file(home.in_store(".lock")).unwrap();
    let before = tree(&home.store());
    for length in [4, 6] {
        let error = upgrade(home.store(), length).await.unwrap_err();
        assert!(matches!(error, Error::NotConvertible { .. }), "{error}");
        assert_clear(&error, &format!("prefix/{length}"));
        assert_eq!(error.path().unwrap().parent().unwrap(), home.store());
        assert_eq!(tree(&home.store()), before);
    }
    for length in [0, 256] {
        let error = upgrade(home.store(), length).await.unwrap_err();
        assert!(matches!(error, Error::InvalidShard { .. }), "{error}");
    }
    for name in ["ABCD", "abcde", "AB.DE"] {
        let odd = home.in_store(name);
        fs::create_dir(&odd).unwrap();
        let error = upgrade(home.store(), 5).await.unwrap_err();
        assert_clear(&error, odd.to_str().unwrap());
        fs::remove_dir(&odd).unwrap();
    }
    upgrade(home.store(), 5).await.unwrap();
}

/// The names of its directories have the right length by chance.
#[tokio::test]
async fn a_store_with_another_function_and_without_sharding_is_not_upgraded() {
    let home = Home::with_closed_store().await;
    fs::remove_file(home.in_store("SHARDING")).unwrap();
    let error = upgrade(home.store(), 2).await.unwrap_err();
    let block = &block_files(&home)[0].0;
    assert_clear(&error, home.in_store(block).to_str().unwrap());
    assert!(!home.in_store("SHARDING").exists());
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_symlink_at_the_path_of_a_shard_is_not_upgraded() {
    let home = home_of_version_0(1).await;
    fs::create_dir(home.beside("elsewhere")).unwrap();
    symlink(home.beside("elsewhere"), home.in_store("CIQAA")).unwrap();
    let error = upgrade(home.store(), 5).await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_not_a_store_is_not_changed() {
    let home = Home::new();
    let watch = |_| ControlFlow::Continue(());
    for place in ["missing", "file", "photos"] {
        let path = home.beside(place);
        match place {
            "file" => fs::write(&path, "x").unwrap(),
            "photos" => {
                fs::create_dir(&path).unwrap();
                fs::write(path.join("cat.jpeg"), "x").unwrap();
            }
            _ => {}
        }
        for error in [
            upgrade(&path, 5).await.unwrap_err(),
            downgrade(&path).await.unwrap_err(),
            recount(&path, watch).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotAStore { .. }), "{error}");
            assert_clear(&error, path.to_str().unwrap());
        }
    }
    assert_eq!(names(&home.beside("photos")), ["cat.jpeg"]);
}

#[tokio::test]
async fn foreign_files_stay() {
    let home = home(2).await;
    fs::write(home.in_store("README_ALSO"), "something").unwrap();
    downgrade(home.store()).await.unwrap();
    upgrade(home.store(), 5).await.unwrap();
    let text = fs::read_to_string(home.in_store("README_ALSO")).unwrap();
    assert_eq!(text, "something");
}

/// The disk usage that a session of version 1 stored is outdated after a session of version 0.
#[tokio::test]
async fn an_upgrade_does_not_trust_the_stored_disk_usage() {
    let home = home_of_version_0(5).await;
    let figure = r#"{"diskUsage":1,"accuracy":"initial-exact"}"#;
    fs::write(home.in_store("diskUsage.cache"), figure).unwrap();
    upgrade(home.store(), 5).await.unwrap();
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(exact_usage(&store).await, true_usage(&home.store()));
}

async fn trusted_usage(path: &Path) -> (u64, Accuracy) {
    let store = options().read_only(true).open(path).await.unwrap();
    let usage = store.disk_usage().await.unwrap();
    (usage.bytes, usage.accuracy)
}

#[tokio::test]
async fn a_recount_stores_the_true_disk_usage() {
    let home = home(30).await;
    let (path, _) = &block_files(&home)[0];
    let shard = home.in_store(path.parent().unwrap());
    fs::write(shard.join("CIQADDED.data"), "added externally").unwrap();
    let (before, _) = trusted_usage(&home.store()).await;
    let reported = Arc::new(Mutex::new(Vec::new()));
    let reporter = Arc::clone(&reported);
    let counted = recount(home.store(), move |progress| {
        reporter.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    });
    let counted = counted.await.unwrap();
    assert_eq!(counted.bytes, true_usage(&home.store()));
    assert_eq!(counted.bytes, before + 16);
    let trusted = trusted_usage(&home.store()).await;
    assert_eq!(trusted, (counted.bytes, Accuracy::Exact));
    let reported: Vec<Progress> = reported.lock().unwrap().clone();
    let last = reported.last().unwrap();
    assert_eq!((last.shards, last.blocks), (last.total_shards, 31));
    assert!(reported.is_sorted_by_key(|progress| (progress.shards, progress.blocks)));
}

#[tokio::test]
async fn a_stopped_recount_does_not_change_the_store() {
    let home = home(30).await;
    let before = trusted_usage(&home.store()).await;
    let mut calls = 0;
    let stopped = recount(home.store(), move |_| {
        calls += 1;
        assert!(calls <= 3, "the recount must stop when it is asked to");
        match calls {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(matches!(stopped.await, Err(Error::Stopped)));
    assert_eq!(trusted_usage(&home.store()).await, before);
    let watch = |_| ControlFlow::Continue(());
    let counted = recount(home.store(), watch).await.unwrap();
    assert_eq!((counted.bytes, counted.accuracy), before);
}
