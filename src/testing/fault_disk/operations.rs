//! The operations of a [`FaultDisk`].

use std::io;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;

use super::image::{Image, Scope};
use super::tree::{Change, Id};
use super::{FaultDisk, Op, State};
use crate::disk::{Disk, Kind, Listed, Listing, LockGuard, Stat};

/// What a file system says of the size of a directory.
const DIR_LEN: u64 = 4096;

impl Disk for FaultDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(Op::CreateDir, dir, |image| image.plan_new(dir, Kind::Dir))?;
        Ok(())
    }

    fn write_new(&self, file: &Path, contents: &[u8], _mode: u32, sync: bool) -> io::Result<()> {
        let id = self.change(Op::CreateFile, file, |image| {
            image.plan_new(file, Kind::File)
        })?;
        let (first, second) = contents.split_at(contents.len() / 2);
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            let mut state = self.enter(Op::Write, file)?;
            state.faults.step(Op::Write, file)?;
            state.image.append(id, half);
        }
        if sync {
            self.flush(Op::SyncFile, file, |_| Ok(Scope::contents(id)))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_same_mount(from, to)?;
        let mut state = self.enter(Op::Rename, to)?;
        if state.image.are_same(from, to) {
            return state.faults.permit(Op::Rename, to);
        }
        let change = state.image.plan_rename(from, to)?;
        state.faults.step(Op::Rename, to)?;
        state.image.apply(change);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_same_mount(from, to)?;
        self.change(Op::Rename, to, |image| image.plan_rename_new(from, to))?;
        Ok(())
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.shared.abilities.links {
            return self.rename_new(from, to);
        }
        self.check_same_mount(from, to)?;
        self.change(Op::Rename, to, |image| image.plan_link(from, to))?;
        Ok(())
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        self.change(Op::RemoveFile, file, |image| image.plan_remove_file(file))?;
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(Op::RemoveDir, dir, |image| image.plan_remove_dir(dir))?;
        Ok(())
    }

    fn read(&self, file: &Path) -> io::Result<Bytes> {
        let state = self.look(Op::Read, file)?;
        let id = state.image.find_file(file)?;
        Ok(state.image.read(id))
    }

    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<u64> {
        let contents = self.read(from)?;
        self.write_new(to, &contents, 0o600, false)?;
        Ok(contents.len() as u64)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let state = self.look(Op::Stat, path)?;
        let node = state.image.find(path)?;
        let len = match node.kind {
            Kind::Dir => DIR_LEN,
            _ => state.image.read(node.id).len() as u64,
        };
        Ok(Stat {
            kind: node.kind,
            len,
        })
    }

    /// The entries as they are now, sorted. They are looked at and read by their paths.
    fn list(&self, dir: &Path) -> io::Result<Listing> {
        let state = self.look(Op::List, dir)?;
        let id = state.image.find_dir(dir)?;
        let entries = state.image.live().entries(id).map(|(name, node)| {
            let (name, kind) = (name.to_owned(), node.kind);
            Ok(Listed { name, kind })
        });
        let (disk, dir) = (Arc::new(self.clone()), dir.to_owned());
        Ok(Listing::in_memory(disk, dir, entries.collect()))
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.flush(Op::SyncFile, file, |image| image.scope_of_file(file))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.flush(Op::SyncDir, dir, |image| image.scope_of_dir(dir))
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        self.flush(Op::SyncAll, root, |image| image.scope_below(root))
    }

    fn syncs_all_at_once(&self) -> bool {
        self.shared.abilities.syncfs
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let made = self.change(Op::CreateFile, file, |image| {
            image.plan_new(file, Kind::File)
        });
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => _ = made?,
        }
        let mut state = self.look(Op::Lock, file)?;
        let id = state.image.find_file(file)?;
        if !state.locks.insert(id) {
            return Ok(None);
        }
        let disk = self.clone();
        Ok(Some(Box::new(Lock { disk, id })))
    }
}

#[derive(Debug)]
struct Lock {
    disk: FaultDisk,
    id: Id,
}

impl LockGuard for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.id);
    }
}

impl FaultDisk {
    fn check_same_mount(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mounts = &self.state().mounts;
        if mounts
            .iter()
            .any(|at| from.starts_with(at) != to.starts_with(at))
        {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        Ok(())
    }

    /// The disk as soon as nothing holds the operation back, if the machine is alive then.
    fn enter(&self, op: Op, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        state.faults.check_alive()?;
        let arrived_at = state.holds.arrive(op, path);
        let released = &self.shared.released;
        let state = released.wait_while(state, |state| state.holds.hold_back(&arrived_at));
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.faults.check_alive()?;
        Ok(state)
    }

    /// The disk for an operation that changes nothing.
    fn look(&self, op: Op, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.enter(op, path)?;
        state.faults.permit(op, path)?;
        Ok(state)
    }

    /// Changes the entries in one step; the inode that it is about.
    fn change(
        &self,
        op: Op,
        path: &Path,
        plan: impl FnOnce(&mut Image) -> io::Result<Change>,
    ) -> io::Result<Id> {
        let mut state = self.enter(op, path)?;
        let change = plan(&mut state.image)?;
        state.faults.step(op, path)?;
        Ok(state.image.apply(change))
    }

    /// Makes things durable in one step.
    fn flush(
        &self,
        op: Op,
        path: &Path,
        scope: impl FnOnce(&Image) -> io::Result<Scope>,
    ) -> io::Result<()> {
        let mut state = self.enter(op, path)?;
        let scope = scope(&state.image)?;
        match state.faults.step(op, path) {
            Ok(()) => state.image.flush(scope),
            Err(error) => {
                state.image.fail_to_flush(scope);
                return Err(error);
            }
        }
        Ok(())
    }
}
