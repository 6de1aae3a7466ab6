//! A walk through all shard directories of a store, by several jobs at once.
//!
//! The jobs share one listing, some hundred entries at a time: so memory doesn't grow with the store,
//! and all jobs have work though all blocks stand in one directory. Entries may be moved away while the
//! walk goes on, and put into directories that it has yet to come to. What a listing misses because of
//! that, the next pass finds: a sweep is over when a whole pass had nothing to change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;

use super::skipped::SkipReason;
use super::work::Work;
use crate::blocking;
use crate::disk::{DirEntry, Disk, Kind, Listing, if_there};
use crate::error::{Error, Result};
use crate::format::{self, BlockKey, QUARANTINE, SET_ASIDE};

/// How many jobs work side by side.
const JOBS: usize = 2;
/// How many entries a job takes at a time.
const ENTRIES: usize = 512;

/// What a tool does in each shard directory.
pub(super) trait Sweeper: Send + Sync + 'static {
    /// What one job gathers over several shards.
    type Gathered<'a>
    where
        Self: 'a;

    /// The store's disk and root.
    fn place(&self) -> (&dyn Disk, &Path);

    fn work(&self) -> &Work;

    /// With nothing gathered.
    fn gather(&self) -> Self::Gathered<'_>;

    /// Does the work for some blocks of a shard, or gathers them; answers how many it had to do something
    /// with.
    fn sweep<'a>(&'a self, blocks: Blocks, gathered: &mut Self::Gathered<'a>) -> Result<u64>;

    /// Does the work for what is still gathered when a job has swept its last shard; answers as
    /// [`sweep`](Sweeper::sweep).
    fn finish_gathered(&self, gathered: Self::Gathered<'_>) -> Result<u64>;

    /// Sees to the directory of what a repair took out of the way. It may stay where it is.
    fn quarantine(&self, dir: &Path) -> Result<()> {
        let _ = dir;
        Ok(())
    }
}

/// Some blocks that stand in one shard directory.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) shard: Arc<str>,
    pub(super) blocks: Vec<BlockKey>,
}

/// Sweeps through the store until there is nothing left to do.
pub(super) async fn sweep(sweeper: &Arc<impl Sweeper>) -> Result<()> {
    let counter = Arc::clone(sweeper);
    blocking::run(move || count_shards(&*counter)).await?;
    loop {
        sweeper.work().take_kept();
        if pass(sweeper).await? == 0 {
            return Ok(());
        }
    }
}

fn count_shards(sweeper: &impl Sweeper) -> Result<()> {
    let (disk, root) = sweeper.place();
    let mut shards = 0;
    for_each_shard(disk, root, |_| {
        shards += 1;
        Ok(())
    })?;
    sweeper
        .work()
        .advance(|progress| progress.total_shards = shards)
}

async fn pass(sweeper: &Arc<impl Sweeper>) -> Result<u64> {
    let walk = Arc::new(Mutex::new(Walk::default()));
    let jobs = (0..JOBS).map(|_| {
        let (sweeper, walk) = (Arc::clone(sweeper), Arc::clone(&walk));
        blocking::run(move || {
            let worked = work_off(&*sweeper, &walk);
            worked.inspect_err(|_| sweeper.work().stop())
        })
    });
    // All are waited for: none may go on when the caller learns of an error.
    let (done, mut failed): (Vec<_>, Vec<_>) =
        join_all(jobs).await.into_iter().partition(Result::is_ok);
    // One that was only told to stop doesn't know why.
    failed.sort_by_key(|failure| matches!(failure, Err(Error::Stopped)));
    failed.into_iter().chain(done).sum()
}

fn work_off(sweeper: &impl Sweeper, walk: &Mutex<Walk>) -> Result<u64> {
    let mut changed = 0;
    let mut gathered = sweeper.gather();
    loop {
        sweeper.work().check()?;
        let next = {
            let mut walk = walk.lock().unwrap_or_else(PoisonError::into_inner);
            walk.next(sweeper)?
        };
        let Some((shard, entries)) = next else {
            return Ok(changed + sweeper.finish_gathered(gathered)?);
        };
        let blocks = blocks_of(sweeper, &shard, entries);
        changed += sweeper.sweep(Blocks { shard, blocks }, &mut gathered)?;
    }
}

/// The blocks among the entries of a shard; the others are kept.
fn blocks_of(sweeper: &impl Sweeper, shard: &str, entries: Vec<DirEntry>) -> Vec<BlockKey> {
    let blocks = entries.into_iter().filter_map(|listed| {
        let block = BlockKey::of_file(&listed.name).filter(|_| listed.kind == Kind::File);
        if block.is_none() {
            let (_, root) = sweeper.place();
            let path = root.join(shard).join(listed.name);
            let was_set_aside = path.extension().is_some_and(|end| end == SET_ASIDE);
            let why = if was_set_aside {
                SkipReason::Differs
            } else {
                SkipReason::Foreign
            };
            sweeper.work().keep(path, why);
        }
        block
    });
    blocks.collect()
}

fn is_shard(listed: &DirEntry) -> bool {
    listed.kind == Kind::Dir && format::is_shard_name(&listed.name)
}

/// Where a pass stands.
#[derive(Default)]
struct Walk {
    /// The rest of the root, once it is listed.
    shards: Option<Listing>,
    /// The shard that is being listed, and the rest of it.
    current: Option<(Arc<str>, Listing)>,
}

impl Walk {
    /// Some entries of one shard; `None` after the last ones.
    fn next(&mut self, sweeper: &impl Sweeper) -> Result<Option<(Arc<str>, Vec<DirEntry>)>> {
        loop {
            let Some((shard, listing)) = &mut self.current else {
                self.current = self.next_shard(sweeper)?;
                if self.current.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let (_, root) = sweeper.place();
            let failed = |error| Error::io("list", root.join(&**shard), error);
            let entries: Result<Vec<_>> = listing
                .take(ENTRIES)
                .map(|listed| listed.map_err(failed))
                .collect();
            let (shard, entries) = (Arc::clone(shard), entries?);
            if entries.len() < ENTRIES {
                self.current = None;
                sweeper.work().advance(|progress| {
                    progress.shards = progress.total_shards.min(progress.shards + 1);
                })?;
            }
            if !entries.is_empty() {
                return Ok(Some((shard, entries)));
            }
        }
    }

    fn next_shard(&mut self, sweeper: &impl Sweeper) -> Result<Option<(Arc<str>, Listing)>> {
        let (disk, root) = sweeper.place();
        let failed = |path: PathBuf| move |error| Error::io("list", path, error);
        let shards = match &mut self.shards {
            Some(shards) => shards,
            None => {
                let listing = disk.list(root).map_err(failed(root.to_owned()))?;
                self.shards.insert(listing)
            }
        };
        for listed in shards {
            let listed = listed.map_err(failed(root.to_owned()))?;
            if is_shard(&listed) {
                let dir = root.join(&listed.name);
                let listing = if_there(disk.list(&dir)).map_err(failed(dir))?;
                if let Some(listing) = listing {
                    return Ok(Some((listed.name.to_string_lossy().into(), listing)));
                }
            } else if listed.kind == Kind::Dir && listed.name == QUARANTINE {
                sweeper.quarantine(&root.join(QUARANTINE))?;
            } else if !format::is_known(&listed.name) {
                sweeper
                    .work()
                    .keep(root.join(listed.name), SkipReason::Foreign);
            }
        }
        Ok(None)
    }
}

/// Does something with each shard directory.
pub(super) fn for_each_shard(
    disk: &dyn Disk,
    root: &Path,
    mut each: impl FnMut(&Path) -> Result<()>,
) -> Result<()> {
    let failed = |error| Error::io("list", root, error);
    for listed in disk.list(root).map_err(failed)? {
        let listed = listed.map_err(failed)?;
        if is_shard(&listed) {
            each(&root.join(&listed.name))?;
        }
    }
    Ok(())
}

/// Removes the shard directories that are empty.
pub(super) fn remove_empty_shards(disk: &dyn Disk, root: &Path) -> Result<()> {
    for_each_shard(disk, root, |dir| remove_if_empty(disk, dir).map(drop))
}

/// Removes a directory unless something is in it; whether it is gone.
pub(super) fn remove_if_empty(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    match if_there(disk.remove_dir(dir)) {
        Err(error) if is_in_use(&error) => Ok(false),
        removed => {
            removed.map_err(|error| Error::io("remove", dir, error))?;
            Ok(true)
        }
    }
}

/// Something is in it, or mounted on it.
fn is_in_use(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, ResourceBusy};
    matches!(
        error.kind(),
        AlreadyExists | DirectoryNotEmpty | ResourceBusy
    )
}
