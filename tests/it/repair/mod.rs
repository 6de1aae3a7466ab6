//! Repairs: what they repair, and what they do not touch.

mod copies;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::cid::Cid;
use ds_flatfs::maintenance::{Finding, Problem, Remedy, Repair, Verify};
use ds_flatfs::{FlatFs, Key, Result, Shard};
use futures::stream;

use crate::fixtures::FIXTURES;
use crate::support::{
    Home, block, block_path, contents, dir_size_slack, exact_usage, names, options, tree,
    true_usage,
};
use crate::verify::{Found, all, commit, damage, found, store_of, verify};

/// Runs a repair, and returns its findings.
async fn repair(store: &Path) -> Vec<Finding> {
    all(&mut Repair::new(store).start().await.unwrap()).await
}

/// Runs a repair with these good copies, and returns its findings.
async fn repair_from(store: &Path, copies: Vec<Result<(Cid, Bytes)>>) -> Vec<Finding> {
    let repair = Repair::new(store).copies(stream::iter(copies));
    all(&mut repair.start().await.unwrap()).await
}

/// Returns the remedies by path.
fn remedies(store: &Path, findings: &[Finding]) -> BTreeMap<PathBuf, Remedy> {
    let relative = |path: &Path| path.strip_prefix(store).unwrap().to_owned();
    let remedied = findings.iter().filter_map(|finding| {
        let remedy = match finding.remedy.clone()? {
            Remedy::Quarantined(to) => Remedy::Quarantined(relative(&to)),
            Remedy::Moved(to) => Remedy::Moved(relative(&to)),
            other => other,
        };
        Some((relative(&finding.path), remedy))
    });
    remedied.collect()
}

fn quarantined(key: &Key) -> Remedy {
    let name = key.as_str().trim_start_matches('/');
    Remedy::Quarantined(Path::new(".quarantine").join(format!("{name}.data")))
}

fn cid_of(key: &Key) -> Cid {
    Cid::new_v1(0x55, key.to_multihash().unwrap())
}

async fn read(store: &Path) -> BTreeMap<Key, Bytes> {
    let store = FlatFs::options().read_only(true).open(store).await.unwrap();
    let found = contents(&store).await;
    store.close().await.unwrap();
    found
}

#[tokio::test]
async fn a_repair_moves_good_blocks_to_their_paths_and_damaged_ones_to_the_quarantine() {
    for fixture in FIXTURES {
        let (home, path) = fixture.unpack();
        let mut blocks = read(&path).await;
        let keys: Vec<Key> = blocks.keys().cloned().collect();
        let expected = damage(&home, fixture.shard(), &keys, &path);
        commit(&path, 1000);
        let before = tree(&path);
        let findings = repair(&path).await;

        let lost: BTreeSet<&Key> = findings
            .iter()
            .filter(|finding| matches!(finding.problem, Problem::Lost))
            .map(|finding| finding.key.as_ref().unwrap())
            .collect();
        assert_eq!(lost, keys[..3].iter().collect());
        let wrong = findings.iter().filter(|finding| finding.is_wrong());
        let wrong: Vec<&str> = wrong.map(|finding| finding.problem.name()).collect();
        assert_eq!(wrong.iter().filter(|name| **name != "lost").count(), 1);
        assert!(wrong.contains(&"obstacle"), "{wrong:?}");

        // A verification now finds only what a repair does not touch, and lost blocks.
        let mut left = expected.clone();
        left.retain(|_, name| ["foreign", "obstacle"].contains(name));
        let mut found = verify(&path).await;
        for key in &lost {
            let finding = found.remove(&block_path(fixture.shard(), key));
            assert_eq!(finding, Some("lost"), "{key}");
        }
        let shard = "Z".repeat(fixture.shard().dir("").len());
        assert!(path.join(shard).is_dir(), "no directory must be removed");
        assert_eq!(found, left);

        let link = path.join(link_in(&expected));
        let removed = if link.is_dir() {
            fs::remove_dir(link)
        } else {
            fs::remove_file(link)
        };
        removed.unwrap();
        blocks.retain(|key, _| !lost.contains(key));
        blocks.extend([block(1000)]);
        assert_eq!(read(&path).await, blocks);

        // Moved files have the same contents, and everything else is unchanged.
        let after = tree(&path);
        for (from, remedy) in remedies(&path, &findings) {
            if let Remedy::Quarantined(to) | Remedy::Moved(to) = remedy {
                assert_eq!(after[&to].contents, before[&from].contents);
            }
        }
        for foreign in left.keys().filter(|path| *path != &link_in(&expected)) {
            assert_eq!(after[foreign], before[foreign], "{foreign:?}");
        }
    }
}

fn link_in(found: &Found) -> PathBuf {
    let mut obstacles = found.iter().filter(|(_, name)| **name == "obstacle");
    obstacles.next().unwrap().0.clone()
}

#[tokio::test]
async fn temp_files_of_old_versions_are_left_over_and_go_into_quarantine() {
    let (home, blocks) = store_of(20).await;
    let dir = home.block(&blocks[0].0).parent().unwrap().to_owned();
    let other = home.block(&blocks[1].0).parent().unwrap().to_owned();
    for dir in [&dir, &other] {
        fs::write(dir.join("put-913948571"), "half a block").unwrap();
    }
    let found = verify(&home.store()).await;
    assert_eq!(found.values().copied().collect::<Vec<_>>(), ["leftover"; 2]);
    let findings = repair(&home.store()).await;
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|finding| !finding.is_wrong()));
    for name in ["put-913948571", "2/put-913948571"] {
        let quarantined = home.in_store(".quarantine").join(name);
        assert_eq!(fs::read(quarantined).unwrap(), b"half a block");
    }
    assert_eq!(verify(&home.store()).await, Found::new());
    let store = options().open(home.store()).await.unwrap();
    let figure = exact_usage(&store).await;
    store.close().await.unwrap();
    let slack = dir_size_slack(&home.store());
    assert!(figure.abs_diff(true_usage(&home.store())) <= slack);
}

#[tokio::test]
async fn a_store_with_a_quarantine_works_and_does_not_count_it() {
    let (home, blocks) = store_of(20).await;
    for (key, _) in &blocks[..5] {
        fs::write(home.block(key), vec![7; 100_000]).unwrap();
    }
    // Make the open count the files as they are now.
    fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    let store = options().open(home.store()).await.unwrap();
    exact_usage(&store).await;
    store.close().await.unwrap();
    repair(&home.store()).await;

    let store = options().open(home.store()).await.unwrap();
    assert_eq!(
        contents(&store).await,
        blocks[5..].iter().cloned().collect()
    );
    let stored_usage = exact_usage(&store).await;
    assert_eq!(
        stored_usage,
        true_usage(&home.store()),
        "the disk usage that the repair stored"
    );
    store.close().await.unwrap();
    fs::remove_file(home.in_store("diskUsage.cache")).unwrap();
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(
        exact_usage(&store).await,
        stored_usage,
        "the counted disk usage"
    );
    let (key, value) = &blocks[0];
    store.put(key, value.clone()).await.unwrap();
    assert_eq!(store.get(key).await.unwrap().as_ref(), Some(value));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_block_that_is_only_in_the_quarantine_is_lost() {
    let (home, blocks) = store_of(5).await;
    for (key, _) in &blocks[..3] {
        fs::write(home.block(key), b"damaged").unwrap();
    }
    repair(&home.store()).await;
    let lost = |blocks: &[(Key, Bytes)]| -> Found {
        let keys = blocks.iter().map(|(key, _)| key);
        keys.map(|key| (block_path(Shard::default(), key), "lost"))
            .collect()
    };
    assert_eq!(verify(&home.store()).await, lost(&blocks[..3]));

    let store = options().open(home.store()).await.unwrap();
    let (key, value) = &blocks[0];
    store.put(key, value.clone()).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(verify(&home.store()).await, lost(&blocks[1..3]));

    let (key, value) = &blocks[1];
    repair_from(&home.store(), vec![Ok((cid_of(key), value.clone()))]).await;
    assert_eq!(verify(&home.store()).await, lost(&blocks[2..3]));

    fs::remove_dir_all(home.in_store(".quarantine")).unwrap();
    assert_eq!(verify(&home.store()).await, Found::new());
}

#[tokio::test]
async fn every_lost_block_is_reported() {
    const LOST: usize = 2500;
    let (home, _) = store_of(1).await;
    fs::create_dir_all(home.in_store(".quarantine/2")).unwrap();
    for number in 0..LOST {
        fs::write(home.in_store(format!(".quarantine/{number:04}.data")), "").unwrap();
    }
    fs::write(home.in_store(".quarantine/note.txt"), "mine").unwrap();
    for quick in [false, true] {
        let verify = Verify::new(home.store()).quick(quick).start();
        let findings = all(&mut verify.await.unwrap()).await;
        let found = found(&home.store(), &findings);
        assert_eq!(found.len(), LOST);
        assert!(found.values().all(|name| *name == "lost"), "{found:?}");
    }
}

#[tokio::test]
async fn a_file_at_the_path_of_the_quarantine_is_reported_as_an_obstacle() {
    let (home, _) = store_of(1).await;
    fs::write(home.in_store(".quarantine"), "").unwrap();
    let expected = Found::from([(PathBuf::from(".quarantine"), "obstacle")]);
    assert_eq!(verify(&home.store()).await, expected);
    let repaired = repair(&home.store()).await;
    assert_eq!(found(&home.store(), &repaired), expected);
}

#[tokio::test]
async fn a_second_damaged_copy_of_a_block_gets_another_path_in_the_quarantine() {
    let (home, blocks) = store_of(3).await;
    let (key, value) = &blocks[0];
    let name = key.as_str().trim_start_matches('/');
    for (contents, copy) in [("one", ""), ("two", "2/"), ("three", "3/")] {
        fs::write(home.block(key), contents).unwrap();
        let copies = vec![Ok((cid_of(key), value.clone()))];
        repair_from(&home.store(), copies).await;
        let copy = home.in_store(format!(".quarantine/{copy}{name}.data"));
        assert_eq!(fs::read_to_string(copy).unwrap(), contents);
        assert_eq!(fs::read(home.block(key)).unwrap(), *value);
    }
    assert_eq!(names(&home.in_store(".quarantine")).len(), 3);
}

#[tokio::test]
async fn a_misplaced_good_block_replaces_a_damaged_one() {
    let (home, blocks) = store_of(3).await;
    let (key, value) = &blocks[0];
    let stray = home.in_store(home.block(key).file_name().unwrap());
    fs::rename(home.block(key), &stray).unwrap();
    fs::write(home.block(key), b"damaged").unwrap();
    let findings = repair(&home.store()).await;
    let path = block_path(Shard::default(), key);
    let done = remedies(&home.store(), &findings);
    assert_eq!(done[&path], quarantined(key));
    let name = PathBuf::from(path.file_name().unwrap());
    assert_eq!(done[&name], Remedy::Moved(path));
    assert_eq!(fs::read(home.block(key)).unwrap(), *value);
    assert_eq!(findings.iter().filter(|it| it.is_wrong()).count(), 0);
}

#[tokio::test]
async fn a_misplaced_copy_goes_to_the_quarantine_only_if_it_is_equal() {
    let home = Home::with_closed_store().await;
    let store = options().open(home.store()).await.unwrap();
    let (same, other) = (Key::new("SAME"), Key::new("OTHER"));
    for key in [&same, &other] {
        store.put(key, Bytes::from("block")).await.unwrap();
    }
    store.close().await.unwrap();
    fs::write(home.in_store("SAME.data"), "block").unwrap();
    fs::write(home.in_store("OTHER.data"), "another").unwrap();
    let findings = repair(&home.store()).await;
    let done = remedies(&home.store(), &findings);
    assert_eq!(done[Path::new("SAME.data")], quarantined(&same));
    let wrong: Vec<_> = findings.into_iter().filter(Finding::is_wrong).collect();
    let expected = [(PathBuf::from("OTHER.data"), "conflict")];
    assert_eq!(found(&home.store(), &wrong), Found::from(expected));
    assert_eq!(fs::read(home.in_store("OTHER.data")).unwrap(), b"another");
    assert_eq!(fs::read(home.block(&other)).unwrap(), b"block");
}
