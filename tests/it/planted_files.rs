//! Files and links that were planted in a store: none of them is followed out of it, or read without a bound.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the disk behind the store's back"
)]

use std::fs::{self, File};
use std::path::Path;

use ds_flatfs::{Accuracy, Error, FlatFs};

use crate::platform::{set_mode, symlink};
use crate::support::{Home, block, block_path, options, permissions};

/// The text of a commit record with these lines.
fn record(lines: &str) -> String {
    let text = format!("flatfs commit 2\n{lines}");
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    format!("{text}crc32 {:08x}\n", !crc)
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
async fn a_commit_record_does_not_lead_out_of_the_store_by_a_symbolic_link() {
    let home = Home::with_closed_store().await;
    let (outside, batch) = (home.beside("outside"), home.in_store(".temp/batch-x"));
    let (key, value) = block(1);
    let name = key.as_str().trim_start_matches('/').to_owned();
    let file = format!("{name}.data");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join(&file), &value).unwrap();
    fs::create_dir(&batch).unwrap();
    symlink(&outside, batch.join("1")).unwrap();
    let record = record(&format!("put {} 1/{name}\n", value.len()));
    fs::write(batch.join("COMMIT"), record).unwrap();

    let error = options().open(home.store()).await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
    assert_eq!(error.path(), Some(&*batch.join("1")));
    assert!(outside.join(&file).exists());
    assert!(!home.block(&key).exists());

    // The same record with a real directory is applied.
    fs::remove_file(batch.join("1")).unwrap();
    fs::rename(&outside, batch.join("1")).unwrap();
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(value));
    store.close().await.unwrap();
}

fn sparse(path: &Path, len: u64) {
    File::create(path).unwrap().set_len(len).unwrap();
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().split(' ').next());
    peak.and_then(|peak| peak.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn sparse_files_in_place_of_a_record_and_the_cached_usage_are_not_read_into_memory() {
    let home = Home::with_closed_store().await;
    let batch = home.in_store(".temp/batch-x");
    fs::create_dir(&batch).unwrap();
    sparse(&batch.join("COMMIT"), 4 << 30);
    sparse(&home.in_store("diskUsage.cache"), 4 << 30);
    let before = peak_memory();
    let store = options().open(home.store()).await.unwrap();
    store.close().await.unwrap();
    let grown = peak_memory() - before;
    assert!(grown < 1 << 20, "{grown} KiB");
    assert_eq!(home.temp_names(), [""; 0]);
}

async fn exact(store: &FlatFs) -> u64 {
    loop {
        let usage = store.disk_usage().await.unwrap();
        if usage.accuracy == Accuracy::Exact {
            return usage.bytes;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cached_disk_usage_that_no_disk_can_have_is_counted_anew() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let (key, value) = block(1);
    store.put(&key, value).await.unwrap();
    let before = exact(&store).await;
    store.close().await.unwrap();
    for figure in [
        i64::MAX.to_string(),
        (i64::MAX - 10).to_string(),
        u64::MAX.to_string(),
    ] {
        let text = format!("{{\"diskUsage\":{figure},\"accuracy\":\"initial-exact\"}}\n");
        fs::write(home.in_store("diskUsage.cache"), text).unwrap();
        let store = options().open(home.store()).await.unwrap();
        let (key, value) = block(2);
        store.put(&key, value).await.unwrap();
        store.delete(&key).await.unwrap();
        assert!(exact(&store).await < 2 * before, "{figure}");
        store.close().await.unwrap();
    }
}

/// On tmpfs, which has files of 8 EiB.
#[tokio::test]
async fn sizes_that_no_sum_can_hold_are_added_up_without_an_overflow() {
    let dir = match tempfile::tempdir_in("/dev/shm") {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("skipped: no directory in /dev/shm: {error}");
            return;
        }
    };
    let root = dir.path().join("store");
    let store = options().create(&root).await.unwrap();
    let shard = store.shard();
    store.close().await.unwrap();
    for number in 1..=3 {
        let (key, _) = block(number);
        let path = root.join(block_path(shard, &key));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Err(error) = File::create(&path).and_then(|file| file.set_len(i64::MAX as u64)) {
            eprintln!("skipped: no file of 8 EiB in /dev/shm: {error}");
            return;
        }
    }
    fs::remove_file(root.join("diskUsage.cache")).unwrap();
    let store = options().open(&root).await.unwrap();
    assert_eq!(exact(&store).await, i64::MAX as u64);
    let (key, value) = block(4);
    store.put(&key, value).await.unwrap();
    assert_eq!(exact(&store).await, i64::MAX as u64);
    store.close().await.unwrap();
}

#[tokio::test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
async fn a_lock_file_that_other_users_may_open_is_restricted_to_its_owner() {
    let home = Home::with_closed_store().await;
    let lock = home.in_store(".lock");
    assert_eq!(permissions(&lock), 0o600);
    set_mode(&lock, 0o644);
    let store = options().open(home.store()).await.unwrap();
    assert_eq!(permissions(&lock), 0o600);
    store.close().await.unwrap();
}
