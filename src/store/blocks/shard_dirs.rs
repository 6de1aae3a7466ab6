//! [`ShardDirs`]: the shard directories of a store.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use super::flusher::{FlushTarget, Flusher};
use super::presence::PresenceFilter;
use crate::disk::{Disk, create_dir_if_absent};
use crate::disk_usage::UsageTracker;
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout};
use crate::sync::{lock, read, write};

/// The shard directories of a store: which ones are known to be directories, and whether the names of
/// new ones are durable yet.
#[derive(Debug)]
pub(crate) struct ShardDirs {
    disk: Arc<dyn Disk>,
    layout: Layout,
    flusher: Arc<Flusher>,
    usage: Arc<UsageTracker>,
    presence: Arc<PresenceFilter>,
    known: RwLock<HashSet<String>>,
    created: Mutex<CreatedDirs>,
}

/// The number of directories that were created, and how many of these are durable.
#[derive(Debug, Default)]
struct CreatedDirs {
    all: u64,
    durable: u64,
    /// How many are being created.
    creating: usize,
}

impl ShardDirs {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        flusher: Arc<Flusher>,
        usage: Arc<UsageTracker>,
        presence: Arc<PresenceFilter>,
    ) -> Self {
        ShardDirs {
            disk,
            layout,
            flusher,
            usage,
            presence,
            known: RwLock::default(),
            created: Mutex::default(),
        }
    }

    /// Returns whether the shard directory exists. Each one is looked up once.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unexpected`] if something else is at its path: a symbolic link could lead out of the
    /// store.
    pub(crate) fn exists(&self, shard: &str) -> Result<bool> {
        if read(&self.known).contains(shard) {
            return Ok(true);
        }
        let Some(stat) = self.disk.find_dir(&self.layout.at_root(shard))? else {
            return Ok(false);
        };
        // Noted before this session changes anything in the directory.
        self.usage.note_dir(shard, stat.len);
        self.remember(shard);
        Ok(true)
    }

    /// Creates the shard directory if it doesn't exist.
    pub(crate) fn ensure(&self, shard: &str) -> Result<()> {
        if self.exists(shard)? {
            return Ok(());
        }
        self.create(shard)
    }

    /// Runs a step that needs the shard directory, and may need that of temp files. They are created if they don't
    /// exist.
    pub(crate) fn with_dir(&self, shard: &str, step: impl Fn() -> Result<()>) -> Result<()> {
        self.ensure(shard)?;
        with_dir(step, || {
            // First, so that the error names the shard directory if the whole store is gone.
            self.create(shard)?;
            create_dir_if_absent(&*self.disk, &self.layout.temp())
        })
    }

    fn create(&self, shard: &str) -> Result<()> {
        // Noted before the directory exists: another thread that finds it and then asks what has to be flushed must
        // learn that it is new, or its block would be durable in a directory that is not.
        lock(&self.created).creating += 1;
        let created = self.try_create(shard);
        let mut noted = lock(&self.created);
        noted.creating -= 1;
        noted.all += u64::from(matches!(created, Ok(true)));
        drop(noted);
        match created {
            Ok(true) => {
                self.remember(shard);
                Ok(())
            }
            Ok(false) => self.exists(shard).map(drop),
            Err(error) => Err(error),
        }
    }

    /// Returns `false` if the directory exists already.
    fn try_create(&self, shard: &str) -> Result<bool> {
        let dir = self.layout.at_root(shard);
        // Begun before the directory exists: a block that is published in it at once must be in the filter.
        let fill = self.presence.begin_fill(shard);
        let mut is_new = false;
        self.usage
            .track_dir(shard, || match self.disk.create_dir(&dir) {
                Ok(()) => {
                    is_new = true;
                    let size = self.disk.stat(&dir).map_or(0, |stat| stat.len);
                    Ok(Some(size))
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(Error::io("create", &dir, error)),
            })?;
        // Only this process adds blocks, so the new directory need not be listed.
        if let Some(fill) = fill.filter(|_| is_new) {
            fill.finish();
        }
        Ok(is_new)
    }

    /// Returns those of the shard directories of these blocks that exist.
    pub(crate) fn dirs_of<'a>(
        &self,
        blocks: impl IntoIterator<Item = &'a BlockKey>,
    ) -> Result<BTreeSet<PathBuf>> {
        let mut dirs = BTreeSet::new();
        for block in blocks {
            let shard = self.layout.shard_of(block);
            if self.exists(&shard)? {
                dirs.insert(self.layout.at_root(&shard));
            }
        }
        Ok(dirs)
    }

    /// Makes the entries of these directories durable, and the names of new ones.
    pub(crate) fn flush(&self, dirs: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        let mut targets = Vec::from_iter(dirs.into_iter().map(FlushTarget::Dir));
        // Counted before the flush: a directory that is created while it runs is for the next one.
        let created = lock(&self.created).not_durable();
        if created.is_some() {
            targets.push(FlushTarget::Dir(self.layout.root().to_owned()));
        }
        self.flusher.flush(&targets)?;
        if let Some(count) = created {
            let mut created = lock(&self.created);
            created.durable = created.durable.max(count);
        }
        Ok(())
    }

    /// Remembers that the shard directory exists. The number of names in memory is bounded, for stores with a
    /// directory for each block.
    fn remember(&self, shard: &str) {
        const MAX_KNOWN: usize = 1 << 16;
        let mut known = write(&self.known);
        if known.len() < MAX_KNOWN {
            known.insert(shard.to_owned());
        }
    }
}

impl CreatedDirs {
    /// Returns the number of directories that were created so far, if one may exist that is not durable.
    fn not_durable(&self) -> Option<u64> {
        (self.durable < self.all || self.creating > 0).then_some(self.all)
    }
}

/// Runs a step in a directory. If another program removed that, it is created again.
pub(super) fn with_dir(
    step: impl Fn() -> Result<()>,
    create: impl FnOnce() -> Result<()>,
) -> Result<()> {
    match step() {
        Err(error) if error.has_io_kind(io::ErrorKind::NotFound) => {
            create()?;
            step()
        }
        done => done,
    }
}
