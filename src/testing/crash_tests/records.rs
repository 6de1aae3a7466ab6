//! Records of commits that can't be followed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::fixture::{Change, SAFE, STORE, Write, below_temp, blocks, counting, losses};
use super::model::Model;
use crate::disk::Disk;
use crate::error::Error;
use crate::format::{BlockKey, StagingDir};
use crate::format::{CommitRecord, Put};
use crate::key::Key;
use crate::store::{Options, Purpose};
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

const BEFORE: &[(&str, &str)] = &[("AA1", "one, as it was")];

/// A store that was killed in the middle of a commit, and the record of that.
async fn killed() -> (FaultDisk, PathBuf) {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let commit = Write::Commit(vec![Change::Put("CC1", "four"), Change::Delete("AA1")]);
    let refusal = disk.refuse(|op, path| {
        (op == Op::Rename && path.ends_with("CC1.data")).then_some(ErrorKind::Other)
    });
    let error = commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    (disk, error.path().unwrap().to_owned())
}

/// The same with another record.
async fn killed_with_record(record: &[u8]) -> FaultDisk {
    let (disk, path) = killed().await;
    disk.remove_file(&path).unwrap();
    disk.write_new(&path, record, 0o600, true).unwrap();
    disk.reboot(Loss::None)
}

#[tokio::test]
async fn a_record_of_an_unknown_version_is_left_alone_and_keeps_the_store_from_opening() {
    let disk = killed_with_record(b"flatfs commit 3\nmerge CC1\n").await;
    let left = below_temp(&disk);
    assert!(left.iter().any(|path| path.ends_with("CC1.data")));
    for _ in 0..2 {
        let error = SAFE.begin(&disk, Purpose::Open).await.unwrap_err();
        let is_unknown = matches!(error, Error::UnknownCommitRecord { version: 3, .. });
        assert!(is_unknown, "{error}");
        assert_eq!(below_temp(&disk), left);
    }
    let lock = disk.lock(&Path::new(STORE).join(".lock")).unwrap();
    assert!(lock.is_some());
}

#[tokio::test]
async fn who_only_reads_can_ask_whether_a_commit_was_interrupted() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    assert!(!store.has_pending_commits().await.unwrap());
    let commit = Write::Commit(vec![Change::Put("CC1", "four"), Change::Put("DD1", "five")]);
    let refusal = disk.refuse(|op, path| {
        (op == Op::Rename && path.ends_with("DD1.data")).then_some(ErrorKind::Other)
    });
    commit.run(&store).await.unwrap_err();
    assert!(store.has_pending_commits().await.unwrap());
    let killed = disk.reboot(Loss::None);
    drop((refusal, store));
    let reading = || {
        let options = Options::new().read_only(true);
        let disk = Arc::new(killed.clone());
        options.begin_on(disk, PathBuf::from(STORE), Purpose::Open)
    };
    assert!(
        reading()
            .await
            .unwrap()
            .has_pending_commits()
            .await
            .unwrap()
    );
    SAFE.open(&killed).await.close().await.unwrap();
    assert!(
        !reading()
            .await
            .unwrap()
            .has_pending_commits()
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_batch_with_a_damaged_record_is_absent() {
    let cut = b"flatfs commit 1\nput 4 CC1\ndele";
    let wrong_sum = b"flatfs commit 1\nput 4 CC1\ndelete AA1\ncrc32 00000000\n";
    for record in [&b""[..], cut, wrong_sum] {
        let disk = killed_with_record(record).await;
        let store = SAFE.open(&disk).await;
        assert_eq!(below_temp(&disk), [""; 0]);
        let unchanged = Model::new(SAFE.durability, BEFORE).live();
        assert_eq!(blocks(&store).await, unchanged);
    }
}

#[tokio::test]
async fn a_batch_whose_block_is_cut_short_is_absent() {
    let (disk, record) = killed().await;
    let block = record.with_file_name("CC1.data");
    disk.remove_file(&block).unwrap();
    disk.write_new(&block, b"fo", 0o600, true).unwrap();
    let store = SAFE.open(&disk.reboot(Loss::None)).await;
    let unchanged = Model::new(SAFE.durability, BEFORE).live();
    assert_eq!(blocks(&store).await, unchanged);
}

#[tokio::test]
async fn a_batch_whose_block_is_cut_short_in_a_directory_of_its_own_is_absent() {
    let (disk, record) = killed().await;
    let lane = StagingDir::new(1);
    let batch = record.parent().unwrap();
    let put = |name: &str, lane| Put {
        block: BlockKey::new(&Key::new(name)).unwrap(),
        size: 4,
        lane,
    };
    let intent = CommitRecord {
        puts: vec![put("CC1", StagingDir::FIRST), put("DD1", lane)],
        deletes: Vec::new(),
    };
    let short = put("DD1", lane).staged(batch);
    for (contents, is_whole) in [(&b"fo"[..], false), (&b"four"[..], true)] {
        let disk = disk.reboot(Loss::None);
        disk.remove_file(&record).unwrap();
        disk.write_new(&record, intent.encode().as_bytes(), 0o600, true)
            .unwrap();
        disk.create_dir(&lane.dir(batch)).unwrap();
        disk.write_new(&short, contents, 0o600, true).unwrap();
        let store = SAFE.open(&disk).await;
        let found = blocks(&store).await;
        assert_eq!(found.contains_key("CC1"), is_whole);
        assert_eq!(found.contains_key("DD1"), is_whole);
    }
}

#[tokio::test]
async fn a_batch_whose_block_is_cut_short_stays_absent_if_its_removal_is_interrupted() {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let commit = Write::Commit(vec![
        Change::Put("CC1", "four"),
        Change::Put("DD1", "five"),
        Change::Delete("AA1"),
    ]);
    let refusal = disk.refuse(|op, path| {
        let is_block = path.extension().is_some_and(|found| found == "data");
        (op == Op::Rename && is_block).then_some(ErrorKind::Other)
    });
    let error = commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    let block = error.path().unwrap().with_file_name("CC1.data");
    disk.remove_file(&block).unwrap();
    disk.write_new(&block, b"fo", 0o600, true).unwrap();
    disk.sync_dir(block.parent().unwrap()).unwrap();
    let unchanged = Model::new(SAFE.durability, BEFORE);
    for steps in 0.. {
        let found = disk.reboot(Loss::None);
        found.crash_after(steps);
        let opened = SAFE.begin(&found, Purpose::Open).await;
        for loss in losses(steps, 8) {
            SAFE.check(&found.reboot(loss), &unchanged, loss).await;
        }
        if opened.is_ok() {
            break;
        }
    }
}

/// So a session that had no space for its mark leaves it.
#[tokio::test]
async fn a_store_without_mark_and_figure_is_flushed_before_it_is_cleaned_up() {
    let disk = SAFE.closed_with(BEFORE).await;
    let figure = Path::new(STORE).join("diskUsage.cache");
    disk.remove_file(&figure).unwrap();
    let (_guard, flushes) = counting(&disk, |op, _| op == Op::SyncAll);
    SAFE.open(&disk).await;
    assert_eq!(flushes.load(Ordering::SeqCst), 1);
}
