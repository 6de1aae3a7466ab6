//! Shared helpers: stores to test with, and functions that examine a store's directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use ds_flatfs::{
    Accuracy, Durability, Entry, EntryStream, Error, FlatFs, Key, Options, Query, Shard,
};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::platform::{create_dir_with_mode, create_with_mode, mode_and_time};

/// A temporary directory of a test, with the path for a store in it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Home {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns a home with an open store with this shard function.
    pub(crate) async fn with_store(shard: &str) -> (Self, FlatFs) {
        let home = Home::new();
        let options = options().shard(shard.parse().unwrap());
        let store = options.create(home.store()).await.unwrap();
        (home, store)
    }

    /// Returns a home with a closed store that has the block number 0 of [`block`].
    pub(crate) async fn with_closed_store() -> Self {
        let (home, store) = Home::with_store("next-to-last/2").await;
        let (key, value) = block(0);
        store.put(&key, value).await.unwrap();
        store.close().await.unwrap();
        home
    }

    /// Returns the path of the store, which may not exist yet.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Returns a path in the store's directory.
    pub(crate) fn in_store(&self, relative: impl AsRef<Path>) -> PathBuf {
        components(&self.store().join(relative))
    }

    /// Returns a path next to the store's directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        components(&self.dir.path().join(name))
    }

    /// Returns the path of a block in a store with `next-to-last/2`.
    pub(crate) fn block(&self, key: &Key) -> PathBuf {
        self.in_store(block_path(Shard::default(), key))
    }

    /// Returns the names in `.temp`. While the store is open, a file with its disk usage may appear there.
    pub(crate) fn temp_names(&self) -> Vec<String> {
        temp_files(&self.store())
    }

    /// Returns the names of the batch directories in `.temp`.
    pub(crate) fn batch_dirs(&self) -> Vec<String> {
        let mut names = self.temp_names();
        names.retain(|name| name.starts_with("batch-"));
        names
    }

    /// Waits until this number of batches has a directory. The store removes the directory of a committed
    /// batch in the background.
    pub(crate) async fn wait_for_batch_dirs(&self, batches: usize) {
        with_timeout(async {
            while self.batch_dirs().len() != batches {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Returns a path with the separators of the system.
fn components(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Returns options without durability, because these tests do not cut the power.
pub(crate) fn options() -> Options {
    Options::new().durability(Durability::OnSync)
}

/// Opens a store whose last handle was dropped. A running job may still have the lock for a moment.
pub(crate) async fn open_dropped(path: &Path) -> FlatFs {
    with_timeout(async {
        loop {
            match options().open(path).await {
                Err(error) if error.is_locked() => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    })
    .await
}

/// Fails if the future does not complete within two minutes.
pub(crate) async fn with_timeout<T>(wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(120), wait).await;
    waited.expect("the test must not wait forever")
}

/// Returns `len` bytes that look random and differ for each seed.
pub(crate) fn random_bytes(seed: u64, len: usize) -> Bytes {
    let chunks = (0u64..).map(|i| Sha256::digest([seed.to_le_bytes(), i.to_le_bytes()].concat()));
    chunks.flatten().take(len).collect::<Vec<u8>>().into()
}

/// Returns a block and its key as kubo names it, different for each seed.
pub(crate) fn block(seed: u64) -> (Key, Bytes) {
    let value = random_bytes(seed, 20 + usize::try_from(seed % 50).unwrap());
    (key_of(&value), value)
}

/// Returns this number of blocks by key.
pub(crate) fn blocks(count: usize) -> BTreeMap<Key, Bytes> {
    (0..count as u64).map(block).collect()
}

/// Returns the key of a value: its sha2-256 multihash in base32.
pub(crate) fn key_of(value: &[u8]) -> Key {
    let multihash = [&[0x12, 0x20][..], &Sha256::digest(value)].concat();
    Key::new(BASE32_NOPAD.encode(&multihash))
}

/// Puts all blocks in one batch.
pub(crate) async fn fill(store: &FlatFs, blocks: &BTreeMap<Key, Bytes>) {
    let batch = store.batch().await.unwrap();
    for (key, value) in blocks {
        batch.put(key, value.clone()).await.unwrap();
    }
    batch.commit().await.unwrap();
}

/// Returns all entries of a stream, none of which is an error.
pub(crate) async fn all(entries: EntryStream) -> Vec<Entry> {
    entries.map(|entry| entry.unwrap()).collect().await
}

pub(crate) type Contents = BTreeMap<Key, Bytes>;

/// Returns all blocks of a store.
pub(crate) async fn contents(store: &FlatFs) -> Contents {
    let entries = all(store.query(Query::new()).await.unwrap()).await;
    let found = entries.len();
    let blocks: BTreeMap<_, _> = entries
        .into_iter()
        .map(|entry| (entry.key, entry.value.unwrap()))
        .collect();
    assert_eq!(blocks.len(), found, "each key must be found once");
    blocks
}

/// Waits until the disk usage is exact, and returns it.
pub(crate) async fn exact_usage(store: &FlatFs) -> u64 {
    with_timeout(async {
        loop {
            let usage = store.disk_usage().await.unwrap();
            if usage.accuracy == Accuracy::Exact {
                return usage.bytes;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Checks that the error is one short line that contains `named`.
pub(crate) fn assert_clear(error: &Error, named: &str) {
    let text = error.to_string();
    assert!(text.contains(named), "{text:?} must contain {named}");
    assert!(
        !text.chars().any(char::is_control),
        "{text:?} must be one line"
    );
    assert!(text.len() < 400, "{text:?} must be short");
}

/// Returns the path of a block relative to the store's root.
pub(crate) fn block_path(shard: Shard, key: &Key) -> PathBuf {
    let name = key.as_str().strip_prefix('/').unwrap();
    Path::new(&shard.dir(name)).join(format!("{name}.data"))
}

/// The state of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) mode: u32,
    pub(crate) modified: (i64, i64),
    /// `None` if it is not a file.
    pub(crate) contents: Option<Vec<u8>>,
}

/// Returns the state of a directory and of everything below it, by relative path.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, FileState> {
    let mut states = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let (mode, modified) = mode_and_time(&metadata);
        let state = FileState {
            mode,
            modified,
            contents: metadata.is_file().then(|| fs::read(&path).unwrap()),
        };
        states.insert(path.strip_prefix(root).unwrap().to_owned(), state);
    }
    states
}

/// Returns the names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns the names in a store's `.temp`.
pub(crate) fn temp_files(store: &Path) -> Vec<String> {
    names(&store.join(".temp"))
}

/// Returns the number of batches that are committed but not applied.
pub(crate) fn commit_records(store: &Path) -> usize {
    let batches = temp_files(store).into_iter();
    let record = |batch: &String| store.join(".temp").join(batch).join("COMMIT");
    batches.filter(|batch| record(batch).exists()).count()
}

/// Waits until this number of blocks, none of which may be empty, is written to staging directories.
pub(crate) async fn wait_until_staged(store: &Path, blocks: usize) {
    let staged = || {
        let found = tree(&store.join(".temp"));
        let blocks = found.iter().filter(|(path, _)| {
            path.extension()
                .is_some_and(|extension| extension == "data")
        });
        // A file that was created but not written yet is empty.
        let written = |state: &FileState| {
            state
                .contents
                .as_ref()
                .is_some_and(|found| !found.is_empty())
        };
        blocks.filter(|(_, state)| written(state)).count()
    };
    with_timeout(async {
        while staged() < blocks {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Returns the permissions of a file or directory.
pub(crate) fn permissions(path: &Path) -> u32 {
    mode_and_time(&fs::symlink_metadata(path).unwrap()).0 & 0o777
}

/// Returns the permissions of a file that is created with this mode under the umask of the tests.
pub(crate) fn file_permissions(home: &Home, mode: u32) -> u32 {
    let path = home.beside("file-with-a-mode");
    create_with_mode(&path, mode);
    let found = permissions(&path);
    fs::remove_file(path).unwrap();
    found
}

/// Returns the permissions and the size of a directory that is created with mode 0755.
pub(crate) fn new_dir(home: &Home) -> (u32, u64) {
    let path = home.beside("new-directory");
    create_dir_with_mode(&path, 0o755);
    let found = (permissions(&path), fs::metadata(&path).unwrap().len());
    fs::remove_dir(path).unwrap();
    found
}

/// Computes the disk usage of a store as go-ds-flatfs does: its files and directories, without
/// `diskUsage.cache` and hidden names.
pub(crate) fn true_usage(root: &Path) -> u64 {
    let size = |path: &Path| fs::symlink_metadata(path).unwrap().len();
    let mut total = size(root) + size(&root.join(".temp"));
    for name in names(root) {
        let path = root.join(&name);
        if name == "diskUsage.cache" || name.starts_with('.') {
            continue;
        }
        total += size(&path);
        if path.is_dir() {
            let files = names(&path);
            total += files.iter().map(|file| size(&path.join(file))).sum::<u64>();
        }
    }
    total
}

/// Returns by how much two disk usages may differ because a temp file existed during one of the counts: 0
/// if the size of a directory does not depend on its entries.
pub(crate) fn dir_size_slack(store: &Path) -> u64 {
    let above = store.parent().unwrap();
    let dir = tempfile::tempdir_in(above).unwrap();
    let size = || fs::symlink_metadata(dir.path()).unwrap().len();
    let empty = size();
    fs::write(dir.path().join("file"), b"").unwrap();
    16 * size().abs_diff(empty)
}
