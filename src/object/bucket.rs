//! [`Bucket`]: the requests to an object store.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use super::durable_files::DurableFiles;
use super::failure;
use crate::error::{Error, ObjectFailure, Result};

/// An object store, and its name for messages.
#[derive(Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The URL of the bucket, or the name of the store.
    name: String,
    /// Whether a listing returns objects in the byte order of their names.
    is_ordered: bool,
    /// Whether the objects are files.
    has_files: bool,
}

impl Bucket {
    pub(super) fn new(store: Arc<dyn ObjectStore>, name: String, is_ordered: bool) -> Self {
        Bucket {
            store,
            name,
            is_ordered,
            has_files: false,
        }
    }

    /// Returns the bucket of all files of this machine. An acknowledged write is durable, as in the other stores.
    pub(super) fn of_files() -> Self {
        let files = Arc::new(DurableFiles::new());
        Bucket {
            has_files: true,
            ..Bucket::new(files, "file://".to_owned(), false)
        }
    }

    /// Whether the objects are files.
    pub(super) fn has_files(&self) -> bool {
        self.has_files
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    pub(super) fn set_ordered(&mut self, is_ordered: bool) {
        self.is_ordered = is_ordered;
    }

    /// Returns the URL of an object for messages.
    pub(super) fn location(&self, path: &Path) -> String {
        format!("{}/{path}", self.name)
    }

    fn error(&self, action: &'static str, path: &Path, source: object_store::Error) -> Error {
        let file = self.has_files.then(|| DurableFiles::file(path)).flatten();
        failure::error(action, self.location(path), file, source)
    }

    /// Returns the value of a read, or `None` if the object does not exist.
    fn found<T>(
        &self,
        action: &'static str,
        path: &Path,
        result: object_store::Result<T>,
    ) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if failure::is_absent(&error) => Ok(None),
            Err(error) => Err(self.error(action, path, error)),
        }
    }

    pub(super) async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let Some(object) = self.found("read", path, self.store.get(path).await)? else {
            return Ok(None);
        };
        let size = object.meta.size;
        let value = object.bytes().await;
        let value = value.map_err(|error| self.error("read", path, error))?;
        // A truncated body must not be returned as a block.
        if value.len() as u64 != size {
            return Err(Error::ObjectStore {
                action: "read",
                location: self.location(path),
                failure: ObjectFailure::Other,
                source: format!("the response has {} of {size} bytes", value.len()).into(),
            });
        }
        Ok(Some(value))
    }

    /// Returns the size of an object.
    pub(super) async fn size(&self, path: &Path) -> Result<Option<u64>> {
        let found = self.found("look up", path, self.store.head(path).await)?;
        Ok(found.map(|meta| meta.size))
    }

    pub(super) async fn put(&self, path: &Path, value: Bytes) -> Result<()> {
        match self.store.put(path, value.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("write", path, error)),
        }
    }

    /// Writes an object if it does not exist, and returns whether it did not. A store that has no such request
    /// overwrites the object.
    pub(super) async fn create(&self, path: &Path, value: Bytes) -> Result<bool> {
        let options = PutMode::Create.into();
        match self
            .store
            .put_opts(path, value.clone().into(), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) if failure::is_unsupported(&error) => {
                self.put(path, value).await.map(|()| true)
            }
            Err(error) => Err(self.error("write", path, error)),
        }
    }

    /// Deletes an object. It is not an error if the object does not exist.
    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        let deleted = self.store.delete(path).await;
        self.found("delete", path, deleted).map(|_| ())
    }

    /// Deletes objects below a prefix, with one request for up to 1,000 of them if the store supports that. Returns an item for each
    /// of them. It is not an error if one does not exist.
    pub(super) fn delete_all(
        &self,
        prefix: &Path,
        paths: impl Iterator<Item = Path> + Send + 'static,
    ) -> BoxStream<'static, Result<()>> {
        let (bucket, prefix) = (self.clone(), prefix.clone());
        let paths = stream::iter(paths.map(Ok));
        let deleted = self.store.delete_stream(paths.boxed());
        deleted
            .map(move |deleted| match deleted {
                Err(error) if !failure::is_absent(&error) => {
                    Err(bucket.error("delete objects in", &prefix, error))
                }
                _ => Ok(()),
            })
            .boxed()
    }

    /// Lists the objects below a prefix, which ends at a `/`.
    pub(super) fn list(&self, prefix: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let (bucket, path) = (self.clone(), prefix.clone());
        let objects = self.store.list(Some(prefix));
        objects
            .filter_map(move |object| {
                ready(match object {
                    Ok(object) => Some(Ok(object)),
                    Err(error) if failure::has_file_as_parent(&error) => None,
                    Err(error) => Some(Err(bucket.error("list", &path, error))),
                })
            })
            .boxed()
    }
}
