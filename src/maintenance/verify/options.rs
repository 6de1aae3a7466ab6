//! What a verification and a repair have in common to be told.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;

use super::check::{Depth, Examiner, Tally};
use super::pass::Teller;
use super::walk::Walk;
use crate::disk::Disk;
use crate::error::Result;
use crate::maintenance::progress::Watcher;

#[derive(Debug)]
pub(super) struct Common {
    pub(super) path: PathBuf,
    pub(super) depth: Depth,
    pub(super) concurrency: Option<NonZeroUsize>,
    pub(super) watcher: Watcher,
}

impl Common {
    pub(super) fn new(path: PathBuf) -> Self {
        Common {
            path,
            depth: Depth::Full,
            concurrency: None,
            watcher: Watcher::none(),
        }
    }

    pub(super) fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().ok();
        self.concurrency.or_else(cores).map_or(1, NonZeroUsize::get)
    }

    /// What looks at the blocks, and what tells how far it is.
    pub(super) fn begin(
        self,
        disk: Arc<dyn Disk>,
        root: &std::path::Path,
    ) -> Result<(Examiner, Teller)> {
        let teller = Teller {
            total_shards: Walk::count_shards(&*disk, root)?,
            watcher: Arc::new(Mutex::new(self.watcher)),
            tally: Arc::new(Tally::default()),
            is_first: true,
        };
        let examiner = Examiner {
            disk,
            depth: self.depth,
            tally: Arc::clone(&teller.tally),
            stopped: Arc::new(AtomicBool::new(false)),
        };
        Ok((examiner, teller))
    }
}
