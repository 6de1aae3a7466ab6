//! [`Walk`]: what the jobs of a query do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedSemaphorePermit;

use super::values::InMemory;
use super::{ENTRIES, Part};
use crate::disk::{CurrentEntry, DirEntry, Kind, Listing, if_there};
use crate::error::{Error, Result};
use crate::format::{self, BlockKey, DISK_USAGE, README, SHARDING};
use crate::observe::target;
use crate::query::{Entry, Needs};
use crate::store::Store;
use crate::sync::lock;

/// A walk through the shards of a query, as far as no other walk takes them.
///
/// Between two jobs it keeps the listings open that it reads, if there is a permit for that; else it
/// keeps all their entries in memory. It doesn't wait for a permit: who reads two queries at once
/// could wait for himself.
pub(super) struct Walk {
    pub(super) store: Arc<Store>,
    needs: Needs,
    in_memory: Option<InMemory>,
    held: Option<OwnedSemaphorePermit>,
    shards: Arc<Shards>,
    /// The shard that is being read, and the rest of it.
    current: Option<(String, Listing)>,
}

/// The shards that no walk of a query has taken yet: the rest of the root, once it is listed.
type Shards = Mutex<Option<Listing>>;

impl Walk {
    pub(super) fn new(store: &Arc<Store>, needs: Needs, in_memory: Option<InMemory>) -> Self {
        Walk {
            store: Arc::clone(store),
            needs,
            in_memory,
            held: store.open_files.try_listing(),
            shards: Arc::default(),
            current: None,
        }
    }

    /// One more walk through the same shards, if it may have a directory open.
    pub(super) fn beside(&self) -> Option<Self> {
        Some(Walk {
            store: Arc::clone(&self.store),
            needs: self.needs,
            in_memory: self.in_memory.clone(),
            held: Some(self.store.open_files.try_listing()?),
            shards: Arc::clone(&self.shards),
            current: None,
        })
    }

    /// Some entries, and where it goes on unless that was all.
    pub(super) fn step(mut self) -> (Vec<Result<Entry>>, Option<Self>) {
        let needs = match &self.in_memory {
            Some(in_memory) if in_memory.is_likely() => Needs::Key,
            _ => self.needs,
        };
        let mut part = Part::begin(needs, ENTRIES);
        while !part.is_enough() {
            let Some((shard, listing)) = &mut self.current else {
                match self.next_shard() {
                    Ok(Some(Ok(current))) => self.current = Some(current),
                    Ok(Some(Err(error))) => part.found.push(Err(error)),
                    Ok(None) => {
                        part.found
                            .extend(self.store.blocks.cached().check_absence().err().map(Err));
                        return (part.found, None);
                    }
                    Err(error) => {
                        part.found.push(Err(error));
                        return (part.found, None);
                    }
                }
                continue;
            };
            match listing.next_entry() {
                Ok(Some(listed)) => {
                    let entry = self.store.listed_entry(shard, &listed, needs);
                    part.add(entry);
                }
                Ok(None) => self.current = None,
                Err(error) => {
                    let dir = self.store.blocks.layout().at_root(shard);
                    part.found.push(Err(Error::io("list", dir, error)));
                    self.current = None;
                }
            }
        }
        (part.found, Some(self))
    }

    /// The next shard directory with its entries, or why it can't be read.
    fn next_shard(&mut self) -> Result<Option<Result<(String, Listing)>>> {
        while let Some((shard, kind)) = self.take_shard()? {
            let dir = self.store.blocks.layout().at_root(&shard);
            let listing = match kind {
                Kind::Dir => self.list(dir),
                kind => Err(Error::Unexpected {
                    path: dir,
                    found: kind.name(),
                    expected: "directory",
                }),
            };
            if let Some(listing) = listing.transpose() {
                return Ok(Some(listing.map(|listing| (shard, listing))));
            }
        }
        Ok(None)
    }

    /// The next one of the shards, which is then no other walk's.
    fn take_shard(&self) -> Result<Option<(String, Kind)>> {
        let root = self.store.blocks.layout().root();
        let mut shards = lock(&self.shards);
        if shards.is_none() {
            *shards = self.list(root.to_owned())?;
        }
        while let Some(listed) = shards.as_mut().and_then(Iterator::next) {
            let listed = listed.map_err(|error| Error::io("list", root, error))?;
            if let Some(shard) = shard_name(&listed) {
                return Ok(Some((shard, listed.kind)));
            }
            warn_unless_known(root, &listed.name);
        }
        Ok(None)
    }

    /// Lists a directory, `None` if it has gone.
    fn list(&self, dir: PathBuf) -> Result<Option<Listing>> {
        let listing = if_there(self.store.blocks.disk().list(&dir));
        let listing = listing.map_err(|error| Error::io("list", &dir, error))?;
        if self.held.is_some() {
            return Ok(listing);
        }
        let in_memory = |all: Listing| all.into_memory(self.store.blocks.shared_disk(), dir);
        Ok(listing.map(in_memory))
    }
}

/// The name of what is a shard directory, or stands in the place of one.
fn shard_name(listed: &DirEntry) -> Option<String> {
    let is_shard = format::is_shard_name(&listed.name)
        && listed.kind != Kind::File
        && listed.name != SHARDING
        && listed.name != README;
    let name = listed.name.to_str()?;
    is_shard.then(|| name.to_owned())
}

fn warn_unless_known(root: &std::path::Path, name: &OsStr) {
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    if !is_hidden
        && ![SHARDING, README, DISK_USAGE]
            .iter()
            .any(|known| name == *known)
    {
        warn_foreign(&root.join(name));
    }
}

fn warn_foreign(path: &Path) {
    tracing::warn!(target: target::QUERY, path = %path.display(), "ignoring what is no part of a datastore");
}

impl Store {
    /// What was listed in a shard, as an entry; `None` if it is no block, or has gone.
    fn listed_entry(
        &self,
        shard: &str,
        listed: &CurrentEntry<'_>,
        needs: Needs,
    ) -> Result<Option<Entry>> {
        let path = || self.blocks.layout().at_root(shard).join(listed.name());
        let Some(block) = BlockKey::of_file(listed.name()) else {
            warn_foreign(&path());
            return Ok(None);
        };
        if listed.kind != Kind::File {
            return Err(Error::Unexpected {
                path: path(),
                found: listed.kind.name(),
                expected: "block",
            });
        }
        if self.blocks.layout().shard_of(&block) != shard {
            tracing::warn!(
                target: target::QUERY,
                path = %path().display(),
                "ignoring a block in a shard that is not its own"
            );
            return Ok(None);
        }
        let key = block.into_key();
        Ok(match needs {
            Needs::Key => Some(Entry::from_key(key)),
            Needs::Size => match if_there(listed.stat()) {
                Ok(Some(stat)) if stat.kind == Kind::File => Some(Entry::with_size(key, stat.len)),
                Ok(None) => None,
                _ => self
                    .blocks
                    .stat_at(&path())?
                    .map(|stat| Entry::with_size(key, stat.len)),
            },
            Needs::Value => if_there(listed.read())
                .map_err(|error| self.blocks.read_error(path(), error))?
                .map(|value| Entry::with_value(key, value)),
        })
    }
}
