//! [`Tree`]: which names lead to which inodes, and the [`Change`]s of that.
//!
//! A directory has one name at most, a file may have several. Moving it takes its old name away in the
//! same change.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use crate::disk::Kind;

/// The number of an inode. It is never used again for another one.
pub(super) type Id = u64;

/// An inode, as an entry names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: Id,
    pub(super) kind: Kind,
}

/// The directory `/`.
pub(super) const ROOT: Node = Node {
    id: 0,
    kind: Kind::Dir,
};

/// A name in a directory, taken or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: Id,
    pub(super) name: OsString,
}

/// What one step does to the entries. It is done whole or not at all.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Link { node: Node, at: Place },
    Move { node: Node, from: Place, to: Place },
    Unlink { node: Node, at: Place },
}

impl Change {
    pub(super) fn node(&self) -> Node {
        match self {
            Change::Link { node, .. } | Change::Move { node, .. } | Change::Unlink { node, .. } => {
                *node
            }
        }
    }

    /// The directories whose flush makes this change durable. The removal of a directory is one of
    /// its own changes too: what was moved out of it must be durable before.
    pub(super) fn dirs(&self) -> [Id; 2] {
        match self {
            Change::Link { at, .. } => [at.dir, at.dir],
            Change::Move { from, to, .. } => [from.dir, to.dir],
            Change::Unlink { node, at } => [at.dir, node.id],
        }
    }

    /// Where something else that stands there is displaced.
    fn target(&self) -> &Place {
        match self {
            Change::Link { at, .. } | Change::Unlink { at, .. } => at,
            Change::Move { to, .. } => to,
        }
    }
}

/// The directories that can be reached from `/`, with their entries.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    dirs: HashMap<Id, BTreeMap<OsString, Node>>,
    /// The names of each inode that has one, in the order in which it got them.
    places: HashMap<Id, Vec<Place>>,
}

impl Tree {
    /// Nothing but `/`.
    pub(super) fn new() -> Self {
        Tree {
            dirs: HashMap::from([(ROOT.id, BTreeMap::new())]),
            places: HashMap::new(),
        }
    }

    /// Whether the inode has a name.
    pub(super) fn links(&self, id: Id) -> bool {
        self.places.contains_key(&id)
    }

    fn names(&self, id: Id) -> &[Place] {
        self.places.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get(&self, place: &Place) -> Option<Node> {
        self.dirs.get(&place.dir)?.get(&place.name).copied()
    }

    /// The entries of a directory, sorted; none if it can't be reached.
    pub(super) fn entries(&self, dir: Id) -> impl Iterator<Item = (&OsStr, Node)> {
        let entries = self.dirs.get(&dir).into_iter().flatten();
        entries.map(|(name, node)| (name.as_os_str(), *node))
    }

    /// A directory and all that is below it.
    pub(super) fn walk(&self, top: Node) -> Vec<Node> {
        let mut nodes = vec![top];
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            nodes.extend(self.entries(node.id).map(|(_, child)| child));
            next += 1;
        }
        nodes
    }

    /// What is at a path.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<Node> {
        let mut node = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir => {}
                Component::Normal(name) => {
                    let entries = self
                        .dirs
                        .get(&node.id)
                        .ok_or(io::ErrorKind::NotADirectory)?;
                    node = *entries.get(name).ok_or(io::ErrorKind::NotFound)?;
                }
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(node)
    }

    /// The place that a path names, in a directory that is there.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let dir = self.resolve(parent)?;
        if dir.kind != Kind::Dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (dir, name) = (dir.id, name.to_owned());
        Ok(Place { dir, name })
    }

    /// Applies a change whose forerunners have all been applied.
    pub(super) fn apply(&mut self, change: &Change) {
        self.apply_beside(change, |_| false);
    }

    /// Applies a change some of whose forerunners may have been lost, unless it can't be without
    /// them: its directory is not there, or it would take away a directory with entries, or an
    /// inode that is `needed` under another name.
    pub(super) fn apply_beside(&mut self, change: &Change, needed: impl Fn(Id) -> bool) {
        let target = change.target();
        if !self.dirs.contains_key(&target.dir) {
            return;
        }
        if let Some(taken) = self.get(target) {
            let is_last = taken != change.node() && self.names(taken.id).len() == 1;
            if self.entries(taken.id).next().is_some() || (is_last && needed(taken.id)) {
                return;
            }
        }
        self.detach(target);
        match change {
            Change::Link { node, at } => self.attach(*node, at),
            Change::Move { node, from, to } => {
                if self.get(from) == Some(*node) {
                    self.detach(from);
                } else {
                    let names = self.names(node.id).to_vec();
                    names.iter().for_each(|name| self.detach(name));
                }
                self.attach(*node, to);
            }
            Change::Unlink { .. } => {}
        }
    }

    fn detach(&mut self, place: &Place) {
        let entries = self.dirs.get_mut(&place.dir);
        if let Some(node) = entries.and_then(|entries| entries.remove(&place.name)) {
            let names = self.places.entry(node.id).or_default();
            names.retain(|name| name != place);
            if names.is_empty() {
                self.places.remove(&node.id);
                self.dirs.remove(&node.id);
            }
        }
    }

    fn attach(&mut self, node: Node, place: &Place) {
        if let Some(entries) = self.dirs.get_mut(&place.dir) {
            entries.insert(place.name.clone(), node);
        }
        self.places.entry(node.id).or_default().push(place.clone());
        if node.kind == Kind::Dir {
            self.dirs.insert(node.id, BTreeMap::new());
        }
    }
}
