//! [`Environment`]: the runtimes, the directory and the size of a run.

use std::path::Path;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::args::Args;
use super::contender::PeerKind;

pub(super) const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;

pub(super) struct Environment {
    /// Has two workers, because the goals are for a machine with two cores.
    pub(super) multi: Runtime,
    pub(super) current: Runtime,
    pub(super) peers: &'static [PeerKind],
    pub(super) quick: bool,
    pub(super) busy: bool,
    /// The number of blocks of DAGs, if it was given.
    #[cfg_attr(
        not(feature = "dag"),
        allow(dead_code, reason = "the workloads over DAGs use it")
    )]
    pub(super) blocks: Option<usize>,
    rounds: Option<usize>,
    dir: TempDir,
}

impl Environment {
    pub(super) fn new(args: &Args, peers: &'static [PeerKind]) -> Self {
        let mut multi = Builder::new_multi_thread();
        let mut current = Builder::new_current_thread();
        Environment {
            multi: multi
                .worker_threads(2)
                .enable_time()
                .build()
                .expect("a runtime"),
            current: current.build().expect("a runtime"),
            peers,
            quick: args.quick,
            busy: args.busy,
            blocks: args.blocks,
            rounds: args.rounds,
            dir: tempfile::tempdir_in(&args.dir).expect("a directory to work in"),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Creates an empty directory.
    pub(super) fn scratch(&self) -> TempDir {
        tempfile::tempdir_in(self.dir()).expect("a directory to work in")
    }

    pub(super) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Returns the number of 4 KiB blocks in a store.
    pub(super) fn block_count(&self) -> usize {
        self.pick(20_000, 4_000)
    }

    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(self.pick(9, 5))
    }

    /// Returns the number of rounds for workloads that take so long that few rounds are enough.
    pub(super) fn few_rounds(&self) -> usize {
        self.rounds.unwrap_or(self.pick(5, 3))
    }

    /// Checks that the file system has space for this number of bytes and files.
    ///
    /// # Errors
    ///
    /// The error says what is missing.
    pub(super) fn check_space(&self, bytes: u64, files: u64) -> Result<(), String> {
        let system = rustix::fs::statvfs(self.dir()).expect("a file system");
        let free = system.f_bavail * system.f_frsize;
        if free < bytes {
            return Err(format!("it needs {} MiB of free space", bytes >> 20));
        }
        // Some file systems create inodes on demand, and report 0 of 0.
        if system.f_files > 0 && system.f_favail < files {
            return Err(format!("it needs {files} free inodes"));
        }
        Ok(())
    }
}
