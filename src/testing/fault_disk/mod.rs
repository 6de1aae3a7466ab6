//! [`FaultDisk`]: a disk for tests that crashes, fails and waits when it is told to.
//!
//! It keeps what is live and what is durable apart, and promises little more than POSIX does:
//!
//! - `sync_file` makes contents durable, not the name. A file whose name is durable and whose contents
//!   aren't is found empty, cut short, with zeros in it, or whole.
//! - `sync_dir` makes the names in a directory durable, not the directory's own name. What came before
//!   in the same directory becomes durable first; a move is one change of two directories.
//! - After a power cut each change that wasn't durable has happened or hasn't, in any combination: a
//!   file that got a second name and lost its first one may have none. A file that was moved is found
//!   under its old name or its new one, never both. What is in a
//!   directory that is lost is lost with it; a file that was moved there is found under its old name.
//! - A flush that failed is final: a later one of the same data says that all is well, and makes
//!   nothing durable.
//!
//! An operation is a row of steps, each done whole or not at all, and a crash falls between two of
//! them. `write_new` makes the entry, writes the first half of the contents, then the second, and
//! flushes; all others that change anything are one step. A step is counted when it is tried; an
//! operation that can't be done, of an absent file for example, has none.

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
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub(crate) use self::breakpoints::Held;
use self::breakpoints::Holds;
pub(crate) use self::data_loss::Loss;
use self::faults::Faults;
pub(crate) use self::faults::Refusal;
use self::image::Image;
use self::tree::{Id, Node, ROOT};
use crate::disk::Kind;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct FaultDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    released: Condvar,
    abilities: Abilities,
}

/// What not every system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// A flush of everything at once.
    pub(crate) syncfs: bool,
    /// Hard links.
    pub(crate) links: bool,
}

impl Abilities {
    pub(crate) const ALL: Self = Abilities {
        syncfs: true,
        links: true,
    };
}

/// What an operation looks at and changes.
struct State {
    image: Image,
    faults: Faults,
    holds: Holds,
    locks: HashSet<Id>,
    mounts: Vec<PathBuf>,
}

/// What a step does, for [`refuse`](FaultDisk::refuse) and [`hold`](FaultDisk::hold) to choose by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    CreateDir,
    /// The entry of a new file.
    CreateFile,
    /// Half of the contents of a new file.
    Write,
    /// A link too. Its path is the new one.
    Rename,
    RemoveFile,
    RemoveDir,
    SyncFile,
    SyncDir,
    SyncAll,
    /// Changes nothing, so it isn't counted; the same holds for those below.
    Read,
    Stat,
    List,
    /// Taking a lock on a file that is there.
    Lock,
}

impl FaultDisk {
    /// A disk with nothing on it but the empty directory `/disk`.
    pub(crate) fn new() -> Self {
        FaultDisk::with(Abilities::ALL)
    }

    /// The same on a system that can't do everything.
    pub(crate) fn with(abilities: Abilities) -> Self {
        let disk = FaultDisk::of(Image::new(), abilities);
        disk.plant("/disk", Kind::Dir);
        disk
    }

    fn of(image: Image, abilities: Abilities) -> Self {
        let state = Mutex::new(State {
            image,
            faults: Faults::default(),
            holds: Holds::default(),
            locks: HashSet::new(),
            mounts: Vec::new(),
        });
        FaultDisk {
            shared: Arc::new(Shared {
                state,
                released: Condvar::new(),
                abilities,
            }),
        }
    }

    /// How many steps have been tried.
    pub(crate) fn steps(&self) -> u64 {
        self.state().faults.steps()
    }

    /// Lets the machine die after this many further steps: then every operation fails, and changes
    /// nothing.
    pub(crate) fn crash_after(&self, steps: u64) {
        self.state().faults.crash_after(steps);
    }

    /// Whether the machine is dead.
    pub(crate) fn has_crashed(&self) -> bool {
        self.state().faults.is_dead()
    }

    /// Makes one step fail, the one after this many further steps.
    pub(crate) fn fail_after(&self, steps: u64, kind: io::ErrorKind) {
        self.state().faults.fail_after(steps, kind);
    }

    /// Makes all operations fail for which `refuses` names an error, reads too, until the guard is
    /// dropped. It must not use the disk.
    pub(crate) fn refuse(
        &self,
        refuses: impl FnMut(Op, &Path) -> Option<io::ErrorKind> + Send + 'static,
    ) -> Refusal {
        let id = self.state().faults.refuse(Box::new(refuses));
        let disk = self.clone();
        Refusal { disk, id }
    }

    /// Holds operations that match back, each before it looks at the disk, until the guard is dropped.
    /// `matches` must not use the disk.
    pub(crate) fn hold(&self, matches: impl Fn(Op, &Path) -> bool + Send + 'static) -> Held {
        let (id, arrivals) = self.state().holds.add(Box::new(matches));
        let disk = self.clone();
        Held { disk, id, arrivals }
    }

    /// Lets what is below a path be another file system: nothing is renamed across its border. In all
    /// else the disk is one.
    pub(crate) fn mount(&self, at: impl Into<PathBuf>) {
        self.state().mounts.push(at.into());
    }

    /// The disk as it is found when the machine is started again after a crash right now: nobody holds
    /// a lock, and nothing is set to go wrong. This disk stays as it is, so that one crash can be
    /// looked at with different losses.
    pub(crate) fn reboot(&self, loss: Loss) -> FaultDisk {
        let (image, mounts) = {
            let state = self.state();
            (state.image.after(loss), state.mounts.clone())
        };
        let disk = FaultDisk::of(image, self.shared.abilities);
        disk.state().mounts = mounts;
        disk
    }

    /// Puts something durably where nothing is. It is no step.
    pub(crate) fn plant(&self, path: impl AsRef<Path>, kind: Kind) {
        let path = path.as_ref();
        let mut state = self.state();
        let planted = state.image.plant(path, kind);
        planted.unwrap_or_else(|error| panic!("cannot plant {}: {error}", path.display()));
    }

    /// The contents of a file, also on a dead machine.
    pub(crate) fn read_live(&self, file: impl AsRef<Path>) -> Option<Bytes> {
        let state = self.state();
        let file = state.image.find_file(file.as_ref()).ok()?;
        Some(state.image.read(file))
    }

    /// All paths, also on a dead machine, sorted, a directory with a `/` at its end.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut paths = Vec::new();
        list_paths(&self.state().image, ROOT, "/", &mut paths);
        paths
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

fn list_paths(image: &Image, dir: Node, path: &str, paths: &mut Vec<String>) {
    for (name, node) in image.live().entries(dir.id) {
        let mut path = format!("{path}{}", name.display());
        if node.kind == Kind::Dir {
            path.push('/');
        }
        paths.push(path.clone());
        list_paths(image, node, &path, paths);
    }
}

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDisk").finish_non_exhaustive()
    }
}
