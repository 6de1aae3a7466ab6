//! [`Image`]: what is on the disk, live and durable.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::contents::Contents;
use super::data_loss::{Fate, Loss};
use super::journal::Journal;
use super::tree::{Change, Id, Node, ROOT, Tree};
use crate::disk::Kind;

/// The inodes and their names. Operations see the live state; a power cut leaves the durable one.
///
/// What an operation will change is worked out apart from the change, with the errors of an operating
/// system, so that a fault can come between.
#[derive(Clone, Debug)]
pub(super) struct Image {
    live: Tree,
    journal: Journal,
    files: BTreeMap<Id, Contents>,
    last_id: Id,
}

impl Image {
    /// An empty file system.
    pub(super) fn new() -> Self {
        let live = Tree::new();
        Image {
            journal: Journal::new(live.clone()),
            live,
            files: BTreeMap::new(),
            last_id: ROOT.id,
        }
    }

    pub(super) fn live(&self) -> &Tree {
        &self.live
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        self.live.resolve(path)
    }

    pub(super) fn find_dir(&self, path: &Path) -> io::Result<Id> {
        match self.find(path)? {
            Node {
                kind: Kind::Dir,
                id,
            } => Ok(id),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<Id> {
        match self.find(path)? {
            Node {
                kind: Kind::File,
                id,
            } => Ok(id),
            node => Err(not_a_file(node)),
        }
    }

    /// A new inode at a path that is free.
    pub(super) fn plan_new(&mut self, path: &Path, kind: Kind) -> io::Result<Change> {
        let at = self.live.place(path)?;
        if self.live.get(&at).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.last_id += 1;
        let id = self.last_id;
        let node = Node { id, kind };
        Ok(Change::Link { node, at })
    }

    pub(super) fn plan_rename(&self, from: &Path, to: &Path) -> io::Result<Change> {
        // As an operating system does, it looks for both directories before it looks for the file.
        let (from, to) = (self.live.place(from)?, self.live.place(to)?);
        let node = self.live.get(&from).ok_or(io::ErrorKind::NotFound)?;
        let displaced = self.live.get(&to);
        if let Some(dir) = [Some(node), displaced].into_iter().flatten().find(is_dir) {
            return Err(not_a_file(dir));
        }
        Ok(Change::Move { node, from, to })
    }

    pub(super) fn plan_rename_new(&self, from: &Path, to: &Path) -> io::Result<Change> {
        let (source, target) = (self.live.place(from)?, self.live.place(to)?);
        self.live.get(&source).ok_or(io::ErrorKind::NotFound)?;
        if self.live.get(&target).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.plan_rename(from, to)
    }

    pub(super) fn plan_link(&self, from: &Path, to: &Path) -> io::Result<Change> {
        let node = self.find(from)?;
        let at = self.live.place(to)?;
        if self.live.get(&at).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if is_dir(&node) {
            return Err(not_a_file(node));
        }
        Ok(Change::Link { node, at })
    }

    /// Whether both are names of one file: then a rename does nothing, says rename(2).
    pub(super) fn are_same(&self, one: &Path, other: &Path) -> bool {
        let (one, other) = (self.find_file(one), self.find_file(other));
        one.is_ok_and(|one| other.is_ok_and(|other| one == other))
    }

    pub(super) fn plan_remove_file(&self, path: &Path) -> io::Result<Change> {
        let node = self.find(path)?;
        if is_dir(&node) {
            return Err(not_a_file(node));
        }
        let at = self.live.place(path)?;
        Ok(Change::Unlink { node, at })
    }

    pub(super) fn plan_remove_dir(&self, path: &Path) -> io::Result<Change> {
        let id = self.find_dir(path)?;
        if self.live.entries(id).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (node, at) = (self.find(path)?, self.live.place(path)?);
        Ok(Change::Unlink { node, at })
    }

    /// Does what was planned. Nothing of it is durable yet.
    pub(super) fn apply(&mut self, change: Change) -> Id {
        let node = change.node();
        if let (Change::Link { .. }, Kind::File) = (&change, node.kind) {
            self.files.entry(node.id).or_default();
        }
        self.live.apply(&change);
        self.journal.append(change);
        node.id
    }

    /// Puts something there that is durable.
    pub(super) fn plant(&mut self, path: &Path, kind: Kind) -> io::Result<()> {
        let change = self.plan_new(path, kind)?;
        let dirs = HashSet::from(change.dirs());
        self.apply(change);
        self.journal.flush(dirs);
        Ok(())
    }

    /// The contents of a file.
    pub(super) fn read(&self, file: Id) -> Bytes {
        let contents = self.files.get(&file);
        contents.map_or_else(Bytes::new, |contents| contents.live().clone())
    }

    pub(super) fn append(&mut self, file: Id, bytes: &[u8]) {
        self.files.entry(file).or_default().append(bytes);
    }

    /// The contents of one file.
    pub(super) fn scope_of_file(&self, path: &Path) -> io::Result<Scope> {
        Ok(Scope::contents(self.find_file(path)?))
    }

    /// The entries of one directory.
    pub(super) fn scope_of_dir(&self, path: &Path) -> io::Result<Scope> {
        let (files, dirs) = (Vec::new(), HashSet::from([self.find_dir(path)?]));
        Ok(Scope { files, dirs })
    }

    /// All contents and entries below a path.
    pub(super) fn scope_below(&self, path: &Path) -> io::Result<Scope> {
        let nodes = self.live.walk(self.find(path)?);
        let of = |kind| nodes.iter().filter(move |node| node.kind == kind);
        Ok(Scope {
            files: of(Kind::File).map(|node| node.id).collect(),
            dirs: of(Kind::Dir).map(|node| node.id).collect(),
        })
    }

    /// Makes durable what can still be made so.
    pub(super) fn flush(&mut self, scope: Scope) {
        for file in scope.files {
            self.files.entry(file).or_default().flush();
        }
        self.journal.flush(scope.dirs);
    }

    /// Makes nothing durable, now or later, of what [`flush`](Image::flush) would have.
    pub(super) fn fail_to_flush(&mut self, scope: Scope) {
        for file in scope.files {
            self.files.entry(file).or_default().fail_to_flush();
        }
        self.journal.fail_to_flush(scope.dirs);
    }

    /// What is found after a crash.
    pub(super) fn after(&self, loss: Loss) -> Image {
        match loss {
            Loss::None => self.clone(),
            Loss::All => self.after_power_cut(Fate::LosesAll),
            Loss::Some(seed) => self.after_power_cut(Fate::seeded(seed)),
        }
    }

    fn after_power_cut(&self, mut fate: Fate) -> Image {
        let live = self.journal.after_power_cut(&mut fate);
        let files = self.files.iter();
        let files = files.filter(|(id, _)| live.links(**id));
        let files = files.map(|(id, contents)| (*id, contents.after_power_cut(&mut fate)));
        Image {
            journal: Journal::new(live.clone()),
            files: files.collect(),
            live,
            last_id: self.last_id,
        }
    }
}

/// What one flush is about: the contents of files and the entries of directories.
pub(super) struct Scope {
    files: Vec<Id>,
    dirs: HashSet<Id>,
}

impl Scope {
    pub(super) fn contents(file: Id) -> Self {
        let (files, dirs) = (vec![file], HashSet::new());
        Scope { files, dirs }
    }
}

fn is_dir(node: &Node) -> bool {
    node.kind == Kind::Dir
}

/// The error of an operation on files for what isn't one.
fn not_a_file(node: Node) -> io::Error {
    if is_dir(&node) {
        io::ErrorKind::IsADirectory.into()
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
    }
}
