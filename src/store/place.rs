//! What there is where a store is to be opened or created, and the steps that both take.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Options;
use crate::disk::{Disk, Kind, LockGuard, if_there};
use crate::error::{Error, Result};
use crate::layout::{DISK_USAGE, LOCK, README, SHARDING, TEMP, UNCLEAN};
use crate::shard::Shard;

/// An identifier is some 40 bytes long. A larger file is none, and not worth to be read.
const LONGEST_SHARDING: u64 = 4096;

/// What there is where a store is to be opened.
pub(crate) enum Place {
    Missing,
    /// Nothing is there, or only what a create leaves that a crash cut short.
    Empty,
    Store(Shard),
    Foreign,
}

/// A store that is about to be opened or created.
pub(crate) struct Opening {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) options: Options,
}

impl Opening {
    pub(crate) fn not_a_store(&self, reason: &'static str) -> Error {
        Error::NotAStore {
            path: self.root.clone(),
            reason,
        }
    }

    pub(super) fn check_shard(&self, found: Shard, wanted: Option<Shard>) -> Result<()> {
        match wanted {
            Some(wanted) if wanted != found => Err(Error::ShardMismatch {
                path: self.root.clone(),
                found: found.short(),
                wanted: wanted.short(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn lock(&self) -> Result<Box<dyn LockGuard>> {
        let path = self.root.join(LOCK);
        match self.disk.lock(&path) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(Error::Locked {
                path: self.root.clone(),
            }),
            Err(error) => Err(match self.disk.stat(&path) {
                Ok(stat) if stat.kind != Kind::File => Error::Unexpected {
                    path,
                    found: stat.kind.name(),
                    expected: "file",
                },
                _ => Error::io("lock", path, error),
            }),
        }
    }

    pub(super) fn create_dir(&self, dir: &Path) -> Result<()> {
        match self.disk.create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("create", dir, error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.disk
            .sync_dir(dir)
            .map_err(|error| Error::io("sync", dir, error))
    }

    pub(super) fn ensure_temp(&self, temp: &Path) -> Result<()> {
        let found = if_there(self.disk.stat(temp));
        match found.map_err(|error| Error::io("look at", temp, error))? {
            None => self.create_dir(temp),
            Some(stat) if stat.kind == Kind::Dir => Ok(()),
            Some(stat) => Err(Error::Unexpected {
                path: temp.to_owned(),
                found: stat.kind.name(),
                expected: "directory",
            }),
        }
    }

    /// Looks what there is, and changes nothing.
    pub(crate) fn look(&self) -> Result<Place> {
        // The root itself may be a symbolic link: only its target is looked at.
        let stat = match self.disk.stat(&self.root.join(".")) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(self.not_a_store("it is not a directory"));
            }
            Err(error) => return Err(Error::io("look at", &self.root, error)),
        };
        if stat.kind != Kind::Dir {
            return Err(self.not_a_store("it is not a directory"));
        }
        if let Some(shard) = self.read_sharding()? {
            return Ok(Place::Store(shard));
        }
        let failed = |error| Error::io("list", &self.root, error);
        for entry in self.disk.list(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.name;
            let ours = [TEMP, README, LOCK, UNCLEAN, DISK_USAGE];
            if !ours.iter().any(|ours| name == *ours) {
                return Ok(Place::Foreign);
            }
        }
        Ok(Place::Empty)
    }

    pub(crate) fn read_sharding(&self) -> Result<Option<Shard>> {
        let path = self.root.join(SHARDING);
        let found = if_there(self.disk.stat(&path));
        let Some(stat) = found.map_err(|error| Error::io("look at", &path, error))? else {
            return Ok(None);
        };
        if stat.kind == Kind::File && stat.len > LONGEST_SHARDING {
            return Err(self.not_a_store("its SHARDING is too long to name a shard function"));
        }
        let contents = self
            .disk
            .read(&path)
            .map_err(|error| Error::io("read", &path, error))?;
        let shard = Shard::from_identifier(&String::from_utf8_lossy(&contents));
        shard.map(Some).map_err(|error| match error {
            Error::InvalidShard { input, reason } => Error::InvalidShard {
                input,
                reason: format!("{reason}, in {}", path.display()),
            },
            error => error,
        })
    }
}
