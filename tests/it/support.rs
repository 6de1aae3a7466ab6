//! What the tests share: a helper for each kind of set-up, and one for each way to look at the disk.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
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

/// A directory that goes with the test, and in it the place for a store.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Home {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A home with a store of `shard`, which is open.
    pub(crate) async fn with_store(shard: &str) -> (Self, FlatFs) {
        let home = Home::new();
        let options = options().shard(shard.parse().unwrap());
        let store = options.create(home.store()).await.unwrap();
        (home, store)
    }

    /// A home with a store that is closed, with the block of [`block`] number 0.
    pub(crate) async fn with_closed_store() -> Self {
        let (home, store) = Home::with_store("next-to-last/2").await;
        let (key, value) = block(0);
        store.put(&key, value).await.unwrap();
        store.close().await.unwrap();
        home
    }

    /// Where the store is, or will be.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Something in the store.
    pub(crate) fn in_store(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.store().join(relative)
    }

    /// Something beside the store.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a block stands in a store of `next-to-last/2`.
    pub(crate) fn block(&self, key: &Key) -> PathBuf {
        self.in_store(block_path(Shard::default(), key))
    }

    /// The names in `.temp`. While the store is open, the figure of its disk usage may pass through.
    pub(crate) fn in_flight(&self) -> Vec<String> {
        temp_files(&self.store())
    }

    /// The names of the batches' directories in `.temp`.
    pub(crate) fn batches_in_flight(&self) -> Vec<String> {
        let mut names = self.in_flight();
        names.retain(|name| name.starts_with("batch-"));
        names
    }

    /// Waits until so many batches have a directory. That of a committed one goes in the background.
    pub(crate) async fn until_in_flight(&self, batches: usize) {
        in_time(async {
            while self.batches_in_flight().len() != batches {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Quick ones, since no power is cut here.
pub(crate) fn options() -> Options {
    Options::new().durability(Durability::OnSync)
}

/// Opens a store whose last handle was dropped. A job that is still under way may hold on to it for
/// a moment.
pub(crate) async fn open_dropped(path: &Path) -> FlatFs {
    in_time(async {
        loop {
            match options().open(path).await {
                Err(error) if error.is_locked() => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    })
    .await
}

/// Ends a test that waits for what never comes.
pub(crate) async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(120), wait).await;
    waited.expect("what the test waits for comes")
}

/// So many bytes, others for each seed.
pub(crate) fn noise(seed: u64, len: usize) -> Bytes {
    let chunks = (0u64..).map(|i| Sha256::digest([seed.to_le_bytes(), i.to_le_bytes()].concat()));
    chunks.flatten().take(len).collect::<Vec<u8>>().into()
}

/// A block under the key that kubo would give it, another one for each seed.
pub(crate) fn block(seed: u64) -> (Key, Bytes) {
    let value = noise(seed, 20 + usize::try_from(seed % 50).unwrap());
    (key_of(&value), value)
}

/// As many blocks, keys ascending.
pub(crate) fn blocks(count: usize) -> BTreeMap<Key, Bytes> {
    (0..count as u64).map(block).collect()
}

/// The multihash of sha2-256, in base32.
pub(crate) fn key_of(value: &[u8]) -> Key {
    let multihash = [&[0x12, 0x20][..], &Sha256::digest(value)].concat();
    Key::new(BASE32_NOPAD.encode(&multihash))
}

/// Puts all blocks as one batch.
pub(crate) async fn fill(store: &FlatFs, blocks: &BTreeMap<Key, Bytes>) {
    let batch = store.batch().await.unwrap();
    for (key, value) in blocks {
        batch.put(key, value.clone()).await.unwrap();
    }
    batch.commit().await.unwrap();
}

/// All entries of a stream, none of which is an error.
pub(crate) async fn all(entries: EntryStream) -> Vec<Entry> {
    entries.map(|entry| entry.unwrap()).collect().await
}

pub(crate) type Contents = BTreeMap<Key, Bytes>;

/// All blocks of a store.
pub(crate) async fn contents(store: &FlatFs) -> Contents {
    let entries = all(store.query(Query::new()).await.unwrap()).await;
    let found = entries.len();
    let blocks: BTreeMap<_, _> = entries
        .into_iter()
        .map(|entry| (entry.key, entry.value.unwrap()))
        .collect();
    assert_eq!(blocks.len(), found, "each key once");
    blocks
}

/// The disk usage once it is counted.
pub(crate) async fn exact_usage(store: &FlatFs) -> u64 {
    in_time(async {
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

/// Fails unless the error is one line that names this.
pub(crate) fn is_clear(error: &Error, named: &str) {
    let text = error.to_string();
    assert!(text.contains(named), "{text:?} names {named}");
    assert!(!text.chars().any(char::is_control), "{text:?} is one line");
    assert!(text.len() < 400, "{text:?} is short");
}

/// Where a block stands in a store, from its root on.
pub(crate) fn block_path(shard: Shard, key: &Key) -> PathBuf {
    let name = key.as_str().strip_prefix('/').unwrap();
    Path::new(&shard.dir(name)).join(format!("{name}.data"))
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) mode: u32,
    pub(crate) modified: (i64, i64),
    /// `None` if it is no file.
    pub(crate) contents: Option<Vec<u8>>,
}

/// Everything below a directory and itself, by relative path, as it is now.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let node = Node {
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            contents: metadata.is_file().then(|| fs::read(&path).unwrap()),
        };
        nodes.insert(path.strip_prefix(root).unwrap().to_owned(), node);
    }
    nodes
}

/// What is in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What is in a store's `.temp`.
pub(crate) fn temp_files(store: &Path) -> Vec<String> {
    names(&store.join(".temp"))
}

/// How many batches are committed and not carried out.
pub(crate) fn commit_records(store: &Path) -> usize {
    let batches = temp_files(store).into_iter();
    let record = |batch: &String| store.join(".temp").join(batch).join("COMMIT");
    batches.filter(|batch| record(batch).exists()).count()
}

/// Waits until so many blocks, none of them empty, stand written in the directories of batches.
pub(crate) async fn until_staged(store: &Path, blocks: usize) {
    let staged = || {
        let found = tree(&store.join(".temp"));
        let blocks = found.iter().filter(|(path, _)| {
            path.extension()
                .is_some_and(|extension| extension == "data")
        });
        // A file that was made but not written yet is empty.
        let written = |node: &Node| {
            node.contents
                .as_ref()
                .is_some_and(|found| !found.is_empty())
        };
        blocks.filter(|(_, node)| written(node)).count()
    };
    in_time(async {
        while staged() < blocks {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The permissions of what is at a path.
pub(crate) fn permissions(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// The permissions of a file that is made with this mode under the umask of the tests.
pub(crate) fn file_permissions(home: &Home, mode: u32) -> u32 {
    let path = home.beside("file-with-a-mode");
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(mode);
    drop(options.open(&path).unwrap());
    let found = permissions(&path);
    fs::remove_file(path).unwrap();
    found
}

/// The permissions and the size of a directory that is made with mode 0755.
pub(crate) fn new_dir(home: &Home) -> (u32, u64) {
    let path = home.beside("new-directory");
    DirBuilder::new().mode(0o755).create(&path).unwrap();
    let found = (permissions(&path), fs::metadata(&path).unwrap().len());
    fs::remove_dir(path).unwrap();
    found
}

/// The disk usage of a store as go-ds-flatfs counts it: its files and directories, without the
/// figure's own file and what hides.
pub(crate) fn usage(root: &Path) -> u64 {
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

/// How far two figures of the disk usage may differ for no other reason than that a temp file was
/// there: nothing, where directories have the same size with a file or without.
pub(crate) fn slack_of_dirs(store: &Path) -> u64 {
    let above = store.parent().unwrap();
    let dir = tempfile::tempdir_in(above).unwrap();
    let size = || fs::symlink_metadata(dir.path()).unwrap().len();
    let empty = size();
    fs::write(dir.path().join("file"), b"").unwrap();
    16 * size().abs_diff(empty)
}
