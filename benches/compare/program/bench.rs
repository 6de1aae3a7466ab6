//! [`Bench`]: where it is measured, how much, and the stores that several works share.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::args::Args;
use super::stores::{Filled, Planted};
use super::subject::PeerKind;

pub(super) const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;

pub(super) struct Bench {
    /// On two workers, as the machine of the goals has two cores.
    pub(super) multi: Runtime,
    pub(super) current: Runtime,
    pub(super) peers: &'static [PeerKind],
    pub(super) quick: bool,
    rounds: Option<usize>,
    filled: OnceCell<Filled>,
    planted: RefCell<HashMap<usize, Rc<Planted>>>,
    dir: TempDir,
}

impl Bench {
    pub(super) fn new(args: &Args, peers: &'static [PeerKind]) -> Self {
        let mut multi = Builder::new_multi_thread();
        let mut current = Builder::new_current_thread();
        Bench {
            multi: multi.worker_threads(2).build().expect("a runtime"),
            current: current.build().expect("a runtime"),
            peers,
            quick: args.quick,
            rounds: args.rounds,
            filled: OnceCell::new(),
            planted: RefCell::default(),
            dir: tempfile::tempdir_in(&args.dir).expect("a directory to work in"),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// An empty directory of its own.
    pub(super) fn scratch(&self) -> TempDir {
        tempfile::tempdir_in(self.dir()).expect("a directory to work in")
    }

    pub(super) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many blocks of 4 KiB a store has.
    pub(super) fn many(&self) -> usize {
        self.pick(20_000, 4_000)
    }

    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(self.pick(9, 5))
    }

    /// For work that takes long enough to be told by few rounds.
    pub(super) fn few_rounds(&self) -> usize {
        self.rounds.unwrap_or(self.pick(5, 3))
    }

    /// Stores with [many](Bench::many) blocks, to read from.
    pub(super) fn filled(&self) -> &Filled {
        self.filled
            .get_or_init(|| Filled::new(self, self.many(), 4 * KIB))
    }

    /// A store of so many blocks, nearly all of them empty.
    ///
    /// # Errors
    ///
    /// If there is no room for it.
    pub(super) fn planted(&self, count: usize) -> Result<Rc<Planted>, String> {
        if let Some(planted) = self.planted.borrow().get(&count) {
            return Ok(Rc::clone(planted));
        }
        self.check_room(64 * MIB as u64, count as u64 + 5_000)?;
        let planted = Rc::new(Planted::new(self, count));
        let mut known = self.planted.borrow_mut();
        known.insert(count, Rc::clone(&planted));
        Ok(planted)
    }

    /// Whether so much fits, in bytes and in files.
    pub(super) fn check_room(&self, bytes: u64, files: u64) -> Result<(), String> {
        let system = rustix::fs::statvfs(self.dir()).expect("a file system");
        let free = system.f_bavail * system.f_frsize;
        if free < bytes {
            return Err(format!("it needs {} MiB of free space", bytes >> 20));
        }
        // Some file systems make them as they go, and say 0 of 0.
        if system.f_files > 0 && system.f_favail < files {
            return Err(format!("it needs {files} free inodes"));
        }
        Ok(())
    }
}
