//! What stands in a store, asked of it and looked at behind its back.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the disk behind the store's back"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ds_flatfs::query::Query;
use ds_flatfs::{FlatFs, Key};
use futures::StreamExt;

pub(crate) type Contents = BTreeMap<Key, Bytes>;

/// All blocks that a query of everything answers.
pub(crate) async fn contents(store: &FlatFs) -> Contents {
    let query = store.query(Query::new()).await.expect("a query");
    let entries = query.map(|entry| {
        let entry = entry.expect("an entry");
        (entry.key, entry.value.expect("a value"))
    });
    entries.collect().await
}

/// What is in `.temp`.
pub(crate) fn temp_files(store: &Path) -> Vec<String> {
    names(&store.join(".temp"))
}

/// How many batches are committed and not carried out.
pub(crate) fn commit_records(store: &Path) -> usize {
    let temp = store.join(".temp");
    let batches = names(&temp).into_iter();
    batches
        .filter(|batch| temp.join(batch).join("COMMIT").exists())
        .count()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().display().to_string());
    names.collect()
}

/// The sizes of all that counts as disk usage.
pub(crate) fn disk_usage(store: &Path) -> u64 {
    let size = |path: &Path| fs::symlink_metadata(path).expect("a size").len();
    let mut total = size(store);
    for name in names(store) {
        let path = store.join(&name);
        let is_counted = !["diskUsage.cache", ".lock", ".unclean"].contains(&name.as_str());
        if is_counted {
            total += size(&path);
        }
        if path.is_dir() && name != ".temp" {
            total += names(&path)
                .iter()
                .map(|name| size(&path.join(name)))
                .sum::<u64>();
        }
    }
    total
}

/// How far two figures of the disk usage may differ for no other reason than that a temp file was
/// there: nothing, where directories have the same size with a file or without.
pub(crate) fn slack_of_dirs(store: &Path) -> u64 {
    let above = store.parent().expect("a directory above the store");
    let dir = tempfile::tempdir_in(above).expect("a directory");
    let size = || fs::symlink_metadata(dir.path()).expect("a size").len();
    let empty = size();
    fs::write(dir.path().join("file"), b"").expect("a file");
    16 * size().abs_diff(empty)
}

/// Waits until so many blocks, none of them empty, stand written in the directories of batches.
pub(crate) async fn until_staged(store: &Path, blocks: usize) {
    let temp = store.join(".temp");
    let deadline = Deadline::new();
    let staged = || {
        let names_in_temp = names(&temp).into_iter();
        let batches = names_in_temp.filter(|name| name.starts_with("batch-"));
        let files = batches.map(|batch| temp.join(batch)).flat_map(|batch| {
            let files = names(&batch).into_iter();
            files.map(move |name| batch.join(name))
        });
        // A file that was made but not written yet is empty.
        let written = |file: &PathBuf| fs::metadata(file).is_ok_and(|file| file.len() > 0);
        files.filter(written).count()
    };
    while staged() < blocks {
        deadline.check();
        tokio::task::yield_now().await;
    }
}

/// Ends a test that waits for what never comes.
#[derive(Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn new() -> Self {
        Deadline(Instant::now() + Duration::from_secs(120))
    }

    pub(crate) fn check(&self) {
        assert!(
            Instant::now() < self.0,
            "what the test waits for doesn't come"
        );
    }
}

/// Everything below a directory, with the size and the time of the last change.
pub(crate) fn tree(dir: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut found = Vec::new();
    for name in names(dir) {
        let path = dir.join(name);
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        let changed = metadata.modified().expect("a time");
        found.push((path.clone(), metadata.len(), changed));
        if metadata.is_dir() {
            found.extend(tree(&path));
        }
    }
    found.sort_unstable();
    found
}
