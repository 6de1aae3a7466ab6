//! [`ObjectOptions`]: how an object store is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use super::bucket::Bucket;
use super::client;
use super::client_config::ClientConfig;
use super::datastore::ObjectDatastore;
use super::layout::ObjectLayout;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::format::{Shard, object_marker};
use crate::observe::{Operation, target};
use crate::store::ExistingBlock;

/// Options to open an [`ObjectDatastore`].
#[derive(Clone)]
pub struct ObjectOptions {
    prefix: String,
    shard: Option<Shard>,
    existing: ExistingBlock,
    concurrency: usize,
    batch_memory: u64,
    lists_in_order: Option<bool>,
    client: ClientConfig,
}

impl ObjectDatastore {
    /// Returns the options to open a datastore.
    #[must_use]
    pub fn options() -> ObjectOptions {
        ObjectOptions::new()
    }
}

impl Default for ObjectOptions {
    fn default() -> Self {
        ObjectOptions::new()
    }
}

impl ObjectOptions {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        ObjectOptions {
            prefix: String::new(),
            shard: None,
            existing: ExistingBlock::default(),
            concurrency: 64,
            batch_memory: 64 << 20,
            lists_in_order: None,
            client: ClientConfig::default(),
        }
    }

    /// Stores the blocks below this prefix, which go-ds-s3 calls the root directory. `blocks` and `/blocks/` are the
    /// same prefix, and it has nothing in common with `blocks2`. The default is the root of the bucket.
    /// [`open_url`](ObjectOptions::open_url) takes the prefix from the URL instead.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Requires this shard function, and uses it for a new datastore. The default is that of an existing datastore, or
    /// the layout of go-ds-s3, which has none.
    ///
    /// S3 limits the requests to one prefix, and raises the limit for prefixes under load. Blocks named by a hash are
    /// spread evenly over any prefix, so few buckets need this option. With a shard function, only the keys that
    /// [`FlatFs`](crate::FlatFs) accepts can be stored, and go-ds-s3 cannot read the blocks.
    #[must_use]
    pub fn shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Sets what a put does if its key has a block. [`ExistingBlock::Keep`] sends a HEAD request first, and sends the
    /// block only if no block of the same size exists.
    #[must_use]
    pub fn existing_block(mut self, existing: ExistingBlock) -> Self {
        self.existing = existing;
        self
    }

    /// Sets how many requests a bulk read, a query for values or the puts of a commit make at the same time. The default
    /// is 64. For many deletes object_store has limits of its own: 20 requests at a time on S3 and Azure, each for up to
    /// 1,000 or 256 blocks, and 10 on other stores.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// Sets how many bytes of blocks a batch keeps in memory until the commit. What exceeds this is written to an
    /// anonymous temp file. The default is 64 MiB. The keys of a batch are always in memory.
    #[must_use]
    pub fn batch_memory(mut self, bytes: u64) -> Self {
        self.batch_memory = bytes;
        self
    }

    /// Sets whether the store lists objects in the byte order of their names. If it does, a query
    /// [by key](crate::query::Order::by_key) keeps nothing in memory, and fails at an object that is out of order.
    ///
    /// The default is `true` for the URLs of S3 and Google Cloud Storage, and `false` for other URLs, for directory buckets
    /// of S3, and for every store given to [`open`](ObjectOptions::open): set it if that is a client of S3 or Google Cloud
    /// Storage. It has no effect on a datastore with a [shard function](ObjectOptions::shard), which is never in order.
    #[must_use]
    pub fn lists_in_order(mut self, lists_in_order: bool) -> Self {
        self.lists_in_order = Some(lists_in_order);
        self
    }

    /// Sets an option of the client that [`open_url`](ObjectOptions::open_url) makes, such as `endpoint`, `region`,
    /// `allow_http` or `timeout`. The names are those of object_store:
    /// [S3](https://docs.rs/object_store/0.14/object_store/aws/enum.AmazonS3ConfigKey.html),
    /// [Google](https://docs.rs/object_store/0.14/object_store/gcp/enum.GoogleConfigKey.html),
    /// [Azure](https://docs.rs/object_store/0.14/object_store/azure/enum.AzureConfigKey.html),
    /// [HTTP](https://docs.rs/object_store/0.14/object_store/enum.ClientConfigKey.html). They take precedence over
    /// environment variables.
    #[must_use]
    pub fn client_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.client.options.push((name.into(), value.into()));
        self
    }

    /// Sets how often and for how long the client that [`open_url`](ObjectOptions::open_url) makes retries a request.
    /// The default is ten times within three minutes. Features `s3`, `gcs`, `azure`.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    #[must_use]
    pub fn retry(mut self, retry: object_store::RetryConfig) -> Self {
        self.client.retry = retry;
        self
    }

    /// Opens the datastore in this store.
    ///
    /// A prefix without objects is an empty datastore with the layout of go-ds-s3, so nothing needs to be created
    /// unless a [shard function](ObjectOptions::shard) is wanted.
    ///
    /// # Errors
    ///
    /// - [`Error::ShardMismatch`]: the datastore does not have the requested shard function.
    /// - [`Error::NotAStore`]: its `SHARDING` is that of a [`FlatFs`](crate::FlatFs), or is not a marker.
    /// - [`Error::InvalidShard`]: its `SHARDING` object does not name a shard function.
    /// - [`Error::InvalidOption`]: an option has an invalid value.
    /// - [`Error::ObjectStore`]: a request failed.
    pub async fn open(&self, store: Arc<dyn ObjectStore>) -> Result<ObjectDatastore> {
        self.opener(store)?.open().await
    }

    /// Creates an empty datastore in this store and opens it. It writes an object only for a
    /// [shard function](ObjectOptions::shard).
    ///
    /// # Errors
    ///
    /// Returns [`Error::Exists`] if there are objects below the prefix, and the errors of
    /// [`open`](ObjectOptions::open).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the datastore may or may not exist.
    pub async fn create(&self, store: Arc<dyn ObjectStore>) -> Result<ObjectDatastore> {
        self.opener(store)?.create().await
    }

    /// Opens the datastore at a URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
    /// `file:///path`. `s3a`, `azure`, `adl`, `abfs` and `abfss` are other names of these schemes. The address of a server
    /// (`https://…`) is not a URL of a bucket: it is the option `endpoint`.
    ///
    /// The client is configured by the environment variables that object_store reads, such as `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT` and `AWS_ALLOW_HTTP`, and by
    /// [`client_option`](ObjectOptions::client_option).
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidUrl`] if the URL or an option is invalid, or if the crate was built without the feature
    /// for the URL, and the errors of [`open`](ObjectOptions::open).
    pub async fn open_url(&self, url: &str) -> Result<ObjectDatastore> {
        self.url_opener(url)?.open().await
    }

    /// Creates an empty datastore at a URL and opens it, as [`create`](ObjectOptions::create) does.
    ///
    /// # Errors
    ///
    /// As for [`create`](ObjectOptions::create) and [`open_url`](ObjectOptions::open_url).
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](ObjectOptions::create).
    pub async fn create_url(&self, url: &str) -> Result<ObjectDatastore> {
        self.url_opener(url)?.create().await
    }

    fn opener(&self, store: Arc<dyn ObjectStore>) -> Result<Opener<'_>> {
        let root = Path::parse(&self.prefix).map_err(|_| Error::InvalidOption {
            option: "prefix",
            reason: "it must have no empty, `.` or `..` component and no control character",
        })?;
        let name = store.to_string();
        Opener::new(self, Bucket::new(store, name, false), root)
    }

    fn url_opener(&self, url: &str) -> Result<Opener<'_>> {
        let (bucket, root) = client::connect(url, &self.client)?;
        Opener::new(self, bucket, root)
    }
}

/// The values of client options can be secrets and are not shown.
impl fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.client.options.iter().map(|(name, _)| name);
        f.debug_struct("ObjectOptions")
            .field("prefix", &self.prefix)
            .field("shard", &self.shard)
            .field("existing_block", &self.existing)
            .field("concurrency", &self.concurrency)
            .field("batch_memory", &self.batch_memory)
            .field("lists_in_order", &self.lists_in_order)
            .field("client_options", &Vec::from_iter(names))
            .finish_non_exhaustive()
    }
}

/// What an open needs to know.
struct Opener<'a> {
    options: &'a ObjectOptions,
    bucket: Bucket,
    root: Path,
}

impl<'a> Opener<'a> {
    fn new(options: &'a ObjectOptions, mut bucket: Bucket, root: Path) -> Result<Self> {
        if options.concurrency == 0 {
            return Err(Error::InvalidOption {
                option: "concurrency",
                reason: "it must be at least 1",
            });
        }
        if let Some(lists_in_order) = options.lists_in_order {
            bucket.set_ordered(lists_in_order);
        }
        Ok(Opener {
            options,
            bucket,
            root,
        })
    }

    async fn open(self) -> Result<ObjectDatastore> {
        Operation::begin("open").end(self.find().await)
    }

    async fn find(self) -> Result<ObjectDatastore> {
        let found = self.read_marker().await?;
        match self.options.shard {
            Some(wanted) if found != Some(wanted) => Err(Error::ShardMismatch {
                path: self.path(),
                found: found.map_or_else(
                    || "no shard function, which is the layout of go-ds-s3".to_owned(),
                    |found| found.to_string(),
                ),
                wanted: wanted.to_string(),
            }),
            _ => Ok(self.datastore(found)),
        }
    }

    async fn create(self) -> Result<ObjectDatastore> {
        if let Some(object) = self.bucket.list(&self.root).next().await {
            object?;
            return Err(Error::Exists { path: self.path() });
        }
        if let Some(shard) = self.options.shard {
            let marker = ObjectLayout::marker(&self.root);
            let text = object_marker::encode(shard);
            // Another process may create a datastore here with another shard function at the same time. The same marker
            // is also there if the response to a first attempt was lost.
            let is_new = self.bucket.create(&marker, text.into()).await?;
            if !is_new && self.read_marker().await? != Some(shard) {
                return Err(Error::Exists { path: self.path() });
            }
        }
        let shard = self.options.shard;
        Ok(self.datastore(shard))
    }

    /// Returns the shard function of the datastore.
    async fn read_marker(&self) -> Result<Option<Shard>> {
        let marker = ObjectLayout::marker(&self.root);
        let Some(text) = self.bucket.get(&marker).await? else {
            // For a GET request some servers do not distinguish a missing bucket from a missing object. For a LIST
            // request they do.
            let first = self.bucket.list(&self.root).next().await;
            return first.transpose().map(|_| None);
        };
        let text = String::from_utf8_lossy(&text);
        match object_marker::decode(&text)? {
            Some(shard) => Ok(Some(shard)),
            None => Err(self.not_a_marker(&text)),
        }
    }

    fn not_a_marker(&self, text: &str) -> Error {
        // Also the marker of a re-sharding.
        if text.starts_with("/repo/flatfs/shard/") {
            return Error::NotAStore {
                path: self.path(),
                reason: "it has the files of a FlatFs directory: open the directory by its path instead of a URL; \
                    a copy of its blocks into a bucket is made by `flatfs copy`",
            };
        }
        Error::NotAStore {
            path: self.path(),
            reason: "it has an object SHARDING that is not the marker of a shard function",
        }
    }

    fn datastore(self, shard: Option<Shard>) -> ObjectDatastore {
        let layout = ObjectLayout::new(self.root, shard).with_files(self.bucket.has_files());
        let options = self.options;
        let mut shared = Shared::new(self.bucket, layout, options.concurrency);
        shared.existing = options.existing;
        shared.batch_memory = options.batch_memory;
        let datastore = ObjectDatastore::new(shared);
        tracing::debug!(target: target::STORE, location = datastore.location(), ?shard, "opened");
        datastore
    }

    fn path(&self) -> PathBuf {
        self.bucket.location(&self.root).into()
    }
}
