//! [`KuboLock`]: keeps kubo from starting on a repo while one of its stores is written to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;

use crate::blocking;
use crate::disk::{Disk, Kind, OsDisk, RepoLock, canonical};
use crate::error::{Error, Result};
use crate::sync::lock;

/// The files beside a store that make the directory above it a kubo repo.
const REPO_FILES: [&str; 3] = ["config", "datastore_spec", "version"];
const REPO_LOCK: &str = "repo.lock";

/// The repos whose lock this process holds. A second descriptor of a lock file would release the lock when
/// it is closed: see [`RepoLock`].
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The lock of the kubo repo that a store belongs to.
///
/// kubo doesn't know the lock of this crate, but it refuses to start while another process holds `repo.lock` of
/// its repo. This type takes that lock in the same way as kubo, so that kubo and a writer of this crate exclude
/// each other. [`Options::kubo_lock`](crate::Options::kubo_lock) takes it for as long as a store is open. Take it
/// yourself for the tools in [`maintenance`](crate::maintenance).
///
/// ```no_run
/// use ds_flatfs::{KuboLock, Shard, maintenance::Reshard};
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let lock = KuboLock::acquire("/home/me/.ipfs/blocks").await?;
/// Reshard::new("/home/me/.ipfs/blocks", Shard::next_to_last(3)?).run().await?;
/// drop(lock); // kubo can start again
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct KuboLock {
    repo: PathBuf,
    /// `None` before the lock is acquired and after it is released.
    lock: Option<RepoLock>,
}

impl KuboLock {
    /// Locks the kubo repo that the store at this path belongs to: the directory above it, if that has the
    /// files `config`, `datastore_spec` and `version`. Returns `None` if it is not a repo. The store itself does
    /// not have to exist.
    ///
    /// # Errors
    ///
    /// - [`Error::KuboRunning`]: kubo, or another process that takes kubo's lock, is running on the repo.
    /// - [`Error::Locked`]: this process already holds the lock.
    /// - [`Error::Io`]: the lock file can't be opened or locked.
    /// - [`Error::Runtime`]: there is no tokio runtime, or it is shutting down.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock is not held.
    pub async fn acquire(store: impl AsRef<Path>) -> Result<Option<Self>> {
        let store = store.as_ref().to_owned();
        blocking::run(move || KuboLock::acquire_blocking(&store)).await
    }

    pub(crate) fn acquire_blocking(store: &Path) -> Result<Option<Self>> {
        let find = |store: &Path| canonical(&std::path::absolute(store)?);
        let store = find(store).map_err(|error| Error::io("find", store, error))?;
        let Some(repo) = store.parent().filter(|dir| is_repo(dir)) else {
            return Ok(None);
        };
        let path = repo.join(REPO_LOCK);
        if !lock(&HELD).insert(repo.to_owned()) {
            return Err(Error::Locked {
                path: store,
                owner: Some(process::id()),
            });
        }
        // From here on, dropping `kubo_lock` removes the repo from `HELD`, even after an error.
        let mut kubo_lock = KuboLock {
            repo: repo.to_owned(),
            lock: None,
        };
        match RepoLock::try_acquire(&path) {
            Ok(Some(lock)) => {
                kubo_lock.lock = Some(lock);
                Ok(Some(kubo_lock))
            }
            Ok(None) => Err(Error::KuboRunning {
                path: repo.to_owned(),
                owner: OsDisk::default().lock_owner(&path),
            }),
            Err(error) => Err(Error::io("lock", path, error)),
        }
    }

    /// Returns the directory of the repo.
    #[must_use]
    pub fn repo(&self) -> &Path {
        &self.repo
    }
}

impl Drop for KuboLock {
    fn drop(&mut self) {
        // The file is closed before the entry is removed: if another call opened the file before the close,
        // the close would release its lock.
        drop(self.lock.take());
        lock(&HELD).remove(&self.repo);
    }
}

fn is_repo(dir: &Path) -> bool {
    let disk = OsDisk::default();
    let is_there = |file| {
        disk.stat(&dir.join(file))
            .is_ok_and(|stat| stat.kind != Kind::Dir)
    };
    REPO_FILES.iter().all(is_there)
}
