//! Changing the shard function of a store.

use std::fs;
use std::path::Path;

use ds_flatfs::maintenance::{Move, Phase, Reshard, SkipReason, Skipped};
use ds_flatfs::{Error, FlatFs, Key};

use super::{SHARDS, check, has_readme, shard};
use crate::fixtures::FIXTURES;
use crate::platform::symlink;
use crate::support::{Home, assert_clear, block, blocks, contents, fill, options, tree};

const INTERRUPTED: &str =
    "/repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/3; whatever\n";

#[tokio::test]
async fn stores_of_other_programs_can_be_resharded_to_all_functions_and_back() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        // The directories may have had another size on the file system where the store was written.
        fs::remove_file(path.join("diskUsage.cache")).unwrap();
        let store = options().open(&path).await.unwrap();
        let expected = contents(&store).await;
        store.close().await.unwrap();
        let modes = |path: &Path| -> Vec<u32> {
            let nodes = tree(path).into_iter();
            let blocks =
                nodes.filter(|(path, _)| path.extension().is_some_and(|end| end == "data"));
            let mut found: Vec<_> = blocks
                .map(|(path, node)| (path.file_name().unwrap().to_owned(), node.mode))
                .collect();
            found.sort();
            found.into_iter().map(|(_, mode)| mode).collect()
        };
        let before = modes(&path);
        let functions = SHARDS.map(shard).into_iter().chain([fixture.shard()]);
        for to in functions {
            let done = Reshard::new(&path, to).run().await.unwrap();
            assert_eq!((done.to, done.skipped_count), (to, 0));
            assert_eq!(done.was_done, done.from == to);
            check(&path, &expected, to).await;
            assert_eq!(has_readme(&path), to == shard("next-to-last/2"));
            let leftovers = tree(&path);
            let empty = leftovers.keys().filter(|dir| path.join(dir).is_dir());
            let mut empty = empty.filter(|dir| fs::read_dir(path.join(dir)).unwrap().count() == 0);
            assert_eq!(empty.next(), Some(&".temp".into()));
            assert_eq!(empty.next(), None, "no empty shard directory must remain");
        }
        assert_eq!(modes(&path), before);
    }
}

#[tokio::test]
async fn a_resharding_to_the_current_function_does_nothing() {
    let home = Home::with_closed_store().await;
    let before = tree(&home.store());
    let done = Reshard::new(home.store(), shard("next-to-last/2"))
        .run()
        .await;
    let done = done.unwrap();
    assert!(done.was_done);
    assert_eq!(done.moved, 0);
    assert_eq!(tree(&home.store()), before);
}

#[tokio::test]
async fn every_call_refuses_a_store_with_an_interrupted_resharding() {
    let home = Home::with_closed_store().await;
    fs::write(home.in_store("SHARDING"), INTERRUPTED).unwrap();
    // An interrupted re-sharding leaves no stored disk usage.
    fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    let before = tree(&home.store());
    let read_only = options().read_only(true);
    let opened = [
        options().open(home.store()).await,
        read_only.open(home.store()).await,
        options().create(home.store()).await,
        options().open_or_create(home.store()).await,
    ];
    for opened in opened {
        let error = opened.unwrap_err();
        assert!(matches!(error, Error::Resharding { .. }), "{error:?}");
        assert_clear(&error, "flatfs reshard");
        assert_clear(&error, "next-to-last/2");
        assert_eq!(error.path(), Some(home.store().as_path()));
    }
    let other = home.beside("other");
    options()
        .create(&other)
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    for (old, new) in [(home.store(), other.clone()), (other, home.store())] {
        let error = Move::new(old, new).run().await.unwrap_err();
        assert!(matches!(error, Error::Resharding { .. }), "{error:?}");
    }
    assert_eq!(tree(&home.store()), before);
    let _ = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap();
    let (key, value) = block(0);
    check(&home.store(), &[(key, value)].into(), shard("prefix/3")).await;
}

#[tokio::test]
async fn a_resharding_of_another_version_is_refused_and_not_changed() {
    let home = Home::with_closed_store().await;
    fs::write(
        home.in_store("SHARDING"),
        "/repo/flatfs/shard/resharding/7 x\n",
    )
    .unwrap();
    let before = tree(&home.store());
    let errors = [
        options().open(home.store()).await.unwrap_err(),
        Reshard::new(home.store(), shard("prefix/3"))
            .run()
            .await
            .unwrap_err(),
    ];
    for error in errors {
        let is_known = matches!(error, Error::UnknownReshardMarker { version: 7, .. });
        assert!(is_known, "{error:?}");
        assert_clear(&error, "version 7");
    }
    assert_eq!(tree(&home.store()), before);
}

#[tokio::test]
async fn a_store_with_a_writer_is_locked() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let error = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap_err();
    assert!(error.is_locked());
    store.close().await.unwrap();
    let _ = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_directory_that_is_not_a_store_is_refused() {
    let home = Home::new();
    let missing = Reshard::new(home.store(), shard("prefix/3")).run().await;
    assert!(matches!(missing, Err(Error::NotAStore { .. })));
    assert!(!home.store().exists());
    fs::create_dir(home.store()).unwrap();
    let empty = Reshard::new(home.store(), shard("prefix/3")).run().await;
    assert!(matches!(empty, Err(Error::NotAStore { .. })));
    fs::write(home.in_store("file"), "").unwrap();
    let foreign = Reshard::new(home.store(), shard("prefix/3")).run().await;
    assert!(matches!(foreign, Err(Error::NotAStore { .. })));
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_foreign_file_stays_and_is_reported() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let expected = blocks(20);
    fill(&store, &expected).await;
    store.close().await.unwrap();
    let first = home.block(expected.keys().next().unwrap());
    let in_shard = first.with_file_name("notes.txt");
    let link = first.with_file_name("LINK.data");
    let foreign = [
        home.in_store("notes"),
        home.in_store("lower"),
        in_shard,
        link,
    ];
    fs::write(&foreign[0], "x").unwrap();
    fs::create_dir(&foreign[1]).unwrap();
    fs::write(foreign[1].join("KEY.data"), "x").unwrap();
    fs::write(&foreign[2], "x").unwrap();
    symlink("/nowhere", &foreign[3]).unwrap();
    let done = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap();
    let mut kept: Vec<_> = done
        .skipped
        .iter()
        .map(|skipped| skipped.path.clone())
        .collect();
    kept.sort();
    let mut wanted = foreign.to_vec();
    wanted.sort();
    assert_eq!((kept, done.skipped_count), (wanted, 4));
    assert!(
        done.skipped
            .iter()
            .all(|skipped| skipped.reason == SkipReason::Foreign)
    );
    assert!(
        foreign
            .iter()
            .all(|path| fs::symlink_metadata(path).is_ok())
    );
    // A query reports the same.
    fs::remove_file(&foreign[3]).unwrap();
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(contents(&store).await, expected);
}

/// A tool may have copied blocks to the paths of another shard function.
#[tokio::test]
async fn a_block_at_its_old_path_wins_over_a_stray_copy_at_its_new_path() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let path = |name: &str| home.in_store(name);
    for key in ["SAME12", "OTHER34", "MOVED56"] {
        store
            .put(&Key::new(key), key.to_owned().into())
            .await
            .unwrap();
    }
    store.close().await.unwrap();
    for dir in ["SA", "OT", "X"] {
        fs::create_dir(path(dir)).unwrap();
    }
    fs::write(path("SA/SAME12.data"), "SAME12").unwrap();
    fs::write(path("OT/OTHER34.data"), "OTHER3").unwrap();
    // A copy that was at neither of the paths.
    fs::write(path("X/LOST78.data"), "LOST78").unwrap();
    let done = Reshard::new(home.store(), shard("prefix/2"))
        .run()
        .await
        .unwrap();
    assert_eq!((done.duplicates, done.skipped_count), (1, 1));
    let Skipped {
        path: aside,
        reason,
        ..
    } = &done.skipped[0];
    assert_eq!(
        (aside, *reason),
        (&path("OT/OTHER34.kept"), SkipReason::Differs)
    );
    assert_eq!(fs::read(aside).unwrap(), b"OTHER3");
    let store = options().open(home.store()).await.unwrap();
    for key in ["SAME12", "OTHER34", "MOVED56", "LOST78"] {
        let found = store.get(&Key::new(key)).await.unwrap();
        assert_eq!(found.as_deref(), Some(key.as_bytes()));
    }
    assert_eq!(contents(&store).await.len(), 4);
}

#[tokio::test]
async fn a_file_at_the_path_of_a_shard_directory_stops_a_resharding_without_loss() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let expected = blocks(5);
    fill(&store, &expected).await;
    store.close().await.unwrap();
    fs::write(home.in_store("CIQ"), "a file").unwrap();
    let error = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error:?}");
    fs::remove_file(home.in_store("CIQ")).unwrap();
    let done = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap();
    assert_eq!(done.moved, 5);
    check(&home.store(), &expected, shard("prefix/3")).await;
}

#[tokio::test]
async fn a_resharding_reports_its_progress_and_the_total() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(50)).await;
    store.close().await.unwrap();
    let shards = fs::read_dir(home.store()).unwrap();
    let shards = shards.filter(|entry| {
        let entry = entry.as_ref().unwrap();
        entry.file_type().unwrap().is_dir() && entry.file_name() != ".temp"
    });
    let shards = shards.count() as u64;
    let (sender, progress) = std::sync::mpsc::channel();
    let reshard = Reshard::new(home.store(), shard("suffix/1")).on_progress(move |progress| {
        sender.send(progress).unwrap();
        std::ops::ControlFlow::Continue(())
    });
    let done = reshard.run().await.unwrap();
    let last = progress.iter().last().unwrap();
    assert_eq!((last.blocks, last.total_shards), (done.moved, shards));
    assert_eq!(last.shards, shards);
    assert_eq!(last.phase, Phase::Closing);
}

/// A reader that opened the store before the re-sharding must not use the old function afterwards.
#[tokio::test]
async fn an_old_reader_reports_the_resharding_and_a_new_one_finds_all_blocks() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let expected = blocks(10);
    fill(&store, &expected).await;
    store.close().await.unwrap();
    let before: FlatFs = options().read_only(true).open(home.store()).await.unwrap();
    let _ = Reshard::new(home.store(), shard("prefix/3"))
        .run()
        .await
        .unwrap();
    let (key, value) = expected.iter().next().unwrap();
    let error = before.get(key).await.unwrap_err();
    assert!(matches!(error, Error::ShardMismatch { .. }), "{error}");
    let after = options().open(home.store()).await.unwrap();
    assert_eq!(after.get(key).await.unwrap().as_ref(), Some(value));
}

/// Each block may be where any of the functions says that the store was on its way to, and where a copying
/// tool has put another one.
#[tokio::test]
async fn no_stray_copy_replaces_the_block_when_a_resharding_continues_to_another_function() {
    const DIRS: [&str; 3] = ["D5", "MO", "56"];
    const KEY: &str = "MOVED56";
    // Which of the directories have a file of that name. The block is in the first of them: what a store
    // has by its old function is the block, and it is moved by way of the second directory.
    for copies in 1..8_u32 {
        let (home, store) = Home::with_store("next-to-last/2").await;
        store.close().await.unwrap();
        let has = |index: usize| copies & (1 << index) != 0;
        for (index, dir) in DIRS.iter().enumerate().filter(|(index, _)| has(*index)) {
            fs::create_dir(home.in_store(dir)).unwrap();
            let path = home.in_store(dir).join(format!("{KEY}.data"));
            fs::write(path, format!("copy {index}")).unwrap();
        }
        let marker = "/repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/2; \
                      run \"flatfs reshard\" again to complete it\n";
        fs::write(home.in_store("SHARDING"), marker).unwrap();
        let to = shard("suffix/2");
        let done = Reshard::new(home.store(), to).run().await.unwrap();
        let expected = (0..3).find(|index| has(*index)).unwrap();
        let store = options().open(home.store()).await.unwrap();
        let found = store.get(&Key::new(KEY)).await.unwrap();
        assert_eq!(found.unwrap(), format!("copy {expected}"), "{copies:b}");
        // The others are beside it.
        let strays = u64::from(copies.count_ones()) - 1;
        assert_eq!(done.skipped_count, strays, "{copies:b}: {:?}", done.skipped);
    }
}

#[tokio::test]
async fn temp_files_of_old_versions_are_reported_and_not_counted_as_skipped() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(20)).await;
    store.close().await.unwrap();
    let dir = home.block(blocks(1).keys().next().unwrap());
    let left_over = dir.parent().unwrap().join("put-913948571");
    fs::write(&left_over, "half a block").unwrap();
    let done = Reshard::new(home.store(), shard("prefix/3")).run();
    let done = done.await.unwrap();
    assert_eq!((done.skipped_count, done.left_over_count), (0, 1));
    assert_eq!(done.left_over[0].path, left_over);
    assert_eq!(done.left_over[0].reason, SkipReason::LeftOver);
    assert_eq!(fs::read(&left_over).unwrap(), b"half a block");
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(contents(&store).await, blocks(20));
}
