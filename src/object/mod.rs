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

mod batch;
mod bucket;
mod client;
mod datastore;
mod failure;
mod layout;
mod options;
mod query;
mod shared;
mod usage;

pub use self::batch::ObjectBatch;
pub use self::datastore::ObjectDatastore;
pub use self::options::ObjectOptions;
