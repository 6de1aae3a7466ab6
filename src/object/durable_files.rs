//! [`DurableFiles`]: the files of this machine as an object store whose acknowledged writes are durable.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::blocking;
use crate::disk::{Disk, OsDisk};
use crate::error::Error;
use crate::sync::lock;

/// The maximum number of files that are deleted before their directories are flushed.
const MAX_DELETES: usize = 1000;

/// A [`LocalFileSystem`] that also flushes deletes. It flushes puts itself.
#[derive(Clone, Debug)]
pub(super) struct DurableFiles {
    files: LocalFileSystem,
    /// The directories whose flush has failed. The system may report such an error only once, so a later flush that
    /// succeeds does not prove that the deletes are durable.
    failed: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl DurableFiles {
    pub(super) fn new() -> Self {
        DurableFiles {
            files: LocalFileSystem::new().with_fsync(true),
            failed: Arc::default(),
        }
    }

    /// Returns the path of an object.
    pub(super) fn file(path: &Path) -> Option<PathBuf> {
        LocalFileSystem::new().path_to_filesystem(path).ok()
    }

    /// Deletes files, and returns an item for each, or one error if the deletes may not be durable.
    async fn delete_durably(self, paths: Vec<Result<Path>>) -> Vec<Result<Path>> {
        // Also those of files that are not there: an earlier delete of them may have failed at the flush.
        let dirs = paths.iter().flatten();
        let dirs = dirs.filter_map(|path| self.files.path_to_filesystem(path).ok());
        let dirs: BTreeSet<PathBuf> = dirs
            .filter_map(|mut file| file.pop().then_some(file))
            .collect();
        if let Err(error) = self.check(&dirs) {
            return vec![Err(error_of(error))];
        }
        let deleted = self.files.delete_stream(stream::iter(paths).boxed());
        let deleted = deleted.collect().await;
        match self.flush(dirs).await {
            Ok(()) => deleted,
            Err(error) => vec![Err(error_of(error))],
        }
    }

    /// Refuses deletes in a directory whose flush has failed.
    fn check(&self, dirs: &BTreeSet<PathBuf>) -> crate::error::Result<()> {
        match lock(&self.failed).intersection(dirs).next() {
            Some(dir) => {
                let reason = "an earlier flush failed: open the datastore again before you delete";
                Err(Error::io("sync", dir, io::Error::other(reason)))
            }
            None => Ok(()),
        }
    }

    async fn flush(self, dirs: BTreeSet<PathBuf>) -> crate::error::Result<()> {
        let flush = move |dir: PathBuf| match OsDisk::default().sync_dir(&dir) {
            // Without the directory there was nothing to delete.
            Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => {
                lock(&self.failed).insert(dir.clone());
                Err(Error::io("sync", dir, error))
            }
            _ => Ok(()),
        };
        blocking::run(move || dirs.into_iter().try_for_each(flush)).await
    }
}

fn error_of(error: Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "LocalFileSystem",
        source: error.into(),
    }
}

#[async_trait]
impl ObjectStore for DurableFiles {
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let files = self.clone();
        paths
            .chunks(MAX_DELETES)
            .then(move |paths| files.clone().delete_durably(paths))
            .flat_map(stream::iter)
            .boxed()
    }

    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.files.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(path, options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_failed_flush_of_a_directory_deletes_in_it_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = DurableFiles::new();
        let delete = async |name: &str| {
            let path = Path::from_absolute_path(dir.path().join(name)).unwrap();
            files
                .put_opts(&path, "block".into(), PutOptions::default())
                .await
                .unwrap();
            let results = files.clone().delete_durably(vec![Ok(path.clone())]).await;
            let is_left = files.get_opts(&path, GetOptions::default()).await.is_ok();
            (results.into_iter().all(|result| result.is_ok()), is_left)
        };
        assert_eq!(delete("A").await, (true, false));
        let path = Path::from_absolute_path(dir.path().join("A")).unwrap();
        let file = DurableFiles::file(&path).unwrap();
        lock(&files.failed).insert(file.parent().unwrap().to_owned());
        assert_eq!(delete("A").await, (false, true));
        assert_eq!(delete("below/A").await, (true, false));
    }
}
