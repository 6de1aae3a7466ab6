//! An async datastore for content-addressed blocks: one file per block, in sharded directories,
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
//! // Writes that belong together: all of them or none, even after a crash.
//! let batch = store.batch().await?;
//! for (name, block) in [("CIQONE", "one"), ("CIQTWO", "two")] {
//!     batch.put(&Key::new(name), Bytes::from(block)).await?;
//! }
//! batch.commit().await?;
//!
//! // The stream returns entries while it reads the directories.
//! let mut entries = store.query(Query::new()).await?;
//! while let Some(entry) = entries.try_next().await? {
//!     println!("{} has {:?} bytes", entry.key, entry.size);
//! }
//!
//! store.close().await?;
//! # Ok(()) }
//! ```
//!
//! It is for nodes that exchange blocks named by their hash, for tools that work on kubo repos, and for anyone who
//! wants blocks as files that other tools can read. It is not for arbitrary keys, for values that change often, or for
//! very many values of a few KiB or less: a database that packs values is faster for those, and takes less space.
//!
//! # Where to look
//!
//! - [`Datastore`] and [`Batch`] are the contract: the verbs of go-datastore, async and object safe. Write code
//!   against `Arc<dyn Datastore>`, and test it with [`MemoryDatastore`].
//! - [`FlatFs`] is the store on disk. [`Options`] opens and creates it.
//! - [`Durability`] has the table of what survives a crash.
//! - [`Query`] selects entries, their order, and whether values and sizes are returned.
//! - [`maintenance`] has tools for whole stores: verify, repair, move, re-shard, convert, count, garbage collection.
//! - [`wrappers`] are datastores on top of other datastores: mounts, namespaces, checks of hashes, automatic
//!   batches.
//! - [`Error`] lists everything that can go wrong. An absent block is not an error.
//! - [Examples](guide::examples) to copy, [recipes for operators](guide::operators), and the
//!   [design](guide::design) with the reasons for it.
//!
//! # Promises
//!
//! - **A commit is all or nothing across a crash**, of the process or the machine.
//! - **An acknowledged write survives a power cut**, unless the store was opened with another [`Durability`]. A
//!   failed flush is reported, and is final.
//! - **`sync` is a real barrier**, in every mode.
//! - **One writer at a time**: a second one, in this process or another, gets [`Error::Locked`]. Readers take no
//!   lock and change nothing on disk.
//! - **Nothing blocks a runtime worker, and dropping a future leaves nothing half done.**
//! - **Memory does not grow with the store**, with these exceptions:
//!   - a query with an order keeps all matching keys, but in the order of the keys at most two million of them;
//!   - concurrent queries beyond a sixteenth of [`max_open_files`](Options::max_open_files) each keep the names in
//!     the directory that they are reading;
//!   - the filters of absent blocks take up to [`max_filter_memory`](Options::max_filter_memory), by default 64 MiB;
//!   - a garbage collection keeps up to 11 bytes for each reachable block without links, and 40 for each other one;
//!   - a count of the disk usage keeps the names of all shard directories, and about twenty bytes for each block of
//!     one of them.
//!
//! # What things cost
//!
//! - On Linux and local file systems, a read of a cached block needs no other thread. On every system, a read of an
//!   absent block needs none either, after the first such read in its shard directory. Other reads take a thread of
//!   tokio's blocking pool.
//! - A durable write waits for flushes of the disk. Concurrent durable writes share them, so write from many
//!   tasks, or write many blocks in one batch: a commit needs a few flushes, whatever the number of blocks.
//! - [`ExistingBlock::Keep`] does not write blocks that already exist.
//! - A query for keys reads directories only. Sizes cost one system call per block, and values one read.
//! - Opening takes the same time for any number of blocks.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `cid` | keys from CIDs and multihashes, in kubo's form |
//! | `verify` | checks of blocks and whole stores against the hashes in the keys, repairs, and a wrapper that checks; implies `cid` |
//! | `dag` | links of blocks and walks over DAGs, see [`dag`], and garbage collection; implies `verify` |
//! | `blockstore` | the trait `Blockstore` of the crate blockstore, for any [`Datastore`]; implies `cid` |
//! | `conformance` | test suites for implementations of the traits |
//! | `metrics` | metrics, for the recorder of the crate metrics: see [`observe`] |
//! | `object-store` | `object`: blocks in an object store, or below a local directory |
//! | `s3`, `gcs`, `azure` | the clients for S3 and servers with its API, Google Cloud Storage, and Azure; imply `object-store` |
//! | `cli` | the program `flatfs`; implies `dag` |
//!
//! No feature is on by default. [`Key`], [`Shard`], [`Durability`], [`ExistingBlock`] and [`DiskUsage`] always
//! implement the serde traits.
//!
//! # Logging
//!
//! The crate emits events and spans of [tracing](https://docs.rs/tracing), with the targets and fields that
//! [`observe`] lists. The level `error` is for events that an operator must look at, such as a failed flush; `warn`
//! is for what was repaired, skipped or postponed; `info` is for an open after a session that was not closed, and the
//! commits that it completes.
//!
//! # Compatibility
//!
//! The format on disk is that of go-ds-flatfs. The tests open, read and write stores made by go-ds-flatfs 0.6.1
//! and kubo 0.22, and compare shard directories with those of go-ds-flatfs. A newer version of this crate opens
//! the stores of every older version.
//!
//! The minimum supported Rust version is 1.89, and only a new minor version raises it. Before 1.0 a minor version
//! may change the API. Enums and structs that can grow are `#[non_exhaustive]`.
//!
//! # Operating systems
//!
//! | system | tested by | what is different |
//! | --- | --- | --- |
//! | Linux | all tests | `syncfs`, reads without another thread, and unnamed files: see the [design](guide::design) |
//! | Windows | nearly all unit, crash, integration and program tests that apply there, under Wine 8 with the target `x86_64-pc-windows-gnu`; not on Windows itself | see below |
//! | macOS | compilation for `aarch64-apple-darwin` only | a flush is `F_FULLFSYNC`, which flushes the cache of the device |
//! | other Unix | nothing | |
//!
//! The stores are the same on all systems. On Windows:
//!
//! - What survives a power cut is in the table of [`Durability`].
//! - Paths are passed to the system in verbatim form (`\\?\`), so that long keys, and shard directories and keys
//!   with the names of devices, such as `CON`, work. Errors and [`FlatFs::path`] show paths without it.
//! - Another program, such as a virus scanner, can have a file open in a way that prevents a step. Steps are then
//!   retried for up to two seconds; a read that is denied access, for a tenth of a second. After that the error
//!   [says so](Error::is_in_use), and the operation can be tried again. Files that this crate has open do not prevent
//!   others from reading, replacing or removing them. Below a `file:///` URL nothing is retried.
//! - Microsoft does not document that a file is replaced in one step for a program that opens it at that moment. A read
//!   of a block that is being overwritten with other contents may find it absent.
//! - A delete returns when the name of the block is gone. Microsoft documents that a removed file keeps its name until
//!   its last handle is closed ([`DeleteFile`](https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-deletefilew)).
//!   Since version 1903 of Windows 10 the name is free at once, as the [authors of
//!   .NET](https://github.com/dotnet/corefx/pull/38186) found, but not under Wine 8. Where the name stays, the delete
//!   waits for up to two seconds. Then it returns the error of a file in use, and the block is removed when the last
//!   program closes it. Until then reads may find the block. A put in this session does not rely on the file: it
//!   replaces the file or returns an error. Under Wine a later session cannot know that the file will be removed. The
//!   disk usage is not exact for the rest of the session, and the next open counts it.
//! - Files have no mode: they inherit their permissions from their directory, and [`Options::file_mode`] has no
//!   effect. The read-only attribute does not protect a block from being replaced or removed.
//! - Directories have no size, so the disk usage is that of the files, as in go-ds-flatfs on Windows.
//! - A directory that is locked cannot be moved by another program.
//!
//! # On disk
//!
//! | path | what it is |
//! | --- | --- |
//! | `SHARDING` | the shard function, such as `/repo/flatfs/shard/v1/next-to-last/2`; during a re-sharding, a line that says so and that no program accepts as a shard function |
//! | `_README` | a note for users, if the shard function is kubo's default |
//! | `<shard>/<KEY>.data` | a block: its bytes, nothing else |
//! | `.temp/` | temp files, staged blocks and commit records; emptied by the next writer that opens the store |
//! | `.quarantine/` | damaged blocks that a repair moved away; never read |
//! | `diskUsage.cache` | the disk usage of the last checkpoint |
//! | `.lock`, `.unclean` | the writer's lock, and a mark that exists while the store is open for writing; go-ds-flatfs ignores both |
//!
//! kubo does not take this crate's lock. [`Options::kubo_lock`] and [`KuboLock`] take kubo's, so that kubo and
//! a writer of this crate exclude each other.
//!
//! # How it is built
//!
//! A module depends only on modules below it:
//!
//! | module | job |
//! | --- | --- |
//! | [`maintenance`], `blockstore`, `conformance` | tools for whole stores; an adapter; test suites |
//! | [`dag`], [`wrappers`] | DAGs of blocks; datastores on top of datastores; they use only the contract and `hash` |
//! | `object` | a datastore in an object store, through the crate object_store |
//! | `flatfs`, `memory` | [`FlatFs`] and [`MemoryDatastore`] as [`Datastore`]s |
//! | `batch` | batches: staging, reads of uncommitted writes, commit |
//! | `store` | [`FlatFs`]: open, read, write, query, flush, commits |
//! | `disk_usage` | the running disk usage, its cache, and its count |
//! | `walk` | the walk over the root, the shard directories and their entries, for queries, tools and counts |
//! | `hash` | checks whether a block matches the hash in its key, without blocking a worker |
//! | `disk`, `blocking`, `sync` | the only access to the file system, and to tokio's blocking pool; locks |
//! | `format` | names, paths and the texts of small files |
//! | [`observe`] | events, spans, metrics |
//! | [`Datastore`], [`query`], [`Key`], [`Error`] | the contract |
//!
//! The [design](guide::design) page follows a put, a get, a commit and a recovery through these modules, and gives
//! the reasons for the decisions.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(unix, windows)))]
compile_error!("ds-flatfs supports Unix and Windows only");

#[cfg(feature = "blockstore")]
pub mod blockstore;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "dag")]
pub mod dag;
#[cfg(any(doc, doctest))]
pub mod guide;
#[cfg(feature = "verify")]
pub mod hash;
pub mod maintenance;
#[cfg(feature = "object-store")]
pub mod object;
pub mod observe;
pub mod query;
pub mod wrappers;

mod batch;
mod blocking;
#[cfg(feature = "cid")]
mod cid_key;
mod datastore;
mod detached;
mod disk;
mod disk_usage;
mod error;
mod flatfs;
mod format;
mod key;
mod memory;
mod store;
mod sync;
#[cfg(test)]
mod testing;
mod walk;

#[cfg(feature = "cid")]
pub use cid;
#[cfg(feature = "object-store")]
pub use object_store;

pub use crate::batch::FlatBatch;
pub use crate::datastore::{
    Accuracy, Batch, BlockingReader, Datastore, DiskUsage, KeyStream, PutStream, ResultStream,
    ResultStreamExt, static_stream,
};
pub use crate::error::{Error, ExpectedEntry, ObjectFailure, Result};
pub use crate::format::Shard;
pub use crate::key::Key;
pub use crate::memory::MemoryDatastore;
pub use crate::query::{Entry, EntryStream, Query};
pub use crate::store::{Durability, ExistingBlock, FlatFs, KuboLock, Options};

/// Compiles and runs the examples of the README with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
