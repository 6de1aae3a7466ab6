//! A walk over all shard directories of a store by several jobs at once.
//!
//! The jobs share one listing and take several hundred entries at a time. So memory doesn't grow with the store, and
//! all jobs have work even if all blocks are in one directory. A tool may move entries during the walk, even into
//! directories that the walk has not reached yet. The next pass finds what a listing has missed because of that: the
//! walk ends when a whole pass has changed nothing.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::future::join_all;

use super::skipped::SkipReason;
use super::tool_state::ToolState;
use crate::blocking;
use crate::disk::{Disk, Kind, if_there};
use crate::error::{Error, Result};
use crate::format::{BlockKey, QUARANTINE};
use crate::sync::lock;
use crate::walk::{
    EntryRole, Listings, Root, RootEntry, RootRole, Walk, WalkItem, count_shards, shard_dirs,
};

/// The number of jobs that run at the same time.
const JOBS: usize = 2;
/// The number of entries that a job takes at a time.
const MAX_ENTRIES_PER_TURN: usize = 512;

/// What a tool does with the blocks of each shard directory.
pub(super) trait BlockVisitor: Send + Sync + 'static {
    /// The blocks that one job gathers over several shards.
    type Gathered<'a>
    where
        Self: 'a;

    /// The disk and the root of the store.
    fn location(&self) -> (Arc<dyn Disk>, &Path);

    fn state(&self) -> &ToolState;

    /// Returns an empty collection, with which a job begins.
    fn gather(&self) -> Self::Gathered<'_>;

    /// Processes some blocks of a shard, or gathers them. Returns how many of them it changed.
    fn visit<'a>(&'a self, blocks: ShardBlocks, gathered: &mut Self::Gathered<'a>) -> Result<u64>;

    /// Processes the blocks that are still gathered at the end of a job. Returns how many of them it changed.
    fn finish_gathered(&self, gathered: Self::Gathered<'_>) -> Result<u64>;

    /// Processes the quarantine directory. The default leaves it where it is.
    fn visit_quarantine(&self, dir: &Path) -> Result<()> {
        let _ = dir;
        Ok(())
    }
}

/// Some blocks of one shard directory.
#[derive(Debug)]
pub(super) struct ShardBlocks {
    pub(super) shard: Arc<str>,
    pub(super) blocks: Vec<BlockKey>,
}

/// Passes all blocks of the store to the visitor, once.
#[cfg(feature = "dag")]
pub(super) async fn visit_blocks_once(visitor: &Arc<impl BlockVisitor>) -> Result<()> {
    begin(visitor).await?;
    pass(visitor).await.map(drop)
}

/// Passes all blocks of the store to the visitor, again and again until a whole pass has changed nothing.
pub(super) async fn visit_blocks(visitor: &Arc<impl BlockVisitor>) -> Result<()> {
    begin(visitor).await?;
    loop {
        // Each pass finds all skipped entries, so only those of the last pass count.
        visitor.state().take_skipped();
        if pass(visitor).await? == 0 {
            return Ok(());
        }
    }
}

/// Counts the shard directories, for the progress.
async fn begin(visitor: &Arc<impl BlockVisitor>) -> Result<()> {
    let counter = Arc::clone(visitor);
    blocking::run(move || {
        let (disk, root) = counter.location();
        let total_shards = count_shards(&*disk, root)?;
        counter.state().advance(|progress| {
            progress.shards = 0;
            progress.total_shards = total_shards;
        })
    })
    .await
}

async fn pass(visitor: &Arc<impl BlockVisitor>) -> Result<u64> {
    let (disk, root) = visitor.location();
    let root = Root::new(disk, root.to_owned());
    let walk = Arc::new(Mutex::new(Walk::new(root, Listings::Open)));
    let jobs = (0..JOBS).map(|_| {
        let (visitor, walk) = (Arc::clone(visitor), Arc::clone(&walk));
        blocking::run(move || {
            let result = run_job(&*visitor, &walk);
            result.inspect_err(|_| visitor.state().stop())
        })
    });
    // Wait for all jobs: none may still run when the caller gets an error.
    let (done, mut failed): (Vec<_>, Vec<_>) =
        join_all(jobs).await.into_iter().partition(Result::is_ok);
    // A job that was only stopped by another one doesn't have the cause.
    failed.sort_by_key(|failure| matches!(failure, Err(Error::Stopped)));
    failed.into_iter().chain(done).sum()
}

fn run_job(visitor: &impl BlockVisitor, walk: &Mutex<Walk>) -> Result<u64> {
    let mut changed = 0;
    let mut gathered = visitor.gather();
    loop {
        visitor.state().check()?;
        let next = {
            let mut walk = lock(walk);
            next_entries(&mut walk, visitor)?
        };
        let Some(entries) = next else {
            return Ok(changed + visitor.finish_gathered(gathered)?);
        };
        changed += visitor.visit(blocks_of(visitor, entries), &mut gathered)?;
    }
}

/// Some entries of one shard directory.
struct ShardEntries {
    shard: Arc<str>,
    entries: Vec<ListedEntry>,
}

struct ListedEntry {
    name: OsString,
    kind: Kind,
    inode: u64,
}

/// Takes some entries of one shard directory from the walk. Returns `None` at the end.
fn next_entries(walk: &mut Walk, visitor: &impl BlockVisitor) -> Result<Option<ShardEntries>> {
    let mut taken: Option<ShardEntries> = None;
    while let Some(item) = walk.next()? {
        match item {
            WalkItem::Entry(dir, entry) => {
                let taken = taken.get_or_insert_with(|| ShardEntries {
                    shard: Arc::clone(dir.name()),
                    entries: Vec::new(),
                });
                taken.entries.push(ListedEntry {
                    name: entry.name().to_owned(),
                    kind: entry.kind,
                    inode: entry.inode(),
                });
                if taken.entries.len() < MAX_ENTRIES_PER_TURN {
                    continue;
                }
            }
            WalkItem::Leave => visitor.state().advance(|progress| {
                progress.shards = progress.total_shards.min(progress.shards + 1);
            })?,
            WalkItem::Enter(_) => {}
            WalkItem::Root(entry) => visit_root_entry(visitor, &entry)?,
            WalkItem::Unreadable { error, .. } => return Err(error),
        }
        if taken.is_some() {
            break;
        }
    }
    Ok(taken)
}

fn visit_root_entry(visitor: &impl BlockVisitor, entry: &RootEntry) -> Result<()> {
    let path = || visitor.location().1.join(&entry.name);
    match entry.role {
        RootRole::Own(_) if entry.name != QUARANTINE => {}
        RootRole::Own(expected) if entry.kind == expected => visitor.visit_quarantine(&path())?,
        _ => visitor.state().skip(path(), SkipReason::Foreign),
    }
    Ok(())
}

/// Returns the blocks among the entries of a shard, and skips the others.
fn blocks_of(visitor: &impl BlockVisitor, taken: ShardEntries) -> ShardBlocks {
    let ShardEntries { shard, mut entries } = taken;
    // A listing is in the order of hashes on ext4. In the order of the inodes, a disk reads the inode tables from one end
    // to the other, and removals change each block of them once.
    entries.sort_by_key(|entry| entry.inode);
    let (_, root) = visitor.location();
    let mut blocks = Vec::with_capacity(entries.len());
    for ListedEntry { name, kind, .. } in entries {
        let reason = match EntryRole::of(&name, kind) {
            EntryRole::Block(block) => {
                blocks.push(block);
                continue;
            }
            EntryRole::LeftOver => SkipReason::LeftOver,
            EntryRole::SetAside => SkipReason::Differs,
            EntryRole::BlockObstacle(_) | EntryRole::Foreign => SkipReason::Foreign,
        };
        visitor.state().skip(root.join(&*shard).join(name), reason);
    }
    ShardBlocks { shard, blocks }
}

/// Removes the shard directories that are empty.
pub(super) fn remove_empty_shards(disk: &dyn Disk, root: &Path) -> Result<()> {
    for dir in shard_dirs(disk, root)? {
        remove_if_empty(disk, &dir?)?;
    }
    Ok(())
}

/// Removes a directory if it is empty. Returns `true` if the directory no longer exists.
pub(super) fn remove_if_empty(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    match if_there(disk.remove_dir(dir)) {
        Err(error) if is_in_use(&error) => Ok(false),
        removed => {
            removed.map_err(|error| Error::io("remove", dir, error))?;
            Ok(true)
        }
    }
}

/// Returns whether the error says that a directory is not empty, or that something is mounted on it.
fn is_in_use(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, ResourceBusy};
    matches!(
        error.kind(),
        AlreadyExists | DirectoryNotEmpty | ResourceBusy
    )
}
