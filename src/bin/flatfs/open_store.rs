//! Opens stores for the commands, and closes them however the command ends.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::path::Path;

#[cfg(feature = "object-store")]
use anyhow::Context as _;
use ds_flatfs::{Datastore, ExistingBlock, FlatFs, Options, Shard};

use crate::exit::{Interrupted, WrongUsage};
use crate::interrupt::interruptible;
use crate::location::{self, Location, StoreArgs};
use crate::progress::ProgressBar;
use crate::report;

/// A store that is open.
#[derive(Debug)]
pub(crate) enum OpenStore {
    Dir(FlatFs),
    #[cfg(feature = "object-store")]
    Url(ds_flatfs::object::ObjectDatastore),
}

impl Deref for OpenStore {
    type Target = dyn Datastore;

    fn deref(&self) -> &Self::Target {
        match self {
            OpenStore::Dir(store) => store,
            #[cfg(feature = "object-store")]
            OpenStore::Url(store) => store,
        }
    }
}

impl OpenStore {
    pub(crate) fn into_datastore(self) -> Box<dyn Datastore> {
        match self {
            OpenStore::Dir(store) => Box::new(store),
            #[cfg(feature = "object-store")]
            OpenStore::Url(store) => Box::new(store),
        }
    }

    /// Returns whether a block that the store has with the same size is durable, so that it need not be written.
    pub(crate) fn keeps_existing_blocks(&self) -> bool {
        match self {
            OpenStore::Dir(store) => store.keeps_existing_blocks(),
            // An object is durable and complete as soon as it is listed.
            #[cfg(feature = "object-store")]
            OpenStore::Url(_) => true,
        }
    }

    /// Returns whether a commit is under way or was interrupted, so that some blocks may be missing.
    ///
    /// # Errors
    ///
    /// Fails if the store can't be read.
    pub(crate) async fn has_pending_commits(&self) -> anyhow::Result<bool> {
        match self {
            OpenStore::Dir(store) => Ok(store.has_pending_commits().await?),
            #[cfg(feature = "object-store")]
            OpenStore::Url(_) => Ok(false),
        }
    }

    pub(crate) fn is_url(&self) -> bool {
        !matches!(self, OpenStore::Dir(_))
    }

    /// Returns whether a lookup costs a request over a network.
    pub(crate) fn has_costly_lookups(&self) -> bool {
        match self {
            OpenStore::Dir(_) => false,
            #[cfg(feature = "object-store")]
            OpenStore::Url(store) => !store.is_local(),
        }
    }

    pub(crate) fn shard(&self) -> Option<Shard> {
        match self {
            OpenStore::Dir(store) => Some(store.shard()),
            #[cfg(feature = "object-store")]
            OpenStore::Url(store) => store.shard(),
        }
    }
}

/// Opens the store to read it, runs `work` on it, and closes it.
///
/// # Errors
///
/// Fails if the store can't be opened, or the work fails.
pub(crate) async fn for_reading<T>(
    args: &StoreArgs,
    work: impl AsyncFnOnce(&OpenStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    close_after(open_reader(args, None).await?, work).await
}

/// Opens the store to read it.
///
/// # Errors
///
/// Fails if the store can't be opened.
pub(crate) async fn open_reader(
    args: &StoreArgs,
    concurrency: Option<NonZeroUsize>,
) -> anyhow::Result<OpenStore> {
    match &args.dir {
        Location::Dir(dir) => {
            let store = Options::new().read_only(true).open(dir).await?;
            warn_of_pending_commits(&store, dir).await?;
            Ok(OpenStore::Dir(store))
        }
        Location::Url(url) => {
            check_dir_of_url(url)?;
            open_url(url, args, concurrency).await
        }
    }
}

#[cfg(feature = "object-store")]
#[expect(
    clippy::disallowed_methods,
    reason = "the directory of a URL has no files of a FlatFs"
)]
fn make_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Checks that a `file:///PATH` that is to be read is a directory. A missing one would be taken for an empty store.
///
/// # Errors
///
/// Fails if it is not one.
fn check_dir_of_url(url: &str) -> anyhow::Result<()> {
    match location::path_of_url(url) {
        Some(path) if !path.is_dir() => {
            anyhow::bail!(
                "cannot open {url}: there is no directory {}",
                path.display()
            )
        }
        _ => Ok(()),
    }
}

/// Opens the store to describe what is in it: like [`for_reading`], and also warns about files that an interrupted
/// command has left behind.
///
/// # Errors
///
/// Fails if the store can't be opened, or the work fails.
pub(crate) async fn for_listing<T>(
    args: &StoreArgs,
    work: impl AsyncFnOnce(&OpenStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Some(dir) = args.dir.dir() else {
        return for_reading(args, work).await;
    };
    let store = Options::new().read_only(true).open(dir).await?;
    let is_pending = warn_of_pending_commits(&store, dir).await?;
    let temp = store.path().join(".temp");
    // A `.temp` that can't be listed is reported by the commands that write.
    let has_left_overs = temp
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if has_left_overs && !is_pending {
        report::warn(&format!(
            "{} has files of a command that is under way or was interrupted; if no program is writing, any \
             command that writes removes them",
            dir.join(".temp").display()
        ));
    }
    close_after(OpenStore::Dir(store), work).await
}

/// Warns about commits that are running or were interrupted, and returns whether there are any.
async fn warn_of_pending_commits(store: &FlatFs, dir: &Path) -> anyhow::Result<bool> {
    let is_pending = store.has_pending_commits().await?;
    if is_pending {
        report::warn(&format!(
            "a commit in {} is under way or was interrupted, so some of its blocks may be missing; \
             if no program is writing, any command that writes completes it",
            dir.display()
        ));
    }
    Ok(is_pending)
}

/// Opens the store to change it, runs `work` on it, which the user can interrupt at any time, and closes it.
///
/// # Errors
///
/// Fails if the store can't be opened or closed, or the work fails or is interrupted.
pub(crate) async fn for_writing<T>(
    args: &StoreArgs,
    work: impl AsyncFnOnce(&OpenStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let phase = ProgressBar::opening(&args.dir);
    let store = match &args.dir {
        Location::Dir(dir) => OpenStore::Dir(Options::new().open(dir).await?),
        Location::Url(url) => open_url(url, args, None).await?,
    };
    drop(phase);
    close_writer_after(store, async |store| interruptible(work(store)).await).await
}

/// Opens the store to import into it, or creates it; runs `work` on it, and closes it. The work decides where
/// the user can interrupt it. A block that the store has with the same size is not written again, but is as
/// durable as those that are. `concurrency` is how many blocks are sent to an object store at the same time.
///
/// # Errors
///
/// Fails if the store can't be opened, created or closed, or the work fails.
pub(crate) async fn for_importing<T>(
    args: &StoreArgs,
    concurrency: Option<NonZeroUsize>,
    work: impl AsyncFnOnce(&OpenStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let phase = ProgressBar::opening(&args.dir);
    let store = match &args.dir {
        Location::Dir(dir) => {
            // Another program may have written such a block and not flushed it. Only with this policy does the
            // open flush it, so the import must leave the choice to the store.
            let options = Options::new().existing_block(ExistingBlock::Keep);
            OpenStore::Dir(options.open_or_create(dir).await?)
        }
        Location::Url(url) => open_url(url, args, concurrency).await?,
    };
    drop(phase);
    close_writer_after(store, work).await
}

/// Creates an empty store. Without `shard` it gets the default of its kind.
///
/// # Errors
///
/// Fails if the store can't be created.
pub(crate) async fn create(args: &StoreArgs, shard: Option<Shard>) -> anyhow::Result<()> {
    match &args.dir {
        Location::Dir(dir) => {
            let mut options = Options::new();
            if let Some(shard) = shard {
                options = options.shard(shard);
            }
            options.create(dir).await?.close().await?;
        }
        #[cfg(feature = "object-store")]
        Location::Url(url) => {
            let mut options = object_options(args, None);
            if let Some(shard) = shard {
                options = options.shard(shard);
            }
            let created = options.create_url(url).await;
            created.map_err(usage_or_failure)?.close().await?;
            if let Some(path) = location::path_of_url(url) {
                // Without a shard function nothing was written, and the commands that read need the directory.
                make_dir(&path)?;
            }
        }
        #[cfg(not(feature = "object-store"))]
        Location::Url(_) => return Err(without_object_stores(&args.dir)),
    }
    Ok(())
}

#[cfg(feature = "object-store")]
async fn open_url(
    url: &str,
    args: &StoreArgs,
    concurrency: Option<NonZeroUsize>,
) -> anyhow::Result<OpenStore> {
    let options = object_options(args, concurrency);
    let opened = options.open_url(url).await;
    Ok(OpenStore::Url(opened.map_err(usage_or_failure)?))
}

/// Returns the error as invalid usage if the URL does not name a store.
#[cfg(feature = "object-store")]
fn usage_or_failure(error: ds_flatfs::Error) -> anyhow::Error {
    match error {
        ds_flatfs::Error::InvalidUrl { .. } => WrongUsage(error.to_string()).into(),
        error => error.into(),
    }
}

#[cfg(feature = "object-store")]
fn object_options(
    args: &StoreArgs,
    concurrency: Option<NonZeroUsize>,
) -> ds_flatfs::object::ObjectOptions {
    let mut options = ds_flatfs::object::ObjectOptions::new();
    if let Some(concurrency) = concurrency {
        options = options.concurrency(concurrency.get());
    }
    for option in &args.options.client {
        options = options.client_option(&option.name, &option.value);
    }
    options
}

#[cfg(not(feature = "object-store"))]
async fn open_url(_: &str, args: &StoreArgs, _: Option<NonZeroUsize>) -> anyhow::Result<OpenStore> {
    Err(without_object_stores(&args.dir))
}

#[cfg(any(test, not(feature = "object-store")))]
fn without_object_stores(location: &Location) -> anyhow::Error {
    WrongUsage(format!(
        "{location} is a URL, and this program was built without the feature object-store"
    ))
    .into()
}

/// Runs `work` on a store that is only read, and closes it.
///
/// # Errors
///
/// Fails if the work fails.
pub(crate) async fn close_after<T>(
    store: OpenStore,
    work: impl AsyncFnOnce(&OpenStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = work(&store).await;
    both(result, store.close().await)
}

/// Closes a store that was written to, which may take some time.
async fn close_writer_after<T>(
    store: OpenStore,
    work: impl AsyncFnOnce(&OpenStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = work(&store).await;
    if store.is_url() && is_interrupted(&result) {
        // There is nothing to flush, and a close would wait for the requests of a commit.
        return result;
    }
    let _phase = ProgressBar::phase("closing the store");
    both(result, store.close().await)
}

fn is_interrupted<T>(result: &anyhow::Result<T>) -> bool {
    result
        .as_ref()
        .is_err_and(|error| error.is::<Interrupted>())
}

/// Returns the result of the work. If the close fails too, the work's error is the more useful one.
fn both<T>(result: anyhow::Result<T>, closed: ds_flatfs::Result<()>) -> anyhow::Result<T> {
    let value = result?;
    closed?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_object_stores_says_so_and_shows_no_secret() {
        let error = without_object_stores(&Location::Url("s3://b/p?token=secret".to_owned()));
        assert!(error.is::<WrongUsage>());
        let message =
            "s3://b/p is a URL, and this program was built without the feature object-store";
        assert_eq!(error.to_string(), message);
    }

    /// Otherwise the blocks that an import finds and skips may be lost in a power cut.
    #[tokio::test]
    async fn a_store_that_is_imported_into_vouches_for_the_blocks_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().existing_block(ExistingBlock::Keep);
        let reference = options.create(dir.path().join("reference")).await.unwrap();
        let is_possible_here = reference.keeps_existing_blocks();
        let args = StoreArgs::dir(&dir.path().join("store"));
        let keeps = for_importing(&args, None, async |store| Ok(store.keeps_existing_blocks()));
        assert_eq!(keeps.await.unwrap(), is_possible_here);
    }
}
