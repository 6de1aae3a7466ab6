//! An async datastore for content-addressed blocks: one file a block, in sharded directories,
//! byte-compatible on disk with go-ds-flatfs and kubo.
//!
//! ```
//! use bytes::Bytes;
//! use ds_flatfs::{FlatFs, Key, Query};
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("blocks");
//! let store = FlatFs::options().open_or_create(path).await?;
//!
//! // Writes that belong together: all of them, or after a crash none.
//! let batch = store.batch().await?;
//! for (name, block) in [("CIQONE", "one"), ("CIQTWO", "two")] {
//!     batch.put(&Key::new(name), Bytes::from(block)).await?;
//! }
//! batch.commit().await?;
//!
//! // Entries come while the directories are read.
//! let mut entries = store.query(Query::new()).await?;
//! while let Some(entry) = entries.try_next().await? {
//!     println!("{} has {:?} bytes", entry.key, entry.size);
//! }
//!
//! store.close().await?;
//! # Ok(()) }
//! ```
//!
//! It is for nodes that exchange blocks named by their hash, for tools on repos of kubo, and for whoever
//! wants blocks as files that every other tool can read too. It is not for keys of any shape, for values
//! that change often, or for very many values of a few hundred bytes: there a database that packs them is
//! faster and smaller.
//!
//! # Where to look
//!
//! - [`Datastore`] and [`Batch`] are the contract: go-datastore's verbs, awaited and object safe. Code
//!   against `Arc<dyn Datastore>`, and test it with [`MemoryDatastore`].
//! - [`FlatFs`] is the store on disk. [`Options`] opens and creates it.
//! - [`Durability`] has the table of what survives a crash.
//! - [`Query`] says which entries are wanted, how sorted, and how much of each.
//! - [`maintenance`] has tools for whole stores: verify, repair, move, re-shard, convert, count.
//! - [`wrappers`] stand on other datastores: mounts, namespaces, checks of hashes, automatic batches.
//! - [`Error`] is everything that can go wrong. That a block is absent is not an error.
//! - [Examples](guide::examples) to copy, and [recipes for operators](guide::operators).
//!
//! # Promises
//!
//! - **A commit is all or nothing across a crash**, of the process or the machine.
//! - **An acknowledged write stays**, also after a power cut, unless another [`Durability`] was asked
//!   for. A failed flush is reported, and never retried into a success.
//! - **`sync` is a real barrier**, in every mode.
//! - **One writer at a time**: a second one, in this process or another, gets [`Error::Locked`]. Readers
//!   need no lock and change nothing on disk.
//! - **Nothing blocks a runtime worker, and nothing is half done when a future is dropped.**
//! - **No memory grows with the store**, but for queries that sort; for more queries at a time than a
//!   sixteenth of [`max_open_files`](Options::max_open_files), the later of which keep the names of the
//!   directory that they are reading; and while the disk usage is counted, for the names of the
//!   directories, and some twenty bytes a block of one of them.
//!
//! # What costs what
//!
//! - A read that memory can answer is answered where it is asked, on Linux and local file systems; others
//!   take a thread of tokio's blocking pool.
//! - A durable write costs flushes of the disk. Those that come while one runs share the next one, so write
//!   from many tasks at a time, or many blocks in one batch: a commit costs a few flushes, however many
//!   blocks it has.
//! - [`ExistingBlock::Keep`] saves the writing of blocks that are there.
//! - A query for keys alone reads directories only; sizes cost a system call each, values a read. Orders
//!   need all matching keys in memory.
//! - Opening takes the same time for any number of blocks.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `cid` | keys from CIDs and multihashes, as kubo names its blocks |
//! | `verify` | checks of blocks and of whole stores against the hashes in the keys, repairs, and a wrapper that checks; implies `cid` |
//! | `blockstore` | the trait `Blockstore` of the crate blockstore, over any [`Datastore`]; implies `cid` |
//! | `conformance` | test suites that any implementation of the traits can run |
//! | `metrics` | figures for the recorder of the crate metrics: see [`observe`] |
//! | `cli` | the program `flatfs`; implies `verify` |
//!
//! None is on by default. [`Key`], [`Shard`], [`Durability`], [`ExistingBlock`] and [`DiskUsage`] work with
//! serde without one.
//!
//! # What it tells
//!
//! Events and spans of [tracing](https://docs.rs/tracing), with the targets and fields that [`observe`] lists: at the level
//! error what an operator must look at, such as a flush that failed; at warn what was put right, left out or
//! put off; at info commits that an open completes.
//!
//! # Compatibility
//!
//! The format on disk is go-ds-flatfs's. Stores that go-ds-flatfs 0.6.1 and kubo 0.22 wrote are opened,
//! read and written in the tests, and the directories of keys are compared with what go-ds-flatfs answers.
//! A newer version of this crate opens the stores of every older one.
//!
//! It needs Rust 1.89; a newer one is asked for only with a new minor version. Before 1.0 a minor version
//! may change the API. Enums and structs that can grow are `#[non_exhaustive]`.
//!
//! It runs on Unix. It is tested on Linux; elsewhere it does without `syncfs`, reads from memory without a
//! thread, and files without a name.
//!
//! # On disk
//!
//! | path | what it is |
//! | --- | --- |
//! | `SHARDING` | the shard function, as `/repo/flatfs/shard/v1/next-to-last/2`; while it is changed, a line that says so and that no program takes for one |
//! | `_README` | a note for people, if the function is kubo's default |
//! | `<shard>/<KEY>.data` | a block: its bytes, nothing else |
//! | `.temp/` | everything in flight; emptied by the next writer that opens the store |
//! | `.quarantine/` | damaged blocks that a repair took out of the way; nobody looks into it |
//! | `diskUsage.cache` | the disk usage of the last checkpoint |
//! | `.lock`, `.unclean` | the writer's lock, and a mark that is there while the store is open for writing; go-ds-flatfs knows neither and ignores both |
//!
//! kubo doesn't take this crate's lock: don't open a repo's blocks for writing while its daemon runs.
//!
//! # How it is built
//!
//! Arrows point down only:
//!
//! | module | job |
//! | --- | --- |
//! | `blockstore` | an adapter on the contract; it knows that and `hash` alone |
//! | [`maintenance`] | tools for whole stores |
//! | [`wrappers`] | datastores on datastores; they know the contract and `hash` alone |
//! | `flatfs` | [`FlatFs`] as a [`Datastore`] |
//! | `batch` | batches: staging, reads over the store, commit |
//! | `store` | [`FlatFs`]: open, read, write, scan, flush, commits |
//! | `disk_usage`, `intent`, `resharding` | the running figure; the texts of a commit's record, and of a store whose shard function is being changed |
//! | `layout`, [`Shard`] | names and paths |
//! | `hash` | whether a block is the one of its key, found out without blocking a worker |
//! | `disk` | the only door to the file system and to the blocking pool |
//! | [`observe`] | what is reported: events, spans, figures |
//! | [`Datastore`], [`query`], [`Key`], [`Error`] | the contract |
//!
//! An operation that takes several steps on disk is one job on tokio's blocking pool, which owns its
//! key's turn, its permit and its bytes. A put makes a file that no reader sees and then gives it its
//! place: since Linux 6.10 a new block is a file without a name that is linked there, elsewhere a temp file
//! that is renamed. Durable puts and deletes that come while a flush runs are one group, with two flushes for all of
//! them; the others share a few threads and a queue. A commit writes an intent record into its batch's
//! directory, which is the commit point, then links all blocks to their places, and removes the directory when it
//! is acknowledged; an open carries on where a crash stopped that.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!("ds-flatfs needs a Unix: it relies on its renames and advisory locks");

#[cfg(feature = "blockstore")]
pub mod blockstore;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(doc, doctest))]
pub mod guide;
#[cfg(feature = "verify")]
pub mod hash;
pub mod maintenance;
pub mod observe;
pub mod query;
pub mod wrappers;

mod batch;
mod blocking;
#[cfg(feature = "cid")]
mod cid_key;
mod datastore;
mod disk;
mod disk_usage;
mod error;
mod flatfs;
mod format;
mod key;
mod memory;
mod store;
#[cfg(test)]
mod testing;

#[cfg(feature = "cid")]
pub use cid;

pub use crate::batch::FlatBatch;
pub use crate::datastore::{
    Accuracy, Batch, Datastore, DiskUsage, KeyStream, PutStream, ResultStream, static_stream,
};
pub use crate::error::{Error, Result};
pub use crate::format::Shard;
pub use crate::key::Key;
pub use crate::memory::MemoryDatastore;
pub use crate::query::{Entry, EntryStream, Query};
pub use crate::store::{Durability, ExistingBlock, FlatFs, Options};

/// The README's examples are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
