//! The operations of a [`FaultDisk`]: each waits at breakpoints, plans, counts its steps and applies.

use std::io;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;

use super::image::{FlushScope, Image};
use super::tree::{EntryChange, InodeId};
use super::{DiskOp, DiskState, FaultDisk};
use crate::disk::{DirEntry, Disk, Kind, Listing, LockGuard, NotOpened, Stat};

/// The size that a file system reports for a directory.
const DIR_LEN: u64 = 4096;

impl Disk for FaultDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(DiskOp::CreateDir, dir, |image| {
            image.plan_new(dir, Kind::Dir)
        })?;
        Ok(())
    }

    fn write_new(&self, file: &Path, contents: &[u8], _mode: u32, sync: bool) -> io::Result<()> {
        let id = self.change(DiskOp::CreateFile, file, |image| {
            image.plan_new(file, Kind::File)
        })?;
        let (first, second) = contents.split_at(contents.len() / 2);
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            let mut state = self.enter(DiskOp::Write, file)?;
            state.faults.step(DiskOp::Write, file)?;
            state.image.append(id, half);
        }
        if sync {
            self.flush(DiskOp::SyncFile, file, |_| Ok(FlushScope::contents(id)))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_same_mount(from, to)?;
        let mut state = self.enter(DiskOp::Rename, to)?;
        if state.image.are_same(from, to) {
            return state.faults.permit(DiskOp::Rename, to);
        }
        let change = state.image.plan_rename(from, to)?;
        state.faults.step(DiskOp::Rename, to)?;
        state.image.apply(change);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_same_mount(from, to)?;
        self.change(DiskOp::Rename, to, |image| image.plan_rename_new(from, to))?;
        Ok(())
    }

    fn link_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.shared.capabilities.links {
            return self.rename_new(from, to);
        }
        self.check_same_mount(from, to)?;
        self.change(DiskOp::Rename, to, |image| image.plan_link(from, to))?;
        Ok(())
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        self.change(DiskOp::RemoveFile, file, |image| {
            image.plan_remove_file(file)
        })?;
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(DiskOp::RemoveDir, dir, |image| image.plan_remove_dir(dir))?;
        Ok(())
    }

    fn read(&self, file: &Path) -> io::Result<Bytes> {
        let state = self.enter_for_read(DiskOp::Read, file)?;
        let id = state.image.find_file(file)?;
        Ok(state.image.read(id))
    }

    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<u64> {
        let contents = self.read(from)?;
        self.write_new(to, &contents, 0o600, false)?;
        Ok(contents.len() as u64)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let state = self.enter_for_read(DiskOp::Stat, path)?;
        let inode = state.image.find(path)?;
        let len = match inode.kind {
            Kind::Dir => DIR_LEN,
            _ => state.image.read(inode.id).len() as u64,
        };
        Ok(Stat {
            kind: inode.kind,
            len,
        })
    }

    /// Returns the entries as they are now, sorted. Each is examined and read by its path.
    fn list(&self, dir: &Path) -> io::Result<Listing> {
        let state = self.enter_for_read(DiskOp::List, dir)?;
        let id = state.image.find_dir(dir)?;
        let entries = state.image.live().entries(id).map(|(name, inode)| {
            let (name, kind) = (name.to_owned(), inode.kind);
            Ok(DirEntry { name, kind })
        });
        let (disk, dir) = (Arc::new(self.clone()), dir.to_owned());
        Ok(Listing::in_memory(disk, dir, entries.collect()))
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.flush(DiskOp::SyncFile, file, |image| image.scope_of_file(file))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.flush(DiskOp::SyncDir, dir, |image| image.scope_of_dir(dir))
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        self.flush(DiskOp::SyncAll, root, |image| image.scope_below(root))
    }

    fn syncs_all_at_once(&self) -> bool {
        self.shared.capabilities.syncfs
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let made = self.change(DiskOp::CreateFile, file, |image| {
            image.plan_new(file, Kind::File)
        });
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => _ = made?,
        }
        let mut state = self.enter_for_read(DiskOp::Lock, file)?;
        let id = state.image.find_file(file)?;
        if !state.locks.insert(id) {
            return Ok(None);
        }
        let disk = self.clone();
        Ok(Some(Box::new(FaultDiskLock { disk, id })))
    }
}

#[derive(Debug)]
struct FaultDiskLock {
    disk: FaultDisk,
    id: InodeId,
}

impl LockGuard for FaultDiskLock {}

impl Drop for FaultDiskLock {
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

    /// Waits until no breakpoint stops the operation, and returns the disk if the machine is alive then.
    fn enter(&self, op: DiskOp, path: &Path) -> io::Result<MutexGuard<'_, DiskState>> {
        let state = self.state();
        state.faults.check_alive()?;
        let arrived_at = state.breakpoints.arrive(op, path);
        let removed = &self.shared.breakpoint_removed;
        let state = removed.wait_while(state, |state| state.breakpoints.any_set(&arrived_at));
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.faults.check_alive()?;
        Ok(state)
    }

    /// Returns the disk for an operation that changes nothing.
    fn enter_for_read(&self, op: DiskOp, path: &Path) -> io::Result<MutexGuard<'_, DiskState>> {
        let mut state = self.enter(op, path)?;
        state.faults.permit(op, path)?;
        Ok(state)
    }

    /// Changes the entries in one step, and returns the inode whose entry changes.
    fn change(
        &self,
        op: DiskOp,
        path: &Path,
        plan: impl FnOnce(&mut Image) -> io::Result<EntryChange>,
    ) -> io::Result<InodeId> {
        let mut state = self.enter(op, path)?;
        let change = plan(&mut state.image)?;
        state.faults.step(op, path)?;
        Ok(state.image.apply(change))
    }

    /// Makes everything in a scope durable in one step.
    fn flush(
        &self,
        op: DiskOp,
        path: &Path,
        scope: impl FnOnce(&Image) -> io::Result<FlushScope>,
    ) -> io::Result<()> {
        let mut state = self.enter(op, path)?;
        let scope = scope(&state.image).map_err(NotOpened::wrap)?;
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
