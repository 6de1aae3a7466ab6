//! Moving all blocks of a store into another one.

use std::fs;
use std::path::Path;

use ds_flatfs::maintenance::{Move, SkipReason};
use ds_flatfs::{Error, Key};

use super::{block_files, check, shard};
use crate::fixtures::FIXTURES;
use crate::mounts::Mount;
use crate::platform::{set_mode, symlink};
use crate::support::{Home, blocks, contents, fill, names, options, permissions, tree};

/// Returns a home with a closed store with this shard function and this number of blocks.
async fn home_with(shard: &str, count: usize) -> Home {
    let (home, store) = Home::with_store(shard).await;
    fill(&store, &blocks(count)).await;
    store.close().await.unwrap();
    home
}

#[tokio::test]
async fn blocks_move_between_stores_with_all_functions_and_leave_an_empty_directory() {
    for fixture in FIXTURES {
        let (home, old) = fixture.unpack();
        let store = options().open(&old).await.unwrap();
        let expected = contents(&store).await;
        store.close().await.unwrap();
        for to in ["prefix/2", "suffix/3", "next-to-last/2"].map(shard) {
            let (from, new) = (home.beside("from"), home.beside("new"));
            fs::rename(if from.exists() { &from } else { &old }, &from).unwrap();
            let done = Move::new(&from, &new).shard(to).run().await.unwrap();
            assert_eq!(done.blocks, fixture.blocks as u64);
            let bytes: usize = expected.values().map(|value| value.len()).sum();
            assert_eq!(done.bytes, bytes as u64);
            assert!(done.emptied && done.skipped.is_empty());
            fs::remove_dir(&from).unwrap();
            check(&new, &expected, to).await;
            fs::rename(new, from).unwrap();
        }
    }
}

#[tokio::test]
async fn a_new_store_gets_the_shard_function_of_the_old_one() {
    let home = home_with("suffix/3", 10).await;
    let new = home.beside("new");
    let _ = Move::new(home.store(), &new).run().await.unwrap();
    check(&new, &blocks(10), shard("suffix/3")).await;
}

#[tokio::test]
async fn an_existing_target_keeps_its_function_and_its_blocks() {
    let home = home_with("next-to-last/2", 20).await;
    let new = home.beside("new");
    let options = options().shard(shard("prefix/5"));
    let store = options.create(&new).await.unwrap();
    let mut expected = blocks(30);
    // Some blocks are in both stores.
    let existing = expected
        .iter()
        .skip(12)
        .map(|(key, value)| (key.clone(), value.clone()));
    let existing = existing.collect();
    fill(&store, &existing).await;
    store.close().await.unwrap();
    let twice = blocks(20)
        .keys()
        .filter(|key| existing.contains_key(*key))
        .count() as u64;
    let done = Move::new(home.store(), &new).run().await.unwrap();
    assert_eq!((done.blocks, done.duplicates), (20 - twice, twice));
    expected.retain(|key, _| existing.contains_key(key) || blocks(20).contains_key(key));
    check(&new, &expected, shard("prefix/5")).await;
}

#[tokio::test]
async fn an_existing_target_must_have_the_requested_function() {
    let home = home_with("next-to-last/2", 3).await;
    let new = home.beside("new");
    options().create(&new).await.unwrap().close().await.unwrap();
    let before = block_files(&home.store());
    let wrong = Move::new(home.store(), &new)
        .shard(shard("prefix/2"))
        .run()
        .await;
    assert!(matches!(wrong, Err(Error::ShardMismatch { .. })));
    assert_eq!(block_files(&home.store()), before);
}

/// go-ds-flatfs moves such a file too, and replaces an existing one.
#[tokio::test]
async fn a_foreign_file_stays_in_the_old_store_which_stays_a_store() {
    let home = home_with("prefix/3", 256).await;
    fs::write(home.in_store("README_ALSO"), "something").unwrap();
    let new = home.beside("new");
    options().create(&new).await.unwrap().close().await.unwrap();
    fs::write(new.join("README_ALSO"), "mine").unwrap();
    let done = Move::new(home.store(), &new).run().await.unwrap();
    assert_eq!(
        (done.blocks, done.skipped_count, done.emptied),
        (256, 1, false)
    );
    assert_eq!(done.skipped[0].path, home.in_store("README_ALSO"));
    assert_eq!(done.skipped[0].reason, SkipReason::Foreign);
    assert_eq!(
        fs::read(home.in_store("README_ALSO")).unwrap(),
        b"something"
    );
    assert_eq!(fs::read(new.join("README_ALSO")).unwrap(), b"mine");
    check(&home.store(), &blocks(0), shard("prefix/3")).await;
    let store = options().open(&new).await.unwrap();
    assert_eq!(contents(&store).await, blocks(256));
    store.close().await.unwrap();

    fs::remove_file(home.in_store("README_ALSO")).unwrap();
    assert!(Move::new(home.store(), &new).run().await.unwrap().emptied);
    fs::remove_dir(home.store()).unwrap();
}

/// A test of go-ds-flatfs: a move that fails is undone, repeated, and completed.
#[tokio::test]
async fn a_failed_move_can_be_undone_by_a_move_back_and_completed_by_repeating_it() {
    let home = home_with("prefix/3", 256).await;
    let new = home.beside("new");
    let obstacle = || {
        let shards: Vec<_> = blocks(256)
            .keys()
            .map(|key| shard("next-to-last/2").dir(key.name()))
            .collect();
        new.join(shards.iter().max().unwrap())
    };
    options().create(&new).await.unwrap().close().await.unwrap();
    fs::write(obstacle(), "in the way").unwrap();
    let error = Move::new(home.store(), &new).run().await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error:?}");
    let moved = block_files(&new).len();
    assert!((1..256).contains(&moved), "{moved} of 256 were moved");

    let undone = Move::new(&new, home.store()).run().await.unwrap();
    assert_eq!(undone.blocks, moved as u64);
    check(&home.store(), &blocks(256), shard("prefix/3")).await;

    Move::new(home.store(), &new).run().await.unwrap_err();
    fs::remove_file(obstacle()).unwrap();
    let done = Move::new(home.store(), &new).run().await.unwrap();
    assert!(done.emptied);
    fs::remove_dir(home.store()).unwrap();
    check(&new, &blocks(256), shard("next-to-last/2")).await;
}

#[tokio::test]
async fn a_block_that_differs_in_the_new_store_stays_in_the_old_one() {
    let home = home_with("next-to-last/2", 10).await;
    let new = home.beside("new");
    options().create(&new).await.unwrap().close().await.unwrap();
    let (key, value) = blocks(10).pop_first().unwrap();
    let below = home
        .block(&key)
        .strip_prefix(home.store())
        .unwrap()
        .to_owned();
    // An interrupted copy leaves a truncated block.
    fs::create_dir(new.join(below.parent().unwrap())).unwrap();
    fs::write(new.join(&below), &value[..5]).unwrap();
    let done = Move::new(home.store(), &new).run().await.unwrap();
    assert_eq!(
        (done.blocks, done.skipped_count, done.emptied),
        (9, 1, false)
    );
    assert_eq!(
        (&done.skipped[0].path, done.skipped[0].reason),
        (&home.block(&key), SkipReason::Differs)
    );
    assert_eq!(fs::read(home.block(&key)).unwrap(), value);
    fs::remove_file(new.join(&below)).unwrap();
    assert!(Move::new(home.store(), &new).run().await.unwrap().emptied);
    check(&new, &blocks(10), shard("next-to-last/2")).await;
}

#[tokio::test]
async fn a_stray_copy_does_not_replace_the_block() {
    let home = home_with("next-to-last/2", 0).await;
    for (dir, value) in [("A", "stray"), ("12", "right")] {
        fs::create_dir(home.in_store(dir)).unwrap();
        fs::write(home.in_store(dir).join("KEY123.data"), value).unwrap();
    }
    fs::write(home.in_store("A/ALONE.data"), "alone").unwrap();
    let new = home.beside("new");
    let done = Move::new(home.store(), &new).run().await.unwrap();
    let store = options().open(&new).await.unwrap();
    let alone = store.get(&Key::new("ALONE")).await.unwrap();
    assert_eq!(alone.as_deref(), Some(&b"alone"[..]));
    let found = store.get(&Key::new("KEY123")).await.unwrap();
    assert_eq!(found.as_deref(), Some(&b"right"[..]));
    assert_eq!((done.skipped_count, done.emptied), (1, false));
    assert_eq!(fs::read(home.in_store("A/KEY123.data")).unwrap(), b"stray");
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_store_inside_the_other_is_refused_even_through_a_symlink() {
    let home = home_with("next-to-last/2", 3).await;
    let link = home.beside("link");
    symlink(home.store(), &link).unwrap();
    let before = tree(&home.store());
    let inside = home.in_store("inside");
    let above = home.beside("");
    for (old, new) in [
        (home.store(), home.store()),
        (home.store(), link.clone()),
        (link.clone(), home.store()),
        (home.store(), inside.clone()),
        (home.store(), link.join("inside")),
        (home.store(), home.in_store("../store/inside")),
        (home.store(), above.clone()),
    ] {
        let error = Move::new(&old, &new).run().await.unwrap_err();
        assert!(matches!(error, Error::Overlap { .. }), "{error:?}");
    }
    assert_eq!(tree(&home.store()), before);
}

#[tokio::test]
async fn stores_with_a_writer_are_locked() {
    let home = home_with("next-to-last/2", 3).await;
    let other = options().create(home.beside("other")).await.unwrap();
    for (old, new) in [
        (home.store(), home.beside("other")),
        (home.beside("other"), home.store()),
    ] {
        assert!(Move::new(old, new).run().await.unwrap_err().is_locked());
    }
    other.close().await.unwrap();
    check(&home.store(), &blocks(3), shard("next-to-last/2")).await;
}

#[tokio::test]
async fn a_directory_that_is_not_a_store_is_not_moved_and_no_target_is_created() {
    let home = Home::new();
    let new = home.beside("new");
    let missing = Move::new(home.store(), &new).run().await;
    assert!(matches!(missing, Err(Error::NotAStore { .. })));
    fs::create_dir(home.store()).unwrap();
    fs::write(home.in_store("file"), "").unwrap();
    let foreign = Move::new(home.store(), &new).run().await;
    assert!(matches!(foreign, Err(Error::NotAStore { .. })));
    assert!(!new.exists());
    fs::remove_file(home.in_store("file")).unwrap();
    let empty = Move::new(home.store(), &new).run().await;
    assert!(matches!(empty, Err(Error::NotAStore { .. })));
    assert!(!new.exists());
    options().create(&new).await.unwrap().close().await.unwrap();
    let done = Move::new(home.store(), &new).run().await.unwrap();
    assert!(
        done.emptied && done.was_done,
        "the result must be that of a repeated move"
    );
}

/// Each shard has one block or few blocks.
#[tokio::test]
#[cfg_attr(windows, ignore = "needs a directory on another volume: see .ci/wine")]
async fn a_move_to_another_file_system_flushes_many_shards_together() {
    let Some(mount) = Mount::other_file_system() else {
        return;
    };
    let home = home_with("next-to-last/3", 300).await;
    let (sender, progress) = std::sync::mpsc::channel();
    let moving = Move::new(home.store(), mount.path().join("new")).on_progress(move |progress| {
        sender.send(progress.blocks).unwrap();
        std::ops::ControlFlow::Continue(())
    });
    let done = moving.run().await;
    assert_eq!(done.unwrap().blocks, 300);
    let mut settled: Vec<_> = progress.iter().collect();
    settled.dedup();
    assert!(
        settled.len() <= 3,
        "one flush for each of two jobs: {settled:?}"
    );
}

#[tokio::test]
#[cfg_attr(windows, ignore = "needs a directory on another volume: see .ci/wine")]
async fn blocks_move_to_another_file_system_and_back() {
    let Some(mount) = Mount::other_file_system() else {
        return;
    };
    let home = home_with("next-to-last/2", 1500).await;
    let (key, _) = blocks(1500).pop_first().unwrap();
    if cfg!(unix) {
        set_mode(&home.block(&key), 0o664);
    }
    let mode = permissions(&home.block(&key));
    let new = mount.path().join("new");
    let done = Move::new(home.store(), &new)
        .shard(shard("prefix/6"))
        .run()
        .await
        .unwrap();
    assert_eq!(
        (done.blocks, done.duplicates, done.emptied),
        (1500, 0, true)
    );
    assert_eq!(names(&home.store()), [""; 0]);
    check(&new, &blocks(1500), shard("prefix/6")).await;
    let moved = |root: &Path, by: &str| root.join(crate::support::block_path(shard(by), &key));
    assert_eq!(permissions(&moved(&new, "prefix/6")), mode);
    let _ = Move::new(&new, home.store())
        .shard(shard("suffix/1"))
        .run()
        .await
        .unwrap();
    check(&home.store(), &blocks(1500), shard("suffix/1")).await;
    assert_eq!(permissions(&moved(&home.store(), "suffix/1")), mode);
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_move_stops_on_a_full_file_system_and_can_be_completed_with_more_space() {
    let Some(mount) = Mount::tmpfs("size=2m") else {
        return;
    };
    let home = home_with("next-to-last/2", 10).await;
    let value = crate::support::random_bytes(99, 3 << 20);
    let big = crate::support::key_of(&value);
    let store = options().open(home.store()).await.unwrap();
    store.put(&big, value.clone()).await.unwrap();
    store.close().await.unwrap();
    let new = mount.path().join("new");
    let error = Move::new(home.store(), &new).run().await.unwrap_err();
    assert!(error.is_full(), "{error:?}");
    let mut expected = blocks(10);
    expected.insert(big, value);
    assert_eq!(names(&new.join(".temp")), [""; 0]);
    let found = block_files(&new).len() + block_files(&home.store()).len();
    assert_eq!(found, expected.len(), "each block is in one of the stores");
    mount.grow("size=16m");
    let _ = Move::new(home.store(), &new).run().await.unwrap();
    check(&new, &expected, shard("next-to-last/2")).await;
}

#[tokio::test]
async fn temp_files_of_old_versions_stay_and_are_not_counted_as_skipped() {
    let home = home_with("next-to-last/2", 20).await;
    let dir = home.block(blocks(1).keys().next().unwrap());
    let left_over = dir.parent().unwrap().join("put-913948571");
    fs::write(&left_over, "half a block").unwrap();
    let new = home.beside("new");
    let done = Move::new(home.store(), &new).run().await.unwrap();
    assert_eq!((done.blocks, done.skipped_count), (20, 0));
    assert_eq!((done.left_over_count, done.emptied), (1, false));
    assert_eq!(done.left_over[0].path, left_over);
    assert_eq!(done.left_over[0].reason, SkipReason::LeftOver);
    assert_eq!(fs::read(&left_over).unwrap(), b"half a block");
    check(&new, &blocks(20), shard("next-to-last/2")).await;
}
