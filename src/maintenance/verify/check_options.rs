//! [`CheckOptions`]: the options of a verification and a repair.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;

use super::block_checker::{BlockChecker, CheckDepth, CheckTally};
use super::pass::PassProgress;
use super::portion::{KeySubset, RateLimiter};
use crate::disk::Disk;
use crate::error::Result;
use crate::maintenance::progress::{Phase, ProgressCallback};
use crate::walk::count_shards;

#[derive(Debug)]
pub(super) struct CheckOptions {
    pub(super) path: PathBuf,
    pub(super) depth: CheckDepth,
    pub(super) concurrency: Option<NonZeroUsize>,
    pub(super) subset: Option<KeySubset>,
    pub(super) bytes_per_second: Option<NonZeroU64>,
    pub(super) callback: ProgressCallback,
}

impl CheckOptions {
    pub(super) fn new(path: PathBuf) -> Self {
        CheckOptions {
            path,
            depth: CheckDepth::Full,
            concurrency: None,
            subset: None,
            bytes_per_second: None,
            callback: ProgressCallback::none(),
        }
    }

    pub(super) fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().ok();
        self.concurrency.or_else(cores).map_or(1, NonZeroUsize::get)
    }

    /// Returns the checker of the blocks, and the progress reporter of a pass.
    pub(super) fn begin(
        self,
        disk: Arc<dyn Disk>,
        root: &std::path::Path,
    ) -> Result<(BlockChecker, PassProgress)> {
        let progress = PassProgress {
            total_shards: count_shards(&*disk, root)?,
            callback: Arc::new(Mutex::new(self.callback)),
            tally: Arc::new(CheckTally::default()),
            phase: Phase::Blocks,
        };
        let checker = BlockChecker {
            disk,
            depth: self.depth,
            tally: Arc::clone(&progress.tally),
            stopped: Arc::new(AtomicBool::new(false)),
            subset: self.subset,
            limiter: self.bytes_per_second.map(RateLimiter::new),
        };
        Ok((checker, progress))
    }
}
