//! [`Image`]: everything that is on the disk, live and durable.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::contents::Contents;
use super::data_loss::{DataLoss, LossModel};
use super::journal::Journal;
use super::tree::{EntryChange, Inode, InodeId, ROOT, Tree};
use crate::disk::Kind;

/// The inodes and their names. Operations see the live state; a power cut leaves the durable one.
///
/// Planning a change is separate from applying it, so that a fault can be injected between the two. The
/// plan fails with the errors of an operating system.
#[derive(Clone, Debug)]
pub(super) struct Image {
    live: Tree,
    journal: Journal,
    files: BTreeMap<InodeId, Contents>,
    last_id: InodeId,
}

impl Image {
    /// Creates an empty file system.
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

    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        self.live.resolve(path)
    }

    pub(super) fn find_dir(&self, path: &Path) -> io::Result<InodeId> {
        match self.find(path)? {
            Inode {
                kind: Kind::Dir,
                id,
            } => Ok(id),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<InodeId> {
        match self.find(path)? {
            Inode {
                kind: Kind::File,
                id,
            } => Ok(id),
            inode => Err(not_a_file(inode)),
        }
    }

    /// Plans a new inode at a path where nothing exists.
    pub(super) fn plan_new(&mut self, path: &Path, kind: Kind) -> io::Result<EntryChange> {
        let at = self.live.entry_name(path)?;
        if self.live.get(&at).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.last_id += 1;
        let id = self.last_id;
        let inode = Inode { id, kind };
        Ok(EntryChange::Link { inode, at })
    }

    pub(super) fn plan_rename(&self, from: &Path, to: &Path) -> io::Result<EntryChange> {
        // Like an operating system, look up both directories before the file.
        let (from, to) = (self.live.entry_name(from)?, self.live.entry_name(to)?);
        let inode = self.live.get(&from).ok_or(io::ErrorKind::NotFound)?;
        let displaced = self.live.get(&to);
        if let Some(dir) = [Some(inode), displaced].into_iter().flatten().find(is_dir) {
            return Err(not_a_file(dir));
        }
        Ok(EntryChange::Move { inode, from, to })
    }

    pub(super) fn plan_rename_new(&self, from: &Path, to: &Path) -> io::Result<EntryChange> {
        let (source, target) = (self.live.entry_name(from)?, self.live.entry_name(to)?);
        self.live.get(&source).ok_or(io::ErrorKind::NotFound)?;
        if self.live.get(&target).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.plan_rename(from, to)
    }

    pub(super) fn plan_link(&self, from: &Path, to: &Path) -> io::Result<EntryChange> {
        let inode = self.find(from)?;
        let at = self.live.entry_name(to)?;
        if self.live.get(&at).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if is_dir(&inode) {
            return Err(not_a_file(inode));
        }
        Ok(EntryChange::Link { inode, at })
    }

    /// Returns whether both are names of one file: then a rename does nothing, as rename(2) says.
    pub(super) fn are_same(&self, one: &Path, other: &Path) -> bool {
        let (one, other) = (self.find_file(one), self.find_file(other));
        one.is_ok_and(|one| other.is_ok_and(|other| one == other))
    }

    pub(super) fn plan_remove_file(&self, path: &Path) -> io::Result<EntryChange> {
        let inode = self.find(path)?;
        if is_dir(&inode) {
            return Err(not_a_file(inode));
        }
        let at = self.live.entry_name(path)?;
        Ok(EntryChange::Unlink { inode, at })
    }

    pub(super) fn plan_remove_dir(&self, path: &Path) -> io::Result<EntryChange> {
        let id = self.find_dir(path)?;
        if self.live.entries(id).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (inode, at) = (self.find(path)?, self.live.entry_name(path)?);
        Ok(EntryChange::Unlink { inode, at })
    }

    /// Applies a planned change, which is not durable yet.
    pub(super) fn apply(&mut self, change: EntryChange) -> InodeId {
        let inode = change.inode();
        if let (EntryChange::Link { .. }, Kind::File) = (&change, inode.kind) {
            self.files.entry(inode.id).or_default();
        }
        self.live.apply(&change);
        self.journal.append(change);
        inode.id
    }

    /// Creates an inode and makes it durable.
    pub(super) fn plant(&mut self, path: &Path, kind: Kind) -> io::Result<()> {
        let change = self.plan_new(path, kind)?;
        let dirs = HashSet::from(change.dirs());
        self.apply(change);
        self.journal.flush(dirs);
        Ok(())
    }

    /// Returns the contents of a file.
    pub(super) fn read(&self, file: InodeId) -> Bytes {
        let contents = self.files.get(&file);
        contents.map_or_else(Bytes::new, |contents| contents.live().clone())
    }

    pub(super) fn append(&mut self, file: InodeId, bytes: &[u8]) {
        self.files.entry(file).or_default().append(bytes);
    }

    /// Returns the scope of a flush of one file's contents.
    pub(super) fn scope_of_file(&self, path: &Path) -> io::Result<FlushScope> {
        Ok(FlushScope::contents(self.find_file(path)?))
    }

    /// Returns the scope of a flush of one directory's entries.
    pub(super) fn scope_of_dir(&self, path: &Path) -> io::Result<FlushScope> {
        let (files, dirs) = (Vec::new(), HashSet::from([self.find_dir(path)?]));
        Ok(FlushScope { files, dirs })
    }

    /// Returns the scope of a flush of all contents and entries below a path.
    pub(super) fn scope_below(&self, path: &Path) -> io::Result<FlushScope> {
        let inodes = self.live.walk(self.find(path)?);
        let of = |kind| inodes.iter().filter(move |inode| inode.kind == kind);
        Ok(FlushScope {
            files: of(Kind::File).map(|inode| inode.id).collect(),
            dirs: of(Kind::Dir).map(|inode| inode.id).collect(),
        })
    }

    /// Makes a scope durable, except for what an earlier flush has failed to write.
    pub(super) fn flush(&mut self, scope: FlushScope) {
        for file in scope.files {
            self.files.entry(file).or_default().flush();
        }
        self.journal.flush(scope.dirs);
    }

    /// Fails a flush: what [`flush`](Image::flush) would have made durable never becomes durable.
    pub(super) fn fail_to_flush(&mut self, scope: FlushScope) {
        for file in scope.files {
            self.files.entry(file).or_default().fail_to_flush();
        }
        self.journal.fail_to_flush(scope.dirs);
    }

    /// Returns the image that is found after a crash.
    pub(super) fn after(&self, loss: DataLoss) -> Image {
        match loss {
            DataLoss::None => self.clone(),
            DataLoss::AllUnflushed => self.after_power_cut(LossModel::LoseAll),
            DataLoss::SomeUnflushed(seed) => self.after_power_cut(LossModel::seeded(seed)),
        }
    }

    fn after_power_cut(&self, mut loss: LossModel) -> Image {
        let live = self.journal.after_power_cut(&mut loss);
        let files = self.files.iter();
        let files = files.filter(|(id, _)| live.has_name(**id));
        let files = files.map(|(id, contents)| (*id, contents.after_power_cut(&mut loss)));
        Image {
            journal: Journal::new(live.clone()),
            files: files.collect(),
            live,
            last_id: self.last_id,
        }
    }
}

/// What one flush makes durable: the contents of files and the entries of directories.
pub(super) struct FlushScope {
    files: Vec<InodeId>,
    dirs: HashSet<InodeId>,
}

impl FlushScope {
    pub(super) fn contents(file: InodeId) -> Self {
        let (files, dirs) = (vec![file], HashSet::new());
        FlushScope { files, dirs }
    }
}

fn is_dir(inode: &Inode) -> bool {
    inode.kind == Kind::Dir
}

/// Returns the error of a file operation on something that is not a file.
fn not_a_file(inode: Inode) -> io::Error {
    if is_dir(&inode) {
        io::ErrorKind::IsADirectory.into()
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
    }
}
