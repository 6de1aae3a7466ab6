//! [`Scanner`]: the jobs of a query.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::values::CacheHint;
use super::{MAX_ENTRIES_PER_JOB, ScanJob};
use crate::disk::{CurrentEntry, Kind, if_there};
use crate::error::{Error, ExpectedEntry, Result};
use crate::observe::target;
use crate::query::{Entry, Needs};
use crate::store::Store;
use crate::walk::{EntryRole, Listings, Root, RootEntry, RootRole, ShardDir, Walk, WalkItem};

/// One of the walks of a query, which turns what it finds into entries.
///
/// Between two jobs it keeps its listings open if it has a permit for that; otherwise it keeps all names of
/// a directory in memory. It does not wait for a permit: a caller that reads two queries at once could
/// then deadlock.
pub(super) struct Scanner {
    pub(super) store: Arc<Store>,
    needs: Needs,
    cache_hint: Option<CacheHint>,
    walk: Walk,
    /// The permit to keep listings open, released with the scanner.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Scanner {
    pub(super) fn new(store: &Arc<Store>, needs: Needs, cache_hint: Option<CacheHint>) -> Self {
        let permit = store.open_files.try_listing();
        let listings = match permit {
            Some(_) => Listings::Open,
            None => Listings::InMemory,
        };
        let root = Root::new(
            store.blocks.shared_disk(),
            store.blocks.layout().root().to_owned(),
        );
        Scanner {
            store: Arc::clone(store),
            needs,
            cache_hint,
            walk: Walk::new(root, listings),
            _permit: permit,
        }
    }

    /// Returns one more scanner for the rest of the same store, if there is a permit for its listings.
    pub(super) fn beside(&self) -> Option<Self> {
        let permit = self.store.open_files.try_listing()?;
        Some(Scanner {
            store: Arc::clone(&self.store),
            needs: self.needs,
            cache_hint: self.cache_hint.clone(),
            walk: self.walk.beside(Listings::Open),
            _permit: Some(permit),
        })
    }

    /// Runs one job. Returns what it found, and the scanner unless it is at its end.
    pub(super) fn run_job(mut self) -> (Vec<Result<Entry>>, Option<Self>) {
        let needs = match &self.cache_hint {
            Some(cache_hint) if cache_hint.is_likely() => Needs::Key,
            _ => self.needs,
        };
        let mut job = ScanJob::begin(needs, MAX_ENTRIES_PER_JOB);
        while !job.is_enough() {
            match self.walk.next() {
                Ok(Some(WalkItem::Entry(dir, entry))) => {
                    job.add(self.store.listed_entry(dir, &entry, needs));
                }
                Ok(Some(WalkItem::Root(entry))) => {
                    let root = self.store.blocks.layout().root();
                    job.found
                        .extend(check_root_entry(root, &entry).err().map(Err));
                }
                Ok(Some(WalkItem::Unreadable { error, .. })) => job.found.push(Err(error)),
                Ok(Some(WalkItem::Enter(_) | WalkItem::Leave)) => {}
                Ok(None) => return (self.end(job, None), None),
                Err(error) => return (self.end(job, Some(error)), None),
            }
        }
        (job.found, Some(self))
    }

    /// Ends the query. If entries may be missing because the store was moved away or replaced while it was
    /// read, the stale check returns the error.
    fn end(&self, mut job: ScanJob, error: Option<Error>) -> Vec<Result<Entry>> {
        let error = match error {
            Some(error) if !is_not_found(&error) => Some(error),
            _ => self.store.blocks.cached().check_absence().err(),
        };
        job.found.extend(error.map(Err));
        job.found
    }
}

fn is_not_found(error: &Error) -> bool {
    let kind = error.io_error().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::NotFound)
}

/// Warns if the entry is not a part of a datastore.
///
/// # Errors
///
/// Fails if something else is at the path of a shard directory, because there may be blocks behind it.
fn check_root_entry(root: &Path, entry: &RootEntry) -> Result<()> {
    match entry.role {
        RootRole::ShardObstacle => Err(entry
            .kind
            .unexpected(root.join(&entry.name), ExpectedEntry::Directory)),
        RootRole::Foreign => {
            warn_foreign(&root.join(&entry.name));
            Ok(())
        }
        RootRole::Own(_) | RootRole::Hidden | RootRole::Shard => Ok(()),
    }
}

fn warn_foreign(path: &Path) {
    tracing::warn!(target: target::QUERY, path = %path.display(), "ignoring an entry that is not part of a store");
}

impl Store {
    /// Returns the query's entry for an entry of a shard directory, or `None` if that is not a block, or no
    /// longer exists.
    fn listed_entry(
        &self,
        shard: &ShardDir,
        listed: &CurrentEntry<'_>,
        needs: Needs,
    ) -> Result<Option<Entry>> {
        let path = || shard.path().join(listed.name());
        let block = match EntryRole::of(listed.name(), listed.kind) {
            EntryRole::Block(block) => block,
            EntryRole::BlockObstacle(_) => {
                return Err(listed.kind.unexpected(path(), ExpectedEntry::Block));
            }
            EntryRole::LeftOver | EntryRole::SetAside | EntryRole::Foreign => {
                warn_foreign(&path());
                return Ok(None);
            }
        };
        if *self.blocks.layout().shard_of(&block) != **shard.name() {
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
                // Looked up again by its path, for an error that says what was found.
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
