//! [`ObjectDatastore`]: blocks in an object store such as S3. Feature `object-store`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ds_flatfs::object::ObjectDatastore;
//! use ds_flatfs::object_store::memory::InMemory;
//! use ds_flatfs::{Datastore, Key};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
//! let bucket = Arc::new(InMemory::new());
//! let blocks = ObjectDatastore::options().prefix("blocks").open(bucket).await?;
//! blocks.put(&Key::new("CIQONE"), "a block".into()).await?;
//! assert_eq!(blocks.get_size(&Key::new("CIQONE")).await?, Some(7));
//! # Ok(()) }
//! ```
//!
//! # Layout
//!
//! The block of the key `/KEY` is the object `<prefix>/KEY`, as in [go-ds-s3], so kubo and this crate can use the same
//! bucket. A datastore with a [shard function](ObjectOptions::shard) stores `<prefix>/<shard>/KEY` instead, and the
//! name of the function in the object `<prefix>/SHARDING`.
//!
//! [go-ds-s3]: https://github.com/ipfs/go-ds-s3
//!
//! # Durability
//!
//! | | in an object store |
//! | --- | --- |
//! | an acknowledged put, delete or commit | is durable: the stores acknowledge what is [stored], and the client for directories flushes |
//! | an unacknowledged put | is the old block or the new one, never a part of one |
//! | an unacknowledged or failed commit | can be stored in part: [`Error::PartlyStored`](crate::Error::PartlyStored) |
//! | everything before a `sync` | is durable already, so `sync` makes no request |
//!
//! A commit sends its puts before its deletes, and can be [repeated](ObjectBatch::commit) after an error.
//!
//! Several processes can write to one bucket if the keys are hashes of the blocks: storing a block twice changes
//! nothing. For other keys the last put wins. No process takes a lock.
//!
//! [stored]: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DataDurability.html
//!
//! # Requests
//!
//! | call | requests |
//! | --- | --- |
//! | `open` | a GET, and a LIST unless there is a shard function |
//! | `get` | a GET |
//! | `has`, `get_size` | a HEAD |
//! | `put` | a PUT; with [`ExistingBlock::Keep`](crate::ExistingBlock::Keep) a HEAD before it, and the PUT only if it is needed |
//! | `delete` | a DELETE |
//! | `query` for keys or sizes | a LIST for each 1,000 objects below the prefix of the query |
//! | `query` for values | these, and a GET for each block |
//! | `disk_usage` | a LIST for each 1,000 objects, at most once an hour; in between, the puts of this handle are added, and the figure is [approximate](crate::Accuracy::Approximate) |
//! | batch | none before the commit; then a PUT for each put, and in S3 a request for each 1,000 deletes |
//!
//! A query [by key](crate::query::Order::by_key) keeps nothing in memory on S3 and Google Cloud Storage, whose listings
//! have this order. Requests that fail are retried, as set by [`retry`](ObjectOptions).
//!
//! # Limits
//!
//! The 404 response to a HEAD request does not say whether the object or the bucket is missing, so only `open`
//! checks the bucket. A block is sent in one PUT request, and is in memory as a whole.

mod batch;
mod bucket;
mod client;
mod commit;
mod datastore;
mod failure;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod http;
mod layout;
mod options;
mod query;
mod shared;
mod staging;
mod usage;

pub use self::batch::ObjectBatch;
pub use self::datastore::ObjectDatastore;
pub use self::options::ObjectOptions;
