//! [`Gc`]: removes the blocks that can't be reached from some roots.
//!
//! The mark comes first. It finds every block that can be reached, and only if none of those that it has to read
//! is missing or damaged, the sweep lists the store and removes the others, each by one unlink. So a collection
//! that is killed has removed some of the garbage and nothing else, and the same call removes the rest.

mod any;
mod garbage;
mod lost;
mod oldest;
mod options;
mod run;
mod sweep;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cid::Cid;
use futures::stream::{self, Stream, StreamExt};

use self::options::{GcOptions, Room};
use self::sweep::GarbageCallback;
use super::progress::{Progress, ProgressCallback};
use super::skipped::Skipped;
use crate::dag::{Root, Roots, UnknownCodec};
use crate::datastore::Datastore;
use crate::disk::OsDisk;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{FlatFs, locate};

/// Removes the blocks of a store that can't be reached from some roots, which is called garbage collection. Feature
/// `dag`.
///
/// First it follows all links from the roots. Every block that may have links is read once and checked against
/// its hash, and a second time if a block without links is missing; blocks of codecs without links, such as raw, are not
/// read. Then it lists the store, to find out whether those that are linked to are there, and lists it again to remove
/// all other blocks. Keys that encode neither a multihash nor a CID, or one without a hash, stay,
/// and so do files that are not blocks.
///
/// A reachable block that is missing ends the collection before anything is removed, and so does one with links that is
/// damaged or can't be read. Damage of a block without links is not found;
/// [`Inspect`](crate::dag::Inspect) finds it.
///
/// ```
/// use ds_flatfs::cid::Cid;
/// use ds_flatfs::maintenance::Gc;
/// use ds_flatfs::{FlatFs, Key};
/// use futures::stream;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("blocks");
/// let store = FlatFs::options().open_or_create(&path).await?;
/// for block in ["kept", "garbage"] {
///     store.put(&Key::for_block(block.as_bytes()), block.into()).await?;
/// }
/// store.close().await?;
///
/// let root = Cid::try_from(&Key::for_block(b"kept"))?;
/// let roots = stream::iter([Ok(root)]);
/// let collected = Gc::new(&path).roots(roots).run().await?;
/// assert_eq!((collected.kept, collected.removed), (1, 1));
/// # Ok(()) }
/// ```
///
/// # Memory
///
/// Up to 10.6 bytes for each block without links that is reachable, and up to 39.2 for each other one with a
/// digest of 32 bytes; the links that are still to be followed, which are those of the blocks on a few paths; and the
/// blocks that are being read. For 60 million blocks of files with raw leaves that is 0.6 GiB. If
/// the leaves are dag-pb, as with CIDs of version 0, all blocks may have links, and it is 2.2 GiB. In an open store, up to
/// 20 bytes more for each key that is written meanwhile. A target for the size or the free space takes 5 MiB. If blocks
/// without links are missing, each of them takes about 20 bytes too.
///
/// A block with links is recognized by its whole digest, and a block without links by a keyed hash of 64 bits: a
/// block whose hash is equal by chance is kept.
#[must_use = "a garbage collection does nothing until it is run"]
pub struct Gc {
    subject: Subject,
    roots: Roots,
    options: GcOptions,
    callback: ProgressCallback,
    on_garbage: Option<Arc<GarbageCallback>>,
}

/// What a collection works on.
#[derive(Debug)]
enum Subject {
    Path(PathBuf),
    Open(FlatFs),
    Any(Arc<dyn Datastore>),
}

/// What a [`Gc`] did, or would do.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "it tells what was not removed"]
pub struct Collected {
    /// The number of blocks that are reachable or were written during the collection, and were kept.
    pub kept: u64,
    /// The number of blocks that were removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// The number of blocks that are not reachable, and were left because of the options.
    pub left: u64,
    /// How many more bytes would have to be removed to reach the [size](Gc::target_size) or the
    /// [free space](Gc::target_free), because there is not enough garbage or because of the other options. Otherwise 0.
    pub target_missed: u64,
    /// The number of keys that encode neither a multihash nor a CID, or one without a hash, and were left.
    pub foreign: u64,
    /// The number of reachable blocks with links that were followed without a check, because the hash function in
    /// their CIDs is [unknown](crate::hash::HashError::Unknown), or [the digest](crate::hash::HashError::Length) too short.
    pub unchecked: u64,
    /// The errors of the blocks that are missing, damaged or on a bad sector, if that was
    /// [allowed](Gc::allow_missing). Only the first thousand are listed.
    pub missing: Vec<Error>,
    /// The number of all such blocks.
    pub missing_count: u64,
    /// The entries of a directory that are not blocks where readers find them, such as blocks in the wrong shard directory
    /// and symbolic links to shard directories. They stay. Only the first thousand are listed.
    pub skipped: Vec<Skipped>,
    /// The number of all entries that were skipped.
    pub skipped_count: u64,
    /// The temp files that old versions of go-ds-flatfs left among the blocks. Only the first thousand are listed. They
    /// stay, and are not counted as skipped, because they contain no data of the store.
    pub left_over: Vec<Skipped>,
    /// The number of all such files.
    pub left_over_count: u64,
}

impl Gc {
    /// Prepares a collection in the store in the directory `path`, which is opened for it. Without
    /// [roots](Gc::roots) it removes nothing and is an error.
    ///
    /// The library does not look for a kubo repo. Repos before version 11, of go-ipfs before 0.8, have the list of pins in
    /// blocks that no pin leads to; the program `flatfs` refuses to collect these.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Gc::of(Subject::Path(path.as_ref().to_owned()))
    }

    /// Prepares a collection in a store that is open, and may be in use.
    ///
    /// A block that is put or committed while the collection runs is kept, even if the put finds the block and
    /// writes nothing. The order that guarantees this: from before the first root is read, the store notes the
    /// key of each write when the write takes its key lock. The sweep removes a block under its key lock, and
    /// only if the key was not noted. So a write either comes first and is noted, or waits until the block is
    /// removed and then writes it again.
    ///
    /// A block that another task only looked up, and did not put, is garbage unless a root leads to it. To keep
    /// it, put it again. So do not run a [`Copy`](struct@super::Copy) into the store meanwhile, nor anything else that
    /// leaves out blocks that it finds.
    ///
    /// A [batch](FlatFs::batch) or a bulk put that is committed before the collection begins is not noted, even if the
    /// call returns later: its blocks need a root.
    pub fn open(store: &FlatFs) -> Self {
        Gc::of(Subject::Open(store.clone()))
    }

    /// Prepares a collection in any datastore whose keys are those of [`Key::from_cid`]. Nothing may write to it
    /// meanwhile: a block that was put after the mark would be removed. The options that need the times of files
    /// are not available.
    ///
    /// Up to 64 blocks with links are in memory at the same time, unless the datastore has [blocking
    /// reads](Datastore::blocking_reader).
    pub fn over(datastore: impl Datastore + 'static) -> Self {
        Gc::of(Subject::Any(Arc::new(datastore)))
    }

    fn of(subject: Subject) -> Self {
        Gc {
            subject,
            roots: stream::empty().boxed(),
            options: GcOptions::default(),
            callback: ProgressCallback::none(),
            on_garbage: None,
        }
    }

    /// Adds roots, which are taken from the stream as they are needed. An error in the stream ends the collection
    /// before anything is removed.
    pub fn roots(self, roots: impl Stream<Item = Result<Cid>> + Send + 'static) -> Self {
        self.add_roots(roots, false)
    }

    /// Adds roots of which only the block itself is kept, and not what it links to, such as kubo's direct pins. Their
    /// blocks are looked up and not read, so the codec does not matter. They are taken like [roots](Gc::roots).
    pub fn direct_roots(self, roots: impl Stream<Item = Result<Cid>> + Send + 'static) -> Self {
        self.add_roots(roots, true)
    }

    fn add_roots(
        self,
        roots: impl Stream<Item = Result<Cid>> + Send + 'static,
        is_direct: bool,
    ) -> Self {
        let root = move |root: Result<Cid>| root.map(|cid| Root { cid, is_direct });
        let roots = self.roots.chain(roots.map(root)).boxed();
        Gc { roots, ..self }
    }

    /// Sets what is done with a block of a codec whose links can't be found. By default it is an error. If it is
    /// taken as a leaf, the blocks that it links to are garbage, unless they are reached otherwise.
    pub fn unknown_codec(mut self, unknown_codec: UnknownCodec) -> Self {
        self.options.unknown_codec = unknown_codec;
        self
    }

    /// Sets whether to go on if blocks are missing or damaged, or the disk can't read them (`EIO` on Unix systems). They
    /// are [reported](Collected::missing). What is reachable only through them is removed.
    ///
    /// A block that can't be read for another reason, such as its permissions, still is an error, and so is one that has
    /// its hash and can't be decoded: what it links to may be there.
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.options.allow_missing = allow;
        self
    }

    /// Sets whether to count what would be removed, and to change nothing. A store that is given by its path is
    /// then opened read-only, without a lock.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// Keeps garbage whose file was written less than `age` ago. A put that finds the block and writes nothing
    /// does not change that time. The blocks of a [batch](FlatFs::batch) are written when they are put into it, so `age`
    /// has to be longer than the longest batch takes until its commit.
    pub fn keep_newer(mut self, age: Duration) -> Self {
        self.options.keep_newer = Some(age);
        self
    }

    /// Removes the oldest garbage first, and only as much as is needed for the store to take at most `bytes`, as
    /// [`disk_usage`](FlatFs::disk_usage) counts them. The age of a block is that of its file, in seconds; which blocks of
    /// one second are removed depends only on a hash of their keys. If the store is given by its path, a `.temp` directory
    /// that the collection creates is not counted, so that a dry run chooses the same blocks.
    pub fn target_size(mut self, bytes: u64) -> Self {
        self.options.room = Some(Room::Size(bytes));
        self
    }

    /// Removes the oldest garbage first, and only as much as is needed for the file system to have `bytes` of free
    /// space. Replaces [`target_size`](Gc::target_size).
    pub fn target_free(mut self, bytes: u64) -> Self {
        self.options.room = Some(Room::Free(bytes));
        self
    }

    /// Removes at most this number of blocks. Garbage that turns out to be written during the collection counts.
    ///
    /// Without [`target_size`](Gc::target_size) or [`target_free`](Gc::target_free) these are any blocks of garbage, and
    /// a dry run may choose others than the collection after it.
    pub fn limit(mut self, blocks: u64) -> Self {
        self.options.limit = Some(blocks);
        self
    }

    /// Sets whether keys that encode neither a multihash nor a CID, or one with an empty digest or the identity hash, are
    /// removed too. By default they are kept: they may belong to another program.
    pub fn foreign(mut self, foreign: bool) -> Self {
        self.options.foreign = foreign;
        self
    }

    /// Sets whether everything may be removed because there are no roots, or because no block was found from them. By
    /// default that is an error.
    pub fn remove_everything(mut self, allow: bool) -> Self {
        self.options.remove_everything = allow;
        self
    }

    /// Calls `each` with the key and the size of each block that was removed, or would be. `each` may block; the
    /// collection waits for it.
    pub fn on_garbage(mut self, each: impl FnMut(&Key, u64) + Send + 'static) -> Self {
        self.on_garbage = Some(Arc::new(Mutex::new(each)));
        self
    }

    /// Calls `watch` with the progress from time to time. If it returns [`Break`](ControlFlow::Break), the
    /// collection stops with [`Error::Stopped`]. `watch` may block; the collection waits for it.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let callback = ProgressCallback::new(watch);
        Gc { callback, ..self }
    }

    /// Runs the collection. Pending commits are applied first, but not by a dry run: it changes nothing, so a reachable
    /// block of such a commit is missing until another call applies it.
    ///
    /// # Errors
    ///
    /// Before anything is removed:
    ///
    /// - [`Error::MissingBlock`], with a block that links to it, and [`Error::Corrupt`], unless that is
    ///   [allowed](Gc::allow_missing).
    /// - [`Error::UnknownCodec`] and [`Error::InvalidBlock`]: the links of a block can't be found.
    /// - [`Error::Unexpected`]: the path of a block or its directory is a symbolic link or a special file.
    /// - [`Error::InvalidOption`]: there are no roots, no block was found from them, or an option is not available for the
    ///   datastore or on this system.
    /// - The first error of the roots, the errors of [`Options::open`](crate::Options::open), and
    ///   [`Error::CommitIncomplete`].
    ///
    /// At any time: [`Error::Stopped`], [`Error::Closed`] and [`Error::Io`].
    ///
    /// After an error the same call removes the rest.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the collection stops at its next step, and the same call removes the rest.
    ///
    /// # Durability
    ///
    /// When the call has returned, what was removed stays removed after a power cut. A power cut during the call
    /// may bring garbage back, and loses no other block.
    pub async fn run(mut self) -> Result<Collected> {
        match std::mem::replace(&mut self.subject, Subject::Path(PathBuf::new())) {
            Subject::Path(path) => {
                let root = locate(&path).await?;
                self.run_on(Arc::new(OsDisk::default()), root).await
            }
            Subject::Open(flatfs) => self.collect(&flatfs).await,
            Subject::Any(datastore) => self.collect_from(&*datastore).await,
        }
    }
}

impl fmt::Debug for Gc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gc")
            .field("subject", &self.subject)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
