//! [`FaultDisk`]: a disk in memory that crashes, fails and pauses operations where a test says so.
//!
//! It keeps a live and a durable state, and promises little more than POSIX does:
//!
//! - `sync_file` makes the contents of a file durable, not its name. A file whose name is durable but
//!   whose contents are not is found empty, truncated, with zeros in it, or complete.
//! - `sync_dir` makes the names in a directory durable, not the directory's own name. Earlier changes of
//!   the same directory become durable first; a move is one change of two directories.
//! - After a power cut, each change that was not durable may have happened or not, in any combination: a
//!   file that got a second name and then lost its first one may have no name. A file that was moved is
//!   found under its old name or its new one, never both. The entries of a lost directory are lost with
//!   it; a file that was moved there is found under its old name.
//! - A failed flush is final: a later flush of the same data reports success and makes nothing durable.
//!
//! An operation is a sequence of steps, and each step is done as a whole or not at all; a crash happens
//! between two steps. `write_new` creates the entry, writes the first half of the contents, writes the
//! second half, and flushes; every other operation that changes anything is one step. A step is counted
//! when it is tried. An operation that is impossible, because a file is absent for example, has no step.

mod breakpoints;
mod contents;
mod data_loss;
mod faults;
mod image;
mod journal;
mod operations;
mod tests;
mod tree;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;

pub(crate) use self::breakpoints::BreakpointGuard;
use self::breakpoints::Breakpoints;
pub(crate) use self::data_loss::DataLoss;
use self::faults::Faults;
pub(crate) use self::faults::Refusal;
use self::image::Image;
use self::tree::{Inode, InodeId, ROOT};
use crate::disk::Kind;
use crate::sync::lock;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct FaultDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<DiskState>,
    breakpoint_removed: Condvar,
    capabilities: Capabilities,
}

/// What the file system can do, and not every file system can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Flushes everything at once, as `syncfs` does.
    pub(crate) syncfs: bool,
    /// Hard links.
    pub(crate) links: bool,
}

impl Capabilities {
    pub(crate) const ALL: Self = Capabilities {
        syncfs: true,
        links: true,
    };
}

/// The state that operations read and change.
struct DiskState {
    image: Image,
    faults: Faults,
    breakpoints: Breakpoints,
    locks: HashSet<InodeId>,
    mounts: Vec<PathBuf>,
}

/// The kind of a step, by which [`refuse`](FaultDisk::refuse) and
/// [`set_breakpoint`](FaultDisk::set_breakpoint) select operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskOp {
    CreateDir,
    /// Creates the entry of a new file.
    CreateFile,
    /// Writes one half of the contents of a new file.
    Write,
    /// A rename or a link. Its path is the new one.
    Rename,
    RemoveFile,
    RemoveDir,
    SyncFile,
    SyncDir,
    SyncAll,
    /// Changes nothing, so it is not counted; this applies to the variants below too.
    Read,
    Stat,
    List,
    /// Locks a file that exists.
    Lock,
}

impl FaultDisk {
    /// Creates a disk with nothing on it but the empty directory `/disk`.
    pub(crate) fn new() -> Self {
        FaultDisk::with(Capabilities::ALL)
    }

    /// Like [`new`](FaultDisk::new), for a file system with these capabilities.
    pub(crate) fn with(capabilities: Capabilities) -> Self {
        let disk = FaultDisk::of(Image::new(), capabilities);
        disk.plant("/disk", Kind::Dir);
        disk
    }

    fn of(image: Image, capabilities: Capabilities) -> Self {
        let state = Mutex::new(DiskState {
            image,
            faults: Faults::default(),
            breakpoints: Breakpoints::default(),
            locks: HashSet::new(),
            mounts: Vec::new(),
        });
        FaultDisk {
            shared: Arc::new(Shared {
                state,
                breakpoint_removed: Condvar::new(),
                capabilities,
            }),
        }
    }

    /// Returns how many steps have been tried.
    pub(crate) fn steps(&self) -> u64 {
        self.state().faults.steps()
    }

    /// Makes the machine crash after this number of further steps. After the crash every operation fails
    /// and changes nothing.
    pub(crate) fn crash_after(&self, steps: u64) {
        self.state().faults.crash_after(steps);
    }

    /// Returns whether the machine has crashed.
    pub(crate) fn has_crashed(&self) -> bool {
        self.state().faults.is_dead()
    }

    /// Makes one step fail: the one after this number of further steps.
    pub(crate) fn fail_after(&self, steps: u64, kind: io::ErrorKind) {
        self.state().faults.fail_after(steps, kind);
    }

    /// Makes every operation fail for which `refuses` returns an error kind, reads included, until the
    /// guard is dropped. `refuses` must not use the disk.
    pub(crate) fn refuse(
        &self,
        refuses: impl FnMut(DiskOp, &Path) -> Option<io::ErrorKind> + Send + 'static,
    ) -> Refusal {
        let id = self.state().faults.refuse(Box::new(refuses));
        let disk = self.clone();
        Refusal { disk, id }
    }

    /// Makes matching operations wait, each before it reads or changes the disk, until the guard is
    /// dropped. `matches` must not use the disk.
    pub(crate) fn set_breakpoint(
        &self,
        matches: impl Fn(DiskOp, &Path) -> bool + Send + 'static,
    ) -> BreakpointGuard {
        let (id, arrivals) = self.state().breakpoints.add(Box::new(matches));
        let disk = self.clone();
        BreakpointGuard { disk, id, arrivals }
    }

    /// Mounts another file system at a path: renames and links between it and the rest fail. In every other
    /// respect there is one disk.
    pub(crate) fn mount(&self, at: impl Into<PathBuf>) {
        self.state().mounts.push(at.into());
    }

    /// Returns the disk as it is found when the machine starts again after a crash at this moment: no lock
    /// is held, and no fault is scheduled. This disk does not change, so that a test can examine one crash
    /// with different losses.
    pub(crate) fn reboot(&self, loss: DataLoss) -> FaultDisk {
        let (image, mounts) = {
            let state = self.state();
            (state.image.after(loss), state.mounts.clone())
        };
        let disk = FaultDisk::of(image, self.shared.capabilities);
        disk.state().mounts = mounts;
        disk
    }

    /// Creates a durable entry where nothing exists, without a step.
    pub(crate) fn plant(&self, path: impl AsRef<Path>, kind: Kind) {
        let path = path.as_ref();
        let mut state = self.state();
        let planted = state.image.plant(path, kind);
        planted.unwrap_or_else(|error| panic!("cannot plant {}: {error}", path.display()));
    }

    /// Returns the contents of a file, even after a crash.
    pub(crate) fn read_live(&self, file: impl AsRef<Path>) -> Option<Bytes> {
        let state = self.state();
        let file = state.image.find_file(file.as_ref()).ok()?;
        Some(state.image.read(file))
    }

    /// Returns all paths, sorted, even after a crash. The path of a directory ends in `/`.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut paths = Vec::new();
        list_paths(&self.state().image, ROOT, "/", &mut paths);
        paths
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        lock(&self.shared.state)
    }
}

fn list_paths(image: &Image, dir: Inode, path: &str, paths: &mut Vec<String>) {
    for (name, inode) in image.live().entries(dir.id) {
        let mut path = format!("{path}{}", name.display());
        if inode.kind == Kind::Dir {
            path.push('/');
        }
        paths.push(path.clone());
        list_paths(image, inode, &path, paths);
    }
}

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDisk").finish_non_exhaustive()
    }
}
