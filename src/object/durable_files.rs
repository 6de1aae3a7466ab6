//! [`DurableFiles`]: the files of this machine as an object store whose acknowledged writes are durable.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::PathBuf;

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

/// The maximum number of files that are deleted before their directories are flushed.
const MAX_DELETES: usize = 1000;

/// A [`LocalFileSystem`] that also flushes deletes. It flushes puts itself.
#[derive(Clone, Debug)]
pub(super) struct DurableFiles(LocalFileSystem);

impl DurableFiles {
    pub(super) fn new() -> Self {
        DurableFiles(LocalFileSystem::new().with_fsync(true))
    }

    /// Deletes files, and returns an item for each, or one error if the deletes may not be durable.
    async fn delete_durably(self, paths: Vec<Result<Path>>) -> Vec<Result<Path>> {
        // Also those of files that are not there: an earlier delete of them may have failed at the flush.
        let dirs = paths.iter().flatten();
        let dirs = dirs.filter_map(|path| self.0.path_to_filesystem(path).ok());
        let dirs: BTreeSet<PathBuf> = dirs
            .filter_map(|mut file| file.pop().then_some(file))
            .collect();
        let deleted = self.0.delete_stream(stream::iter(paths).boxed());
        let deleted = deleted.collect().await;
        match flush(dirs).await {
            Ok(()) => deleted,
            Err(error) => vec![Err(object_store::Error::Generic {
                store: "LocalFileSystem",
                source: error.into(),
            })],
        }
    }
}

async fn flush(dirs: BTreeSet<PathBuf>) -> crate::error::Result<()> {
    let flush = |dir: PathBuf| match OsDisk::default().sync_dir(&dir) {
        // Without the directory there was nothing to delete.
        Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => {
            Err(Error::io("sync", dir, error))
        }
        _ => Ok(()),
    };
    blocking::run(move || dirs.into_iter().try_for_each(flush)).await
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
        self.0.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
