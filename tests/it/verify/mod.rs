//! Verification: what it finds, and that it changes nothing.

mod findings;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use ds_flatfs::maintenance::{Finding, Findings, Problem, Verify};
use ds_flatfs::{Error, FlatFs, Key, Shard};
use futures::StreamExt;

use crate::fixtures::FIXTURES;
use crate::mounts::Mount;
use crate::platform::symlink;
use crate::support::{
    Home, block, block_path, blocks, contents, fill, key_of, options, random_bytes, tree,
};

/// The names of problems by path.
pub(crate) type Found = BTreeMap<PathBuf, &'static str>;

/// Returns all findings of a stream, none of which is an error.
pub(crate) async fn all(findings: &mut Findings) -> Vec<Finding> {
    findings.map(|finding| finding.unwrap()).collect().await
}

pub(crate) fn found(store: &Path, findings: &[Finding]) -> Found {
    let named = |finding: &Finding| {
        let path = finding.path.strip_prefix(store).unwrap();
        (path.to_owned(), finding.problem.name())
    };
    let found: Found = findings.iter().map(named).collect();
    assert_eq!(
        found.len(),
        findings.len(),
        "there must be one finding per path"
    );
    found
}

/// Returns the findings of a verification.
pub(crate) async fn verify(store: &Path) -> Found {
    let mut findings = Verify::new(store).start().await.unwrap();
    found(store, &all(&mut findings).await)
}

/// Returns a closed store with the first `count` blocks.
pub(crate) async fn store_of(count: usize) -> (Home, Vec<(Key, Bytes)>) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let blocks = blocks(count);
    fill(&store, &blocks).await;
    store.close().await.unwrap();
    (home, blocks.into_iter().collect())
}

/// Damages the first blocks in every way, and returns the expected findings by path.
pub(crate) fn damage(home: &Home, shard: Shard, keys: &[Key], store: &Path) -> Found {
    let at = |index: usize| block_path(shard, &keys[index]);
    let mut found = Found::new();
    let mut flipped = fs::read(store.join(at(0))).unwrap();
    flipped[0] ^= 1;
    fs::write(store.join(at(0)), flipped).unwrap();
    found.insert(at(0), "corrupt");
    let cut = fs::read(store.join(at(1))).unwrap();
    fs::write(store.join(at(1)), &cut[..cut.len() / 2]).unwrap();
    found.insert(at(1), "corrupt");
    fs::write(store.join(at(2)), b"").unwrap();
    found.insert(at(2), "empty");
    // Move blocks into another shard and into the root.
    let name = |index: usize| at(index).file_name().unwrap().to_owned();
    let other = Path::new(&"Z".repeat(shard.dir("").len())).join(name(3));
    fs::create_dir_all(store.join(other.parent().unwrap())).unwrap();
    fs::rename(store.join(at(3)), store.join(&other)).unwrap();
    found.insert(other, "misplaced");
    fs::rename(store.join(at(4)), store.join(name(4))).unwrap();
    found.insert(name(4).into(), "misplaced");
    fs::copy(store.join(at(5)), store.join(name(5))).unwrap();
    found.insert(name(5).into(), "duplicate");
    for foreign in ["note.txt", ".hidden", "SHARDING~"] {
        fs::write(store.join(foreign), b"mine").unwrap();
        found.insert(foreign.into(), "foreign");
    }
    let in_shard = at(5).with_file_name("note.txt");
    fs::write(store.join(&in_shard), b"mine").unwrap();
    found.insert(in_shard, "foreign");
    fs::create_dir(store.join("lost+found")).unwrap();
    found.insert("lost+found".into(), "foreign");
    let link = at(5).with_file_name("LINK.data");
    if cfg!(windows) {
        fs::create_dir(store.join(&link)).unwrap();
    } else {
        symlink(home.beside("elsewhere"), store.join(&link)).unwrap();
    }
    found.insert(link, "obstacle");
    fs::write(store.join(".temp/write-7"), b"half").unwrap();
    found.insert(".temp/write-7".into(), "leftover");
    found
}

/// Creates the directory of a batch that was committed and not applied, with the block of this seed.
pub(crate) fn commit(store: &Path, seed: u64) -> PathBuf {
    let (key, value) = block(seed);
    let name = key.as_str().trim_start_matches('/');
    let batch = Path::new(".temp/batch-c0ffee");
    fs::create_dir(store.join(batch)).unwrap();
    fs::write(store.join(batch).join(format!("{name}.data")), &value).unwrap();
    let record = format!("flatfs commit 1\nput {} {name}\n", value.len());
    let sum = crc32fast::hash(record.as_bytes());
    let record = format!("{record}crc32 {sum:08x}\n");
    fs::write(store.join(batch).join("COMMIT"), record).unwrap();
    batch.join("COMMIT")
}

#[tokio::test]
async fn stores_of_other_programs_have_no_findings() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let before = tree(&path);
        for quick in [false, true] {
            let mut findings = Verify::new(&path).quick(quick).start().await.unwrap();
            let found = all(&mut findings).await;
            assert!(found.is_empty(), "{found:?}");
            let summary = findings.summary();
            assert_eq!(summary.blocks, fixture.blocks as u64);
            let is_block = |path: &Path| path.extension().is_some_and(|it| it == "data");
            let nodes = before.iter().filter(|(path, _)| is_block(path));
            let bytes: usize = nodes
                .map(|(_, it)| it.contents.as_ref().unwrap().len())
                .sum();
            assert_eq!(summary.bytes, bytes as u64);
            assert_eq!((summary.wrong, summary.findings.len()), (0, 0));
        }
        assert_eq!(tree(&path), before);
    }
}

#[tokio::test]
async fn every_kind_of_damage_is_reported_and_not_changed() {
    for fixture in FIXTURES {
        let (home, path) = fixture.unpack();
        let store = FlatFs::options().read_only(true).open(&path).await.unwrap();
        let keys: Vec<Key> = contents(&store).await.into_keys().collect();
        store.close().await.unwrap();
        let mut expected = damage(&home, fixture.shard(), &keys, &path);
        expected.insert(commit(&path, 1000), "pending-commit");
        let before = tree(&path);
        let mut findings = Verify::new(&path).start().await.unwrap();
        assert_eq!(found(&path, &all(&mut findings).await), expected);
        let count = |name: &str| expected.values().filter(|it| **it == name).count() as u64;
        let summary = findings.summary();
        for (name, found) in &summary.findings {
            assert_eq!(count(name), *found, "{name}");
        }
        assert_eq!(
            summary.wrong,
            expected.len() as u64 - count("foreign") - count("leftover")
        );
        assert_eq!(tree(&path), before);
    }
}

#[tokio::test]
async fn a_quick_verification_finds_what_names_and_sizes_show() {
    let (home, blocks) = store_of(10).await;
    let keys: Vec<Key> = blocks.into_iter().map(|(key, _)| key).collect();
    let mut expected = damage(&home, Shard::default(), &keys, &home.store());
    expected.retain(|_, name| *name != "corrupt");
    let quick = Verify::new(home.store()).quick(true).start();
    let findings = all(&mut quick.await.unwrap()).await;
    assert_eq!(found(&home.store(), &findings), expected);
}

#[tokio::test]
async fn an_empty_block_is_correct_under_the_key_of_an_empty_value() {
    let home = Home::with_closed_store().await;
    let store = options().open(home.store()).await.unwrap();
    store.put(&key_of(b""), Bytes::new()).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(verify(&home.store()).await, Found::new());
}

#[tokio::test]
async fn blocks_that_cannot_be_checked_are_reported_as_notes() {
    let home = Home::with_closed_store().await;
    let store = options().open(home.store()).await.unwrap();
    let unknown = [&[0xb4, 0x24, 0x20][..], &[7; 32]].concat();
    let short = [&[0x12, 0x04][..], &[7; 4]].concat();
    let hashes = [unknown, short].map(|hash| Key::new(BASE32_NOPAD.encode(&hash)));
    for key in hashes.iter().chain([&Key::new("NAME")]) {
        store.put(key, random_bytes(1, 10)).await.unwrap();
    }
    store.close().await.unwrap();
    let mut findings = Verify::new(home.store()).start().await.unwrap();
    let notes = all(&mut findings).await;
    assert_eq!(notes.len(), 3);
    for note in &notes {
        assert!(matches!(note.problem, Problem::Unchecked(_)), "{note}");
        assert!(!note.is_wrong());
    }
    assert_eq!(findings.summary().wrong, 0);
}

#[tokio::test]
async fn the_summary_counts_unchecked_blocks_by_hash_function() {
    let home = Home::with_closed_store().await;
    let store = options().open(home.store()).await.unwrap();
    let unknown = |byte| [&[0xb4, 0x24, 0x20][..], &[byte; 32]].concat();
    let short = [&[0x12, 0x04][..], &[7; 4]].concat();
    let hashes = [unknown(7), unknown(8), short].map(|hash| Key::new(BASE32_NOPAD.encode(&hash)));
    for key in hashes.iter().chain([&Key::new("NAME")]) {
        store.put(key, random_bytes(1, 10)).await.unwrap();
    }
    store.put(&key_of(b"x"), Bytes::from("x")).await.unwrap();
    store.close().await.unwrap();
    // A block in the wrong shard is reported as misplaced, and is unchecked nevertheless.
    let name = block_path(Shard::default(), &hashes[0]);
    let misplaced = home.store().join(name.file_name().unwrap());
    fs::rename(home.store().join(&name), misplaced).unwrap();
    for quick in [false, true] {
        let mut findings = Verify::new(home.store())
            .quick(quick)
            .start()
            .await
            .unwrap();
        all(&mut findings).await;
        let summary = findings.summary();
        assert_eq!((summary.blocks, summary.unchecked), (6, 4));
        let functions = [("0x1234", 2), ("0x12", 1), ("no-hash", 1)];
        let functions = functions.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(summary.unchecked_functions, BTreeMap::from(functions));
    }
}

#[tokio::test]
async fn keys_of_whole_cids_in_older_repos_are_checked() {
    let home = Home::with_closed_store().await;
    let multihash = key_of(b"block").to_multihash().unwrap();
    let cid = ds_flatfs::cid::Cid::new_v1(0x70, multihash);
    let key = Key::from_cid_bytes(&cid);
    let store = options().open(home.store()).await.unwrap();
    store.put(&key, Bytes::from("block")).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(verify(&home.store()).await, Found::new());
    let store = options().open(home.store()).await.unwrap();
    store.put(&key, Bytes::from("other")).await.unwrap();
    store.close().await.unwrap();
    let path = block_path(Shard::default(), &key);
    assert_eq!(
        verify(&home.store()).await,
        Found::from([(path, "corrupt")])
    );
}

#[tokio::test]
async fn a_truncated_block_with_an_identity_key_is_found() {
    let home = Home::with_closed_store().await;
    let key = Key::new(BASE32_NOPAD.encode(b"\x00\x06inline"));
    let store = options().open(home.store()).await.unwrap();
    store.put(&key, Bytes::from("inli")).await.unwrap();
    store.close().await.unwrap();
    let path = block_path(Shard::default(), &key);
    assert_eq!(
        verify(&home.store()).await,
        Found::from([(path, "truncated")])
    );
}

#[tokio::test]
async fn a_store_without_its_shard_function_is_checked() {
    for sharding in [None, Some(""), Some("/repo/flatfs/shard/v1/middle/2\n")] {
        let (home, blocks) = store_of(10).await;
        match sharding {
            Some(contents) => fs::write(home.in_store("SHARDING"), contents).unwrap(),
            None => fs::remove_file(home.in_store("SHARDING")).unwrap(),
        }
        let corrupt = block_path(Shard::default(), &blocks[0].0);
        fs::write(home.in_store(&corrupt), b"other").unwrap();
        let expected = [
            (PathBuf::from("SHARDING"), "sharding"),
            (corrupt, "corrupt"),
        ];
        assert_eq!(verify(&home.store()).await, Found::from(expected));
    }
}

#[tokio::test]
async fn a_directory_that_is_not_a_store_is_an_error() {
    let home = Home::new();
    for path in [home.beside("missing"), home.beside("")] {
        fs::write(home.beside("note.txt"), b"mine").unwrap();
        let error = Verify::new(&path).start().await.unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_store_on_a_read_only_file_system_can_be_verified() {
    let Some(mount) = Mount::tmpfs("size=1m") else {
        return;
    };
    let path = mount.path().join("store");
    let store = options().create(&path).await.unwrap();
    fill(&store, &blocks(10)).await;
    store.close().await.unwrap();
    drop(store);
    mount.make_read_only();
    assert_eq!(verify(&path).await, Found::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_writer_causes_no_findings() {
    let (home, _) = store_of(200).await;
    let store = options().open(home.store()).await.unwrap();
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for seed in 0.. {
            let (key, value) = block(200 + seed % 50);
            match seed % 3 {
                0 => writer.delete(&key).await?,
                _ => writer.put(&key, value).await?,
            }
        }
        Ok::<(), Error>(())
    });
    for _ in 0..20 {
        let mut findings = Verify::new(home.store()).start().await.unwrap();
        let found = all(&mut findings).await;
        assert_eq!(findings.summary().wrong, 0, "{found:?}");
        assert!(findings.summary().blocks >= 200);
    }
    store.close().await.unwrap();
    assert!(writing.await.unwrap().unwrap_err().is_closed());
}

#[tokio::test]
async fn a_verification_reports_its_progress_and_can_be_stopped() {
    let (home, blocks) = store_of(100).await;
    let (sender, receiver) = std::sync::mpsc::channel();
    let watched = Verify::new(home.store()).on_progress(move |progress| {
        sender.send(progress).unwrap();
        ControlFlow::Continue(())
    });
    let mut findings = watched.start().await.unwrap();
    all(&mut findings).await;
    drop(findings);
    let last = receiver.iter().last().unwrap();
    assert_eq!(last.blocks, blocks.len() as u64);
    assert!(last.total_shards > 0);
    assert_eq!(last.shards, last.total_shards);

    let stopped = Verify::new(home.store()).on_progress(|_| ControlFlow::Break(()));
    let mut findings = stopped.start().await.unwrap();
    let errors: Vec<_> = findings.by_ref().collect().await;
    assert!(matches!(errors[0], Err(Error::Stopped)), "{errors:?}");
}
