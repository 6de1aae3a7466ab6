//! The walk over the directories of a store: the root, the shard directories in it, and their entries.
//!
//! All code that examines a whole store reads its directories here: queries, the tools for whole stores,
//! verification and the count of the disk usage. So all of them agree on which entries are shard directories,
//! blocks or foreign.
//!
//! A [`Walk`] borrows each entry from the listing, without a copy of its name. Several walks may share one
//! [`Root`]: then each shard directory goes to one of them. A caller that needs only a part can use
//! [`RootEntries`] or one [`ShardDir`] by itself.

mod entry;
mod root;
mod shard_dir;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::entry::EntryRole;
pub(crate) use self::root::{Root, RootEntries, RootEntry, RootRole, count_shards, shard_dirs};
pub(crate) use self::shard_dir::{Listings, ShardDir};
use crate::disk::CurrentEntry;
use crate::error::{Error, Result};

/// A walk over the directories of a store, except those that another walk of the same root takes.
///
/// Between two calls it keeps at most two listings open, or keeps their names in [memory](Listings).
#[derive(Debug)]
pub(crate) struct Walk {
    root: Arc<Root>,
    listings: Listings,
    current: Option<ShardDir>,
}

/// An item of a walk.
pub(crate) enum WalkItem<'a> {
    /// An entry of the root that is not a shard directory.
    Root(RootEntry),
    /// A shard directory, whose entries follow.
    Enter(
        #[cfg_attr(
            not(feature = "verify"),
            expect(dead_code, reason = "only a verification looks into it")
        )]
        &'a ShardDir,
    ),
    /// An entry of a shard directory.
    Entry(&'a ShardDir, CurrentEntry<'a>),
    /// The end of a shard directory.
    Leave,
    /// A shard directory that can't be read, or not to its end. The walk continues with the next one.
    Unreadable {
        /// Its path.
        #[cfg_attr(
            not(feature = "verify"),
            expect(dead_code, reason = "only a verification reports it")
        )]
        dir: PathBuf,
        /// The error, with the same path.
        error: Error,
    },
}

impl Walk {
    pub(crate) fn new(root: Arc<Root>, listings: Listings) -> Self {
        Walk {
            root,
            listings,
            current: None,
        }
    }

    /// Returns another walk over the rest of the same root, which leaves the current shard directory to
    /// this one.
    pub(crate) fn beside(&self, listings: Listings) -> Self {
        Walk::new(Arc::clone(&self.root), listings)
    }

    /// Moves to the next item and returns it, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Fails if the root can't be listed, which ends all walks that share it.
    pub(crate) fn next(&mut self) -> Result<Option<WalkItem<'_>>> {
        let Some(dir) = &mut self.current else {
            return self.next_at_root();
        };
        match dir.advance() {
            Ok(Some(kind)) => {
                let entry = self.current.as_ref();
                Ok(entry.map(|dir| WalkItem::Entry(dir, dir.current(kind))))
            }
            Ok(None) => {
                self.current = None;
                Ok(Some(WalkItem::Leave))
            }
            Err(error) => {
                // The walk continues with the next directory: one that can't be read must not hide the blocks of
                // the others.
                let dir = dir.path().to_owned();
                self.current = None;
                Ok(Some(WalkItem::Unreadable { dir, error }))
            }
        }
    }

    fn next_at_root(&mut self) -> Result<Option<WalkItem<'_>>> {
        // A shard directory that was removed after the root was listed is skipped: its blocks are absent.
        while let Some(entry) = self.root.next(self.listings)? {
            let (RootRole::Shard, Some(name)) = (entry.role, entry.name.to_str()) else {
                return Ok(Some(WalkItem::Root(entry)));
            };
            match self.root.open(name, self.listings) {
                Ok(Some(dir)) => return Ok(Some(WalkItem::Enter(self.current.insert(dir)))),
                Ok(None) => {}
                Err(error) => {
                    let dir = self.root.path().join(name);
                    return Ok(Some(WalkItem::Unreadable { dir, error }));
                }
            }
        }
        Ok(None)
    }
}
