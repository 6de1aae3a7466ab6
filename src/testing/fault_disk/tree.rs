//! [`Tree`]: which names refer to which inodes, and how an [`EntryChange`] changes that.
//!
//! A directory has at most one name, a file may have several. A move removes the old name in the same
//! change.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use crate::disk::Kind;

/// The number of an inode. It is never reused for another inode.
pub(super) type InodeId = u64;

/// An inode, as a directory entry refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) id: InodeId,
    pub(super) kind: Kind,
}

/// The directory `/`.
pub(super) const ROOT: Inode = Inode {
    id: 0,
    kind: Kind::Dir,
};

/// A name in a directory, whether an entry has it or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryName {
    pub(super) dir: InodeId,
    pub(super) name: OsString,
}

/// A change of directory entries, which is made as a whole or not at all.
#[derive(Clone, Debug)]
pub(super) enum EntryChange {
    Link {
        inode: Inode,
        at: EntryName,
    },
    Move {
        inode: Inode,
        from: EntryName,
        to: EntryName,
    },
    Unlink {
        inode: Inode,
        at: EntryName,
    },
}

impl EntryChange {
    pub(super) fn inode(&self) -> Inode {
        match self {
            EntryChange::Link { inode, .. }
            | EntryChange::Move { inode, .. }
            | EntryChange::Unlink { inode, .. } => *inode,
        }
    }

    /// Returns the directories whose flush makes this change durable. The removal of a directory is also
    /// a change of that directory: what was moved out of it must be durable first.
    pub(super) fn dirs(&self) -> [InodeId; 2] {
        match self {
            EntryChange::Link { at, .. } => [at.dir, at.dir],
            EntryChange::Move { from, to, .. } => [from.dir, to.dir],
            EntryChange::Unlink { inode, at } => [at.dir, inode.id],
        }
    }

    /// Returns the name where the change displaces another entry.
    fn target(&self) -> &EntryName {
        match self {
            EntryChange::Link { at, .. } | EntryChange::Unlink { at, .. } => at,
            EntryChange::Move { to, .. } => to,
        }
    }
}

/// The directories that can be reached from `/`, with their entries.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    dirs: HashMap<InodeId, BTreeMap<OsString, Inode>>,
    /// The names of each inode that has at least one, oldest first.
    names: HashMap<InodeId, Vec<EntryName>>,
}

impl Tree {
    /// Creates a tree with nothing but `/`.
    pub(super) fn new() -> Self {
        Tree {
            dirs: HashMap::from([(ROOT.id, BTreeMap::new())]),
            names: HashMap::new(),
        }
    }

    /// Returns whether the inode has a name.
    pub(super) fn has_name(&self, id: InodeId) -> bool {
        self.names.contains_key(&id)
    }

    fn names_of(&self, id: InodeId) -> &[EntryName] {
        self.names.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get(&self, entry: &EntryName) -> Option<Inode> {
        self.dirs.get(&entry.dir)?.get(&entry.name).copied()
    }

    /// Returns the entries of a directory, sorted; none if the directory can't be reached.
    pub(super) fn entries(&self, dir: InodeId) -> impl Iterator<Item = (&OsStr, Inode)> {
        let entries = self.dirs.get(&dir).into_iter().flatten();
        entries.map(|(name, inode)| (name.as_os_str(), *inode))
    }

    /// Returns a directory and everything below it.
    pub(super) fn walk(&self, top: Inode) -> Vec<Inode> {
        let mut inodes = vec![top];
        let mut next = 0;
        while let Some(inode) = inodes.get(next).copied() {
            inodes.extend(self.entries(inode.id).map(|(_, child)| child));
            next += 1;
        }
        inodes
    }

    /// Returns the inode at a path.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir => {}
                Component::Normal(name) => {
                    let entries = self
                        .dirs
                        .get(&inode.id)
                        .ok_or(io::ErrorKind::NotADirectory)?;
                    inode = *entries.get(name).ok_or(io::ErrorKind::NotFound)?;
                }
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(inode)
    }

    /// Returns the name that a path stands for, in a directory that exists.
    pub(super) fn entry_name(&self, path: &Path) -> io::Result<EntryName> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let dir = self.resolve(parent)?;
        if dir.kind != Kind::Dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (dir, name) = (dir.id, name.to_owned());
        Ok(EntryName { dir, name })
    }

    /// Applies a change after all the changes that came before it.
    pub(super) fn apply(&mut self, change: &EntryChange) {
        self.apply_if_possible(change, |_| false);
    }

    /// Applies a change although earlier changes may have been lost.
    ///
    /// Does nothing if the change depends on them: its directory does not exist, or it would remove a
    /// directory with entries, or the last name of an inode that is `needed`.
    pub(super) fn apply_if_possible(
        &mut self,
        change: &EntryChange,
        needed: impl Fn(InodeId) -> bool,
    ) {
        let target = change.target();
        if !self.dirs.contains_key(&target.dir) {
            return;
        }
        if let Some(taken) = self.get(target) {
            let is_last = taken != change.inode() && self.names_of(taken.id).len() == 1;
            if self.entries(taken.id).next().is_some() || (is_last && needed(taken.id)) {
                return;
            }
        }
        self.detach(target);
        match change {
            EntryChange::Link { inode, at } => self.attach(*inode, at),
            EntryChange::Move { inode, from, to } => {
                if self.get(from) == Some(*inode) {
                    self.detach(from);
                } else {
                    let names = self.names_of(inode.id).to_vec();
                    names.iter().for_each(|name| self.detach(name));
                }
                self.attach(*inode, to);
            }
            EntryChange::Unlink { .. } => {}
        }
    }

    fn detach(&mut self, entry: &EntryName) {
        let entries = self.dirs.get_mut(&entry.dir);
        if let Some(inode) = entries.and_then(|entries| entries.remove(&entry.name)) {
            let names = self.names.entry(inode.id).or_default();
            names.retain(|name| name != entry);
            if names.is_empty() {
                self.names.remove(&inode.id);
                self.dirs.remove(&inode.id);
            }
        }
    }

    fn attach(&mut self, inode: Inode, entry: &EntryName) {
        if let Some(entries) = self.dirs.get_mut(&entry.dir) {
            entries.insert(entry.name.clone(), inode);
        }
        self.names.entry(inode.id).or_default().push(entry.clone());
        if inode.kind == Kind::Dir {
            self.dirs.insert(inode.id, BTreeMap::new());
        }
    }
}
