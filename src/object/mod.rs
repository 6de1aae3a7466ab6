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
//! name of the function in the object `<prefix>/SHARDING`, as one line:
//!
//! ```text
//! objects /repo/flatfs/shard/v1/next-to-last/2
//! ```
//!
//! The `SHARDING` of a [`FlatFs`](crate::FlatFs), whose files have other names, has the same line without `objects`, so
//! neither opens the other. Without a shard function there is no such object.
//!
//! [go-ds-s3]: https://github.com/ipfs/go-ds-s3
//!
//! # Durability
//!
//! | | in an object store |
//! | --- | --- |
//! | an acknowledged put, delete or commit | is durable: the stores acknowledge what is [stored], and below a directory (`file:///`) it is flushed |
//! | an unacknowledged put | is the old block or the new one, never a part of one |
//! | an unacknowledged or failed commit | can be stored in part: [`Error::PartlyStored`](crate::Error::PartlyStored) |
//! | everything before a `sync` | is durable already, so `sync` makes no request |
//!
//! In a directory, [`open_url`](ObjectOptions::open_url) flushes each file and its directory before it acknowledges a put,
//! and the directory before a delete or a commit of deletes. After a flush of a directory has failed, further deletes in
//! it fail until the datastore is opened again. A crash can leave a file `KEY#1` of a put that was not acknowledged. It is
//! neither listed nor read, and nothing removes it. Other stores of the crate object_store that are opened with
//! [`open`](ObjectOptions::open) are as durable as they are configured: a `LocalFileSystem` flushes only `with_fsync`,
//! and never a delete.
//!
//! On Windows a put does not flush the directory, and it is not documented what the flush of a delete makes durable (see
//! [`Durability`](crate::Durability)), so a power cut can undo the last puts and deletes in a directory. Steps that
//! another program prevents are not retried there, unlike those of a [`FlatFs`](crate::FlatFs).
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
//! | `delete` | a DELETE; in S3 and Azure a POST, as for many deletes |
//! | `query` for keys or sizes | a LIST for each 1,000 objects below the prefix of the query |
//! | `query` for values | these, and a GET for each block whose key passes the filters |
//! | `disk_usage` | a LIST for each 1,000 objects, at most once an hour: the figure of that call is [exact](crate::Accuracy::Exact) unless others write meanwhile; until the next listing own puts are added, and it is [approximate](crate::Accuracy::Approximate) |
//! | batch | none before the commit; then a PUT for each put, and for each delete a DELETE, in S3 a POST for each 1,000 and in Azure for each 256 |
//!
//! A query [by key](crate::query::Order::by_key) keeps nothing in memory if the [listings have this
//! order](ObjectOptions::lists_in_order), as those of S3 and Google Cloud Storage do. Elsewhere, and with a shard function,
//! it keeps all its entries in memory. Requests that fail are repeated as [`retry`](ObjectOptions) says. For servers of
//! the S3 protocol that cannot delete many objects with one request, the [client option](ObjectOptions::client_option)
//! `disable_bulk_delete` is `true`.
//!
//! # Limits
//!
//! The 404 response to a HEAD request does not say whether the object or the bucket is missing, so only `open`
//! checks the bucket. A block is sent in one PUT request, and is in memory as a whole.
//!
//! Below a directory (`file:///`), a key is the name of a file. It cannot have a component of more than 250 bytes, nor
//! end with `#` and a number, and there are no keys `/a` and `/a/b` at the same time.

mod batch;
mod bucket;
mod client;
mod client_config;
mod commit;
mod datastore;
mod durable_files;
mod failure;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod http;
mod layout;
mod options;
mod query;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod remote;
mod response;
mod shared;
mod staging;
mod usage;

pub use self::batch::ObjectBatch;
pub use self::datastore::ObjectDatastore;
pub use self::options::ObjectOptions;
