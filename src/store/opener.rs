//! [`Opener`]: what is at the path of a store, and the steps that opening and creating one share.

use std::io;
use std::path::{Component, Path, PathBuf, Prefix};
use std::sync::Arc;

use super::kubo_lock::KuboLock;
use super::options::Options;
use crate::blocking;
use crate::disk::{Disk, Kind, LockGuard, OsDisk, create_dir_if_absent, resolve};
use crate::error::{Error, ExpectedEntry, Result};
use crate::format::{DISK_USAGE, LOCK, README, SHARDING, TEMP, UNCLEAN};
use crate::format::{ReshardMarker, UnreadableMarker};
use crate::format::{Shard, object_marker};
use crate::walk::RootEntries;

/// The maximum size of a `SHARDING` file that is read. An identifier is about 40 bytes long, so a larger file
/// does not contain one.
const MAX_SHARDING_SIZE: u64 = 4096;

/// What is at the path of a store that is to be opened.
pub(crate) enum DirState {
    Missing,
    /// The directory is empty, or has only what an interrupted create leaves behind.
    Empty,
    Store(Shard),
    Resharding(ReshardMarker),
    Foreign,
}

/// Why a directory in which a datastore for object stores has its blocks is not a store.
const OBJECTS: &str = "its blocks are objects: open it by its URL (file:///…) instead of its path";

/// Returns whether the error of a probe says that the blocks are objects. Such a directory has lost nothing.
#[cfg(feature = "verify")]
pub(crate) fn is_of_objects(error: &Error) -> bool {
    matches!(error, Error::NotAStore { reason, .. } if *reason == OBJECTS)
}

/// A store that is about to be opened or created.
///
/// The whole-store tools take the same steps.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) options: Options,
}

impl Opener {
    /// Creates an opener with the options of a whole-store tool, on this disk.
    pub(crate) fn on(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Opener {
            disk,
            root,
            // The tools move blocks by other functions than a put, which do not add them to the filter.
            options: Options::new().max_filter_memory(0),
        }
    }

    /// Creates an opener of the directory that the caller named, on the disk of the operating system.
    pub(crate) async fn of(dir: &Path) -> Result<Self> {
        let root = locate(dir).await?;
        Ok(Opener::on(Arc::new(OsDisk::default()), root))
    }

    pub(crate) fn not_a_store(&self, reason: &'static str) -> Error {
        Error::NotAStore {
            path: self.root.clone(),
            reason,
        }
    }

    /// Returns the error that says why no store can be opened here.
    pub(crate) fn refusal(&self, state: &DirState) -> Error {
        match state {
            DirState::Resharding(ReshardMarker { from, to, .. }) => Error::Resharding {
                path: self.root.clone(),
                from: from.short(),
                to: to.short(),
            },
            DirState::Missing => self.not_a_store("there is no such directory"),
            DirState::Empty => self.not_a_store("the directory is empty"),
            DirState::Foreign | DirState::Store(_) => {
                self.not_a_store("it has files, but no SHARDING that names its shard function")
            }
        }
    }

    pub(crate) fn check_shard(&self, found: Shard, wanted: Option<Shard>) -> Result<()> {
        match wanted {
            Some(wanted) if wanted != found => Err(Error::ShardMismatch {
                path: self.root.clone(),
                found: found.short(),
                wanted: wanted.short(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes the writer's lock.
    pub(crate) fn lock(&self) -> Result<Box<dyn LockGuard>> {
        let path = self.root.join(LOCK);
        match self.disk.lock(&path) {
            Ok(Some(lock)) if self.options.kubo_lock => {
                let kubo = KuboLock::acquire_blocking(&self.root)?;
                Ok(Box::new(BothLocks {
                    _kubo: kubo,
                    _store: lock,
                }))
            }
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(Error::Locked {
                path: self.root.clone(),
                owner: self.disk.lock_owner(&path),
            }),
            Err(error) => Err(match self.disk.stat(&path) {
                Ok(stat) if stat.kind != Kind::File => {
                    stat.kind.unexpected(path, ExpectedEntry::File)
                }
                _ => Error::io("lock", path, error),
            }),
        }
    }

    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.disk
            .sync_dir(dir)
            .map_err(|error| Error::io("sync", dir, error))
    }

    /// Removes a file in the root, and returns whether it existed.
    pub(crate) fn remove_file(&self, name: &str) -> Result<bool> {
        self.disk.remove_if_there(&self.root.join(name))
    }

    /// Removes the cached disk usage durably, because the next change of the caller makes it wrong.
    pub(crate) fn forget_disk_usage(&self) -> Result<()> {
        if self.remove_file(DISK_USAGE)? {
            self.sync_dir(&self.root)?;
        }
        Ok(())
    }

    pub(super) fn ensure_temp(&self, temp: &Path) -> Result<()> {
        if self.disk.find_dir(temp)?.is_some() {
            return Ok(());
        }
        create_dir_if_absent(&*self.disk, temp)
    }

    /// Looks up what is at the path, and changes nothing.
    pub(crate) fn probe(&self) -> Result<DirState> {
        // The root itself may be a symbolic link, so its target is examined.
        let stat = match self.disk.stat(&self.root.join(".")) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DirState::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(self.not_a_store("it is not a directory"));
            }
            Err(error) => return Err(Error::io("stat", &self.root, error)),
        };
        if stat.kind != Kind::Dir {
            return Err(self.not_a_store("it is not a directory"));
        }
        if let Some(store) = self.read_sharding()? {
            return Ok(store);
        }
        for entry in RootEntries::list(&*self.disk, &self.root)? {
            let name = entry?.name;
            let ours = [TEMP, README, LOCK, UNCLEAN, DISK_USAGE];
            if !ours.iter().any(|ours| name == *ours) {
                return Ok(DirState::Foreign);
            }
        }
        Ok(DirState::Empty)
    }

    pub(crate) fn read_sharding(&self) -> Result<Option<DirState>> {
        let path = self.root.join(SHARDING);
        let Some(stat) = self.disk.find(&path)? else {
            return Ok(None);
        };
        let too_long = || self.not_a_store("its SHARDING is too long to name a shard function");
        if stat.kind == Kind::File && stat.len > MAX_SHARDING_SIZE {
            return Err(too_long());
        }
        let read = self.disk.read_at_most(&path, MAX_SHARDING_SIZE);
        let contents = read.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => too_long(),
            _ => Error::io("read", &path, error),
        })?;
        let text = String::from_utf8_lossy(&contents);
        if object_marker::is_marker(&text) {
            return Err(self.not_a_store(OBJECTS));
        }
        let read = match ReshardMarker::decode(&text) {
            Ok(Some(resharding)) => Ok(DirState::Resharding(resharding)),
            Ok(None) => Shard::from_identifier(&text).map(DirState::Store),
            Err(UnreadableMarker::Damaged(error)) => Err(error),
            Err(UnreadableMarker::Version(version)) => Err(Error::UnknownReshardMarker {
                path: self.root.clone(),
                version,
            }),
        };
        read.map(Some).map_err(|error| match error {
            Error::InvalidShard { input, reason } => Error::InvalidShard {
                input,
                reason: format!("{reason}, in {}", path.display()),
            },
            error => error,
        })
    }
}

/// The locks of a writer whose store belongs to a kubo repo.
#[derive(Debug)]
struct BothLocks {
    _kubo: Option<KuboLock>,
    _store: Box<dyn LockGuard>,
}

impl LockGuard for BothLocks {}

/// Returns the absolute path, resolved if it is a symbolic link.
pub(crate) async fn locate(path: &Path) -> Result<PathBuf> {
    let failed = |error| Error::io("find", path, error);
    let absolute = std::path::absolute(path).map_err(failed)?;
    if let Some(Component::Prefix(prefix)) = absolute.components().next()
        && matches!(prefix.kind(), Prefix::DeviceNS(_))
    {
        return Err(Error::NotAStore {
            path: path.to_owned(),
            reason: "Windows takes this name for a device: write the whole path as \\\\?\\C:\\dir\\name",
        });
    }
    // Without a slash at the end: with it the system would follow a symbolic link by itself.
    let absolute: PathBuf = absolute.components().collect();
    let resolved = blocking::run(move || Ok(resolve(absolute))).await?;
    resolved.map_err(failed)
}
