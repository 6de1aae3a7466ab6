//! Commit records that cannot be applied, and commits that wait to be applied.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::data_losses;
use super::inspect::{STORE_PATH, below_temp, blocks, count_operations};
use super::model::StoreModel;
use super::setup::DURABLE;
use crate::disk::Disk;
use crate::error::Error;
use crate::format::{BlockKey, CommitRecord, Put, StagingDir};
use crate::key::Key;
use crate::store::{Options, Purpose};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[("AA1", "one, as it was")];

/// Returns the disk of a process that was killed during a commit, and the path of the commit record.
async fn killed() -> (FaultDisk, PathBuf) {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("CC1", "four"),
        BatchWrite::Delete("AA1"),
    ]);
    let refusal = disk.refuse(|op, path| {
        (op == DiskOp::Rename && path.ends_with("CC1.data")).then_some(ErrorKind::Other)
    });
    let error = commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    (disk, error.path().unwrap().to_owned())
}

/// Returns the same disk with another record.
async fn killed_with_record(record: &[u8]) -> FaultDisk {
    let (disk, path) = killed().await;
    disk.remove_file(&path).unwrap();
    disk.write_new(&path, record, 0o600, true).unwrap();
    disk.reboot(DataLoss::None)
}

#[tokio::test]
async fn a_record_of_an_unknown_version_is_not_touched_and_prevents_opening() {
    let disk = killed_with_record(b"flatfs commit 3\nmerge CC1\n").await;
    let left = below_temp(&disk);
    assert!(left.iter().any(|path| path.ends_with("CC1.data")));
    for _ in 0..2 {
        let error = DURABLE.open_as(&disk, Purpose::Open).await.unwrap_err();
        let is_unknown = matches!(error, Error::UnknownCommitRecord { version: 3, .. });
        assert!(is_unknown, "{error}");
        assert_eq!(below_temp(&disk), left);
    }
    let lock = disk.lock(&Path::new(STORE_PATH).join(".lock")).unwrap();
    assert!(lock.is_some());
}

#[tokio::test]
async fn a_reader_can_ask_whether_commits_are_pending() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    assert!(!store.has_pending_commits().await.unwrap());
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("CC1", "four"),
        BatchWrite::Put("DD1", "five"),
    ]);
    let refusal = disk.refuse(|op, path| {
        (op == DiskOp::Rename && path.ends_with("DD1.data")).then_some(ErrorKind::Other)
    });
    commit.run(&store).await.unwrap_err();
    assert!(store.has_pending_commits().await.unwrap());
    let killed = disk.reboot(DataLoss::None);
    drop((refusal, store));
    let reading = || {
        let options = Options::new().read_only(true);
        let disk = Arc::new(killed.clone());
        options.begin_on(disk, PathBuf::from(STORE_PATH), Purpose::Open)
    };
    assert!(
        reading()
            .await
            .unwrap()
            .has_pending_commits()
            .await
            .unwrap()
    );
    DURABLE.open(&killed).await.close().await.unwrap();
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
        let store = DURABLE.open(&disk).await;
        assert_eq!(below_temp(&disk), [""; 0]);
        let unchanged = StoreModel::new(DURABLE.durability, INITIAL).live();
        assert_eq!(blocks(&store).await, unchanged);
    }
}

#[tokio::test]
async fn a_batch_with_a_truncated_block_is_absent() {
    let (disk, record) = killed().await;
    let block = record.with_file_name("CC1.data");
    disk.remove_file(&block).unwrap();
    disk.write_new(&block, b"fo", 0o600, true).unwrap();
    let store = DURABLE.open(&disk.reboot(DataLoss::None)).await;
    let unchanged = StoreModel::new(DURABLE.durability, INITIAL).live();
    assert_eq!(blocks(&store).await, unchanged);
}

#[tokio::test]
async fn a_batch_with_a_truncated_block_in_another_staging_directory_is_absent() {
    let (disk, record) = killed().await;
    let other_dir = StagingDir::new(1);
    let batch = record.parent().unwrap();
    let put = |name: &str, staging_dir: StagingDir| Put {
        block: BlockKey::new(&Key::new(name)).unwrap(),
        size: 4,
        staging_dir,
    };
    let two_puts = CommitRecord {
        puts: vec![put("CC1", StagingDir::FIRST), put("DD1", other_dir)],
        deletes: Vec::new(),
    };
    let staged = put("DD1", other_dir).staged(batch);
    for (contents, is_whole) in [(&b"fo"[..], false), (&b"four"[..], true)] {
        let disk = disk.reboot(DataLoss::None);
        disk.remove_file(&record).unwrap();
        disk.write_new(&record, two_puts.encode().as_bytes(), 0o600, true)
            .unwrap();
        disk.create_dir(&other_dir.dir(batch)).unwrap();
        disk.write_new(&staged, contents, 0o600, true).unwrap();
        let store = DURABLE.open(&disk).await;
        let found = blocks(&store).await;
        assert_eq!(found.contains_key("CC1"), is_whole);
        assert_eq!(found.contains_key("DD1"), is_whole);
    }
}

#[tokio::test]
async fn a_batch_with_a_truncated_block_stays_absent_if_its_removal_is_interrupted() {
    let (disk, store) = DURABLE.store_with(INITIAL).await;
    let commit = StoreCall::Commit(vec![
        BatchWrite::Put("CC1", "four"),
        BatchWrite::Put("DD1", "five"),
        BatchWrite::Delete("AA1"),
    ]);
    let refusal = disk.refuse(|op, path| {
        let is_block = path.extension().is_some_and(|found| found == "data");
        (op == DiskOp::Rename && is_block).then_some(ErrorKind::Other)
    });
    let error = commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    let block = error.path().unwrap().with_file_name("CC1.data");
    disk.remove_file(&block).unwrap();
    disk.write_new(&block, b"fo", 0o600, true).unwrap();
    disk.sync_dir(block.parent().unwrap()).unwrap();
    let unchanged = StoreModel::new(DURABLE.durability, INITIAL);
    for steps in 0.. {
        let found = disk.reboot(DataLoss::None);
        found.crash_after(steps);
        let opened = DURABLE.open_as(&found, Purpose::Open).await;
        for loss in data_losses(steps, 8) {
            DURABLE.check(&found.reboot(loss), &unchanged, loss).await;
        }
        if opened.is_ok() {
            break;
        }
    }
}

/// A session without space for its mark leaves the store like this.
#[tokio::test]
async fn a_store_without_a_mark_and_a_disk_usage_is_flushed_before_its_temporary_files_are_removed()
{
    let disk = DURABLE.closed_with(INITIAL).await;
    let figure = Path::new(STORE_PATH).join("diskUsage.cache");
    disk.remove_file(&figure).unwrap();
    let (_guard, flushes) = count_operations(&disk, |op, _| op == DiskOp::SyncAll);
    DURABLE.open(&disk).await;
    assert_eq!(flushes.load(Ordering::SeqCst), 1);
}
