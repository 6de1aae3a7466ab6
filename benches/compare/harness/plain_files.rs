//! [`PlainFiles`]: the same files without a store, as an async program would use them by itself.

use std::future::ready;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ds_flatfs::{Key, Shard};

use super::contender::Contender;
use crate::common::Blocks;

/// How the files are accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// By one call of `tokio::fs` for each step.
    TokioFs,
    /// By calls of `std::fs` in the task, which block a worker of the runtime.
    InPlace,
}

/// Files in shard directories: a put writes a temp file and renames it.
#[derive(Clone)]
pub(super) struct PlainFiles {
    root: Arc<Path>,
    calls: Calls,
    temp_count: Arc<AtomicU64>,
}

impl PlainFiles {
    pub(super) fn new(root: &Path, calls: Calls) -> Self {
        std::fs::create_dir_all(root.join(".temp")).expect("a directory");
        PlainFiles {
            root: root.into(),
            calls,
            temp_count: Arc::default(),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        let name = key.name();
        let dir = self.root.join(Shard::default().dir(name));
        dir.join(format!("{name}.data"))
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        let read = match self.calls {
            Calls::TokioFs => tokio::fs::read(path).await,
            Calls::InPlace => std::fs::read(path),
        };
        read.ok()
    }

    async fn len(&self, key: &Key) -> Option<u64> {
        let path = self.path(key);
        let found = match self.calls {
            Calls::TokioFs => tokio::fs::metadata(path).await,
            Calls::InPlace => std::fs::metadata(path),
        };
        Some(found.ok()?.len())
    }

    async fn write(&self, temp: &Path, value: Bytes) {
        let written = match self.calls {
            Calls::TokioFs => tokio::fs::write(temp, value).await,
            Calls::InPlace => std::fs::write(temp, value),
        };
        written.expect("a write");
    }

    async fn rename(&self, temp: &Path, path: &Path) -> std::io::Result<()> {
        match self.calls {
            Calls::TokioFs => tokio::fs::rename(temp, path).await,
            Calls::InPlace => std::fs::rename(temp, path),
        }
    }
}

impl Contender for PlainFiles {
    async fn get(&self, key: &Key) -> Option<usize> {
        Some(self.read(key).await?.len())
    }

    async fn size(&self, key: &Key) -> Option<u64> {
        self.len(key).await
    }

    async fn has(&self, key: &Key) -> bool {
        self.len(key).await.is_some()
    }

    async fn put(&self, key: &Key, value: Bytes) {
        let path = self.path(key);
        let number = self.temp_count.fetch_add(1, Ordering::Relaxed);
        let temp = self.root.join(".temp").join(number.to_string());
        self.write(&temp, value).await;
        if let Err(error) = self.rename(&temp, &path).await {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let dir = path.parent().expect("a parent");
            // Once for each directory, so it does not matter that it blocks.
            std::fs::create_dir_all(dir).expect("a directory");
            self.rename(&temp, &path).await.expect("a rename");
        }
    }

    async fn delete(&self, key: &Key) {
        let path = self.path(key);
        let removed = match self.calls {
            Calls::TokioFs => tokio::fs::remove_file(path).await,
            Calls::InPlace => std::fs::remove_file(path),
        };
        removed.expect("a removal");
    }

    async fn batch(&self, blocks: &Blocks) {
        for (index, key) in blocks.keys.iter().enumerate() {
            self.put(key, blocks.value(index)).await;
        }
    }

    fn keys(&self) -> impl Future<Output = usize> + Send {
        ready(0)
    }

    fn get_many(&self, _: &Blocks) -> impl Future<Output = usize> + Send {
        ready(0)
    }

    fn has_many(&self, _: &Blocks) -> impl Future<Output = usize> + Send {
        ready(0)
    }
}
