//! [`Walk`]: everything that stands in a store, block or not, in the order of its directories.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Problem};
use crate::disk::{DirEntry, Disk, Kind, Listing, if_there};
use crate::error::{Error, Result};
use crate::format::{
    self, BlockKey, DISK_USAGE, LOCK, Layout, QUARANTINE, README, SHARDING, TEMP, UNCLEAN,
};
use crate::key::Key;

/// A file that has the name of a block.
#[derive(Debug)]
pub(super) struct BlockFile {
    pub(super) path: PathBuf,
    /// The name of the directory that it stands in, empty in the root.
    pub(super) dir: Arc<str>,
    pub(super) block: BlockKey,
    /// Where it should stand instead.
    pub(super) belongs: Option<PathBuf>,
}

impl BlockFile {
    pub(super) fn key(&self) -> &Key {
        self.block.key()
    }
}

/// What a walk meets.
#[derive(Debug)]
pub(super) enum WalkItem {
    Block(BlockFile),
    Finding(Finding),
}

/// A walk through a store. It keeps two listings open, and no names.
pub(super) struct Walk {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Absent where the shard function is not known, and with it not where blocks belong.
    layout: Option<Layout>,
    /// The rest of the root.
    rest: Option<Listing>,
    current: Option<Dir>,
    /// How many shard directories are done.
    shards: u64,
}

struct Dir {
    name: Arc<str>,
    path: PathBuf,
    listing: Listing,
}

impl Walk {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf, layout: Option<Layout>) -> Self {
        Walk {
            disk,
            layout,
            root,
            rest: None,
            current: None,
            shards: 0,
        }
    }

    pub(super) fn shards(&self) -> u64 {
        self.shards
    }

    /// How many shard directories there are.
    pub(super) fn count_shards(disk: &dyn Disk, root: &Path) -> Result<u64> {
        let mut count = 0;
        for listed in list(disk, root)? {
            let listed = listed.map_err(|error| Error::io("list", root, error))?;
            let is_shard = listed.kind == Kind::Dir && format::is_shard_name(&listed.name);
            count += u64::from(is_shard);
        }
        Ok(count)
    }

    /// The next ones, at most so many of them; none at the end.
    ///
    /// # Errors
    ///
    /// If the root can't be listed. A shard directory that can't be is a finding.
    pub(super) fn take(&mut self, most: usize) -> Result<Vec<WalkItem>> {
        if self.rest.is_none() {
            self.rest = Some(list(&*self.disk, &self.root)?);
        }
        let mut met = Vec::new();
        while met.len() < most {
            if let Some(dir) = &mut self.current {
                match dir.listing.next() {
                    Some(Ok(listed)) => met.extend(in_shard(self.layout.as_ref(), dir, &listed)),
                    Some(Err(error)) => {
                        met.push(unlisted(&dir.path, Error::io("list", &dir.path, error)));
                        self.leave();
                    }
                    None => self.leave(),
                }
                continue;
            }
            let Some(listed) = self.rest.as_mut().and_then(Iterator::next) else {
                break;
            };
            let listed = listed.map_err(|error| Error::io("list", &self.root, error))?;
            met.extend(self.at_root(&listed));
        }
        Ok(met)
    }

    fn leave(&mut self) {
        self.current = None;
        self.shards += 1;
    }

    /// What stands in the root, unless it is as it should be. A shard directory is entered.
    fn at_root(&mut self, listed: &DirEntry) -> Option<WalkItem> {
        let path = self.root.join(&listed.name);
        let finding = |problem| Some(WalkItem::Finding(Finding::new(&path, None, problem)));
        if let Some(expected) = expected_at_root(&listed.name) {
            return if listed.kind == expected {
                None
            } else {
                finding(Problem::Obstacle {
                    found: listed.kind.name(),
                    expected: expected.name(),
                })
            };
        }
        if let (Kind::File, Some(block)) = (listed.kind, BlockKey::of_file(&listed.name)) {
            let root = Arc::from("");
            return Some(WalkItem::Block(block_file(
                self.layout.as_ref(),
                path,
                root,
                block,
            )));
        }
        let is_shard = format::is_shard_name(&listed.name);
        match (listed.name.to_str(), listed.kind) {
            (Some(name), Kind::Dir) if is_shard => self.enter(name, path),
            (_, Kind::Symlink | Kind::Other) if is_shard => finding(Problem::Obstacle {
                found: listed.kind.name(),
                expected: "directory",
            }),
            (_, kind) => finding(Problem::Foreign { found: kind.name() }),
        }
    }

    /// A directory that no key has is entered too: blocks may stand in it.
    fn enter(&mut self, name: &str, path: PathBuf) -> Option<WalkItem> {
        let listing = match if_there(self.disk.list(&path)) {
            Ok(Some(listing)) => listing,
            Ok(None) => return None,
            Err(error) => {
                self.shards += 1;
                return Some(unlisted(&path, Error::io("list", &path, error)));
            }
        };
        let is_of_keys = self.layout.as_ref().is_none_or(|layout| {
            // As long as those that the function gives.
            layout.shard().dir("").len() == name.len()
        });
        let foreign = Problem::Foreign {
            found: Kind::Dir.name(),
        };
        let finding = Finding::new(&path, None, foreign);
        self.current = Some(Dir {
            name: Arc::from(name),
            path,
            listing,
        });
        (!is_of_keys).then_some(WalkItem::Finding(finding))
    }
}

/// What stands in a shard directory.
fn in_shard(layout: Option<&Layout>, dir: &Dir, listed: &DirEntry) -> Option<WalkItem> {
    let path = dir.path.join(&listed.name);
    let found = listed.kind.name();
    let Some(block) = BlockKey::of_file(&listed.name) else {
        let problem = Problem::Foreign { found };
        return Some(WalkItem::Finding(Finding::new(path, None, problem)));
    };
    if listed.kind != Kind::File {
        let expected = "block";
        let problem = Problem::Obstacle { found, expected };
        let finding = Finding::new(path, Some(block.key()), problem);
        return Some(WalkItem::Finding(finding));
    }
    Some(WalkItem::Block(block_file(
        layout,
        path,
        Arc::clone(&dir.name),
        block,
    )))
}

fn block_file(layout: Option<&Layout>, path: PathBuf, dir: Arc<str>, block: BlockKey) -> BlockFile {
    let belongs = layout
        .filter(|layout| *layout.shard_of(&block) != *dir)
        .map(|layout| layout.block(&block));
    BlockFile {
        path,
        dir,
        block,
        belongs,
    }
}

/// The kind of what has this name in the root of every store.
fn expected_at_root(name: &OsStr) -> Option<Kind> {
    let files = [SHARDING, README, DISK_USAGE, LOCK, UNCLEAN];
    if files.iter().any(|file| name == *file) {
        Some(Kind::File)
    } else {
        (name == TEMP || name == QUARANTINE).then_some(Kind::Dir)
    }
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Listing> {
    disk.list(dir)
        .map_err(|error| Error::io("list", dir, error))
}

fn unlisted(dir: &Path, error: Error) -> WalkItem {
    WalkItem::Finding(Finding::unreadable(dir, None, error))
}
