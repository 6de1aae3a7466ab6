//! [`CheckWalk`]: everything in a store that is to be checked, in the order of its directories.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Problem};
use crate::disk::{CurrentEntry, Disk, Kind};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout};
use crate::key::Key;
use crate::walk::{EntryRole, Listings, Root, RootEntry, RootRole, ShardDir, Walk, WalkItem};

/// A file that has the name of a block.
#[derive(Debug)]
pub(super) struct BlockFile {
    pub(super) path: PathBuf,
    /// The name of its directory, empty in the root.
    pub(super) dir: Arc<str>,
    pub(super) block: BlockKey,
    /// Where it should be instead.
    pub(super) belongs: Option<PathBuf>,
}

impl BlockFile {
    pub(super) fn key(&self) -> &Key {
        self.block.key()
    }
}

/// An item that a pass processes.
#[derive(Debug)]
pub(super) enum CheckItem {
    /// A block, to be checked.
    Block(BlockFile),
    /// A temp file of an old version of go-ds-flatfs, in a shard directory.
    LeftOver(PathBuf),
    /// Something that needs no further check.
    Finding(Finding),
}

/// A walk over a store for a verification or a repair. It keeps two listings open, and no names.
pub(super) struct CheckWalk {
    walk: Walk,
    expected: ExpectedEntries,
    /// The number of shard directories that are done.
    shards: u64,
}

/// Which entries a store should have, and where.
struct ExpectedEntries {
    root: PathBuf,
    /// `None` if the shard function is unknown: then it is not known where blocks belong.
    layout: Option<Layout>,
}

impl CheckWalk {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf, layout: Option<Layout>) -> Self {
        CheckWalk {
            walk: Walk::new(Root::new(disk, root.clone()), Listings::Open),
            expected: ExpectedEntries { root, layout },
            shards: 0,
        }
    }

    pub(super) fn shards(&self) -> u64 {
        self.shards
    }

    /// Takes at most `max` of the next items. Returns none at the end.
    ///
    /// # Errors
    ///
    /// Fails if the root can't be listed. A shard directory that can't be listed is a finding.
    pub(super) fn take(&mut self, max: usize) -> Result<Vec<CheckItem>> {
        let mut items = Vec::new();
        while items.len() < max
            && let Some(item) = self.walk.next()?
        {
            items.extend(match item {
                WalkItem::Entry(dir, entry) => self.expected.in_shard(dir, &entry),
                WalkItem::Enter(dir) => self.expected.shard_dir(dir),
                WalkItem::Root(entry) => self.expected.at_root(&entry),
                WalkItem::Leave => {
                    self.shards += 1;
                    None
                }
                WalkItem::Unreadable { dir, error } => {
                    self.shards += 1;
                    Some(unlisted(&dir, error))
                }
            });
        }
        Ok(items)
    }
}

impl ExpectedEntries {
    /// Returns the item for an entry of the root, unless the entry is as it should be.
    fn at_root(&self, entry: &RootEntry) -> Option<CheckItem> {
        let path = self.root.join(&entry.name);
        let found = entry.kind.name();
        let expected = match entry.role {
            RootRole::Own(expected) if entry.kind == expected => return None,
            RootRole::Own(expected) => expected.name(),
            RootRole::ShardObstacle => Kind::Dir.name(),
            RootRole::Shard | RootRole::Hidden | RootRole::Foreign => {
                return Some(match BlockKey::of_file(&entry.name) {
                    Some(block) if entry.kind == Kind::File => {
                        self.block_file(path, Arc::from(""), block)
                    }
                    _ => problem(path, Problem::Foreign { found }),
                });
            }
        };
        Some(problem(path, Problem::Obstacle { found, expected }))
    }

    /// Returns the finding for a shard directory that no key has. It is foreign, but it is entered, because
    /// blocks may be in it.
    fn shard_dir(&self, dir: &ShardDir) -> Option<CheckItem> {
        let layout = self.layout.as_ref()?;
        // All names that a shard function returns have the same length.
        if layout.shard().dir("").len() == dir.name().len() {
            return None;
        }
        let found = Kind::Dir.name();
        Some(problem(dir.path(), Problem::Foreign { found }))
    }

    fn in_shard(&self, dir: &ShardDir, entry: &CurrentEntry<'_>) -> Option<CheckItem> {
        let path = dir.path().join(entry.name());
        let found = entry.kind.name();
        Some(match EntryRole::of(entry.name(), entry.kind) {
            EntryRole::Block(block) => self.block_file(path, Arc::clone(dir.name()), block),
            EntryRole::BlockObstacle(block) => {
                let expected = "block";
                let obstacle = Problem::Obstacle { found, expected };
                CheckItem::Finding(Finding::new(path, Some(block.key()), obstacle))
            }
            EntryRole::LeftOver => CheckItem::LeftOver(path),
            EntryRole::SetAside | EntryRole::Foreign => problem(path, Problem::Foreign { found }),
        })
    }

    fn block_file(&self, path: PathBuf, dir: Arc<str>, block: BlockKey) -> CheckItem {
        let layout = self.layout.as_ref();
        let belongs = layout
            .filter(|layout| *layout.shard_of(&block) != *dir)
            .map(|layout| layout.block(&block));
        CheckItem::Block(BlockFile {
            path,
            dir,
            block,
            belongs,
        })
    }
}

fn problem(path: impl Into<PathBuf>, problem: Problem) -> CheckItem {
    CheckItem::Finding(Finding::new(path, None, problem))
}

fn unlisted(dir: &Path, error: Error) -> CheckItem {
    CheckItem::Finding(Finding::unreadable(dir, None, error))
}
