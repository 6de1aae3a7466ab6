//! Records of commits that can't be followed.

use std::io::ErrorKind;
use std::path::Path;

use super::fixture::{Change, SAFE, STORE, Write, below_temp, blocks};
use super::model::Model;
use crate::disk::Disk;
use crate::disk::fault::{FaultDisk, Loss, Op};
use crate::error::Error;
use crate::store::Purpose;

const BEFORE: &[(&str, &str)] = &[("AA1", "one, as it was")];

/// A store that was killed in the middle of a commit, with this record.
async fn killed_with_record(record: &[u8]) -> FaultDisk {
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let commit = Write::Commit(vec![Change::Put("CC1", "four"), Change::Delete("AA1")]);
    let refusal = disk.refuse(|op, path| {
        (op == Op::Rename && path.ends_with("CC1.data")).then_some(ErrorKind::Other)
    });
    let error = commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    let path = error.path().unwrap();
    disk.remove_file(path).unwrap();
    disk.write_new(path, record, 0o600, true).unwrap();
    disk.reboot(Loss::None)
}

#[tokio::test]
async fn a_record_of_an_unknown_version_is_left_alone_and_keeps_the_store_from_opening() {
    let disk = killed_with_record(b"flatfs commit 2\nmerge CC1\n").await;
    let left = below_temp(&disk);
    assert!(left.iter().any(|path| path.ends_with("CC1.data")));
    for _ in 0..2 {
        let error = SAFE.begin(&disk, Purpose::Open).await.unwrap_err();
        let is_unknown = matches!(error, Error::UnknownIntent { version: 2, .. });
        assert!(is_unknown, "{error}");
        assert_eq!(below_temp(&disk), left);
    }
    let lock = disk.lock(&Path::new(STORE).join(".lock")).unwrap();
    assert!(lock.is_some());
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
    let (disk, store) = SAFE.store_with(BEFORE).await;
    let commit = Write::Commit(vec![Change::Put("CC1", "four"), Change::Delete("AA1")]);
    let refusal = disk.refuse(|op, path| {
        (op == Op::Rename && path.ends_with("CC1.data")).then_some(ErrorKind::Other)
    });
    let error = commit.run(&store).await.unwrap_err();
    drop((refusal, store));
    let block = error.path().unwrap().with_file_name("CC1.data");
    disk.remove_file(&block).unwrap();
    disk.write_new(&block, b"fo", 0o600, true).unwrap();
    let store = SAFE.open(&disk.reboot(Loss::None)).await;
    let unchanged = Model::new(SAFE.durability, BEFORE).live();
    assert_eq!(blocks(&store).await, unchanged);
}
