//! Full disks, on small file systems that each test mounts.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests access the disk directly"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{Durability, Error, FlatBatch, FlatFs, Key, Result};

use crate::mounts::Mount;
use crate::support;

const LARGE: usize = 16 << 10;
/// More blocks than fit on any of these file systems.
const MAX_BLOCKS: usize = 10_000;

fn key(name: &str, number: usize) -> Key {
    Key::new(format!("{name}{number}"))
}

fn value(number: usize, len: usize) -> Bytes {
    let text = format!("{number} ").repeat(len);
    Bytes::from(text).slice(..len)
}

async fn new_store(mount: &Mount) -> FlatFs {
    let path = mount.path().join("store");
    FlatFs::options().create(path).await.expect("a new store")
}

async fn open(path: &Path) -> Result<FlatFs> {
    FlatFs::options().open(path).await
}

/// Puts blocks of `len` bytes until one fails. Returns how many succeeded, and the error.
async fn fill(store: &FlatFs, name: &str, len: usize) -> (usize, Error) {
    for number in 0..MAX_BLOCKS {
        let put = store.put(&key(name, number), value(number, len)).await;
        if let Err(error) = put {
            return (number, error);
        }
    }
    panic!("the disk is too large for this test");
}

async fn assert_has_blocks(
    store: &FlatFs,
    name: &str,
    numbers: std::ops::Range<usize>,
    len: usize,
) {
    for number in numbers {
        let found = store.get(&key(name, number)).await.expect("a read");
        assert!(
            found == Some(value(number, len)),
            "{name}{number}: {found:?}"
        );
    }
}

/// Commits a batch for which there may be no space, and returns whether it takes effect in the end.
async fn is_committed(batch: FlatBatch) -> bool {
    match batch.commit().await {
        Ok(()) | Err(Error::CommitIncomplete { .. }) => true,
        Err(error) => {
            assert!(error.is_full(), "{error:?}");
            false
        }
    }
}

/// Closes the store. This fails if there is no space to store the disk usage.
async fn close_full(store: &FlatFs) {
    if let Err(error) = store.close().await {
        assert!(error.is_full(), "{error:?}");
    }
}

/// Closes the store, and checks that it left no temp files.
async fn close_and_check(store: FlatFs) -> PathBuf {
    let path = store.path().to_owned();
    close_full(&store).await;
    assert_eq!(support::temp_files(&path), [""; 0]);
    path
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_put_on_a_full_disk_reports_that_and_loses_nothing() {
    for mount in Mount::small_ones() {
        let store = new_store(&mount).await;
        let (puts, error) = fill(&store, "A", LARGE).await;
        assert!(error.is_full(), "{error:?}");
        assert!(puts > 20, "{puts} blocks fit");
        let failed = store.get(&key("A", puts)).await.expect("a read");
        assert_eq!(failed, None);
        assert_has_blocks(&store, "A", 0..puts, LARGE).await;
        let path = close_and_check(store).await;
        let store = open(&path).await.expect("a store on a full disk must open");
        assert_has_blocks(&store, "A", 0..puts, LARGE).await;
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn an_overwrite_on_a_full_disk_does_not_change_the_block() {
    for mount in Mount::small_ones() {
        let store = new_store(&mount).await;
        let (puts, _) = fill(&store, "A", LARGE).await;
        let overwritten = store.put(&key("A", 0), value(1, 4 * LARGE)).await;
        assert!(overwritten.is_err_and(|error| error.is_full()));
        assert_has_blocks(&store, "A", 0..puts, LARGE).await;
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn deletes_on_a_full_disk_free_space_for_puts() {
    for mount in Mount::small_ones() {
        let store = new_store(&mount).await;
        let (puts, _) = fill(&store, "A", LARGE).await;
        for number in 0..4 {
            store.delete(&key("A", number)).await.expect("a delete");
        }
        store
            .put(&key("B", 0), value(0, LARGE))
            .await
            .expect("a put");
        assert_has_blocks(&store, "B", 0..1, LARGE).await;
        assert_has_blocks(&store, "A", 4..puts, LARGE).await;
        close_and_check(store).await;
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_batch_that_does_not_fit_fails_and_does_not_change_the_store() {
    for mount in Mount::small_ones() {
        let store = new_store(&mount).await;
        store
            .put(&key("A", 0), value(0, LARGE))
            .await
            .expect("a put");
        let before = support::contents(&store).await;
        let batch = store.batch().await.expect("a batch");
        batch.delete(&key("A", 0)).await.expect("a delete");
        let mut failure = None;
        for number in 0..MAX_BLOCKS {
            failure = batch
                .put(&key("B", number), value(number, LARGE))
                .await
                .err();
            if failure.is_some() {
                break;
            }
        }
        let failure = failure.expect("the disk is small");
        assert!(matches!(failure, Error::BatchFailed { .. }), "{failure:?}");
        assert!(failure.is_full());
        let failure = batch.commit().await.expect_err("the batch has failed");
        assert!(matches!(failure, Error::BatchFailed { .. }), "{failure:?}");
        assert_eq!(support::contents(&store).await, before);
        let path = close_and_check(store).await;
        let store = open(&path).await.expect("the store must open");
        assert_eq!(support::contents(&store).await, before);
        store
            .put(&key("C", 0), value(0, LARGE))
            .await
            .expect("a put");
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_commit_on_a_full_disk_is_complete_or_reports_that_and_changes_nothing() {
    for mount in Mount::small_ones() {
        let store = new_store(&mount).await;
        let batch = store.batch().await.expect("a batch");
        for number in 0..50 {
            let put = batch.put(&key("B", number), value(number, 100)).await;
            put.expect("space for the batch");
        }
        support::wait_until_staged(store.path(), 50).await;
        let (large, _) = fill(&store, "A", LARGE).await;
        let (small, _) = fill(&store, "S", 1).await;
        let blocks = if is_committed(batch).await { 50 } else { 0 };
        close_full(&store).await;
        let store = open(store.path())
            .await
            .expect("a store on a full disk must open");
        for number in 0..4 {
            store.delete(&key("A", number)).await.expect("a delete");
        }
        store.sync().await.expect("space is available");
        let found = support::contents(&store).await;
        assert_eq!(found.len(), large - 4 + small + blocks);
        assert_has_blocks(&store, "B", 0..blocks, 100).await;
        close_and_check(store).await;
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn without_free_inodes_a_put_reports_a_full_disk_and_a_delete_works() {
    let Some(mount) = Mount::tmpfs("size=8m,nr_inodes=60") else {
        return;
    };
    let store = new_store(&mount).await;
    let (puts, error) = fill(&store, "A", 10).await;
    assert!(error.is_full(), "{error:?}");
    assert!(puts > 10, "{puts} blocks fit");
    assert_has_blocks(&store, "A", 0..puts, 10).await;
    for number in 0..4 {
        store.delete(&key("A", number)).await.expect("a delete");
    }
    store.put(&key("A", 0), value(0, 10)).await.expect("a put");
    close_and_check(store).await;
}

/// The commit lacks an inode for its record, or for a shard directory after the record is written.
#[tokio::test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
async fn a_commit_that_runs_out_of_inodes_is_completed_later_or_changes_nothing() {
    for free in 0..12 {
        let Some(mount) = Mount::tmpfs("size=8m,nr_inodes=100") else {
            return;
        };
        let path = mount.path().join("store");
        let options = FlatFs::options().durability(Durability::OnSync);
        let store = options.create(&path).await.expect("a new store");
        let batch = store.batch().await.expect("a batch");
        for number in 0..8 {
            let put = batch.put(&key("B", number * 100), value(number, 10)).await;
            put.expect("a put");
        }
        let foreign = |number: usize| mount.path().join(format!("{number}"));
        let create = |number: &usize| File::create(foreign(*number)).is_ok();
        support::wait_until_staged(&path, 8).await;
        let taken = (0..MAX_BLOCKS).take_while(create).count();
        for number in 0..free {
            fs::remove_file(foreign(number)).expect("a foreign file");
        }
        let expected = if is_committed(batch).await { 8 } else { 0 };
        for number in free..taken {
            fs::remove_file(foreign(number)).expect("a foreign file");
        }
        store.sync().await.expect("space is available");
        assert_eq!(
            support::contents(&store).await.len(),
            expected,
            "{free} free"
        );
        close_and_check(store).await;
    }
}
