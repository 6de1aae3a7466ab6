//! [`Rigged`]: an object store in memory that counts requests and refuses some.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ds_flatfs::object_store::memory::InMemory;
use ds_flatfs::object_store::path::Path;
use ds_flatfs::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};

#[derive(Debug, Default)]
pub(super) struct Rigged {
    pub(super) inner: InMemory,
    pub(super) requests: AtomicUsize,
    /// Puts of this object fail.
    pub(super) refused: Mutex<Option<&'static str>>,
    /// The writes, in the order in which they were made.
    pub(super) log: Arc<Mutex<Vec<String>>>,
    is_backwards: AtomicBool,
}

impl Rigged {
    fn count(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Listings are in the wrong order from now on.
    pub(super) fn lists_backwards(&self) {
        self.is_backwards.store(true, Ordering::SeqCst);
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl fmt::Display for Rigged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rigged")
    }
}

#[async_trait]
impl ObjectStore for Rigged {
    async fn put_opts(&self, path: &Path, value: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.count();
        // So that other tasks can make requests between two of this one.
        tokio::task::yield_now().await;
        if self
            .refused
            .lock()
            .unwrap()
            .is_some_and(|name| path.as_ref() == name)
        {
            let source = "no".into();
            return Err(Error::PermissionDenied {
                path: path.to_string(),
                source,
            });
        }
        self.log.lock().unwrap().push(format!("put {path}"));
        self.inner.put_opts(path, value, o).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.count();
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.count();
        let log = Arc::clone(&self.log);
        let paths = paths.inspect(move |path| {
            let path = path.as_ref().unwrap();
            log.lock().unwrap().push(format!("delete {path}"));
        });
        self.inner.delete_stream(paths.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count();
        let objects = self.inner.list(prefix);
        if !self.is_backwards.load(Ordering::SeqCst) {
            return objects;
        }
        let backwards = objects.collect().map(|mut objects: Vec<_>| {
            objects.reverse();
            stream::iter(objects)
        });
        backwards.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
