//! [`TempFiles`]: the temp files from which blocks are published.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shard_dirs::with_dir;
use crate::disk::{Disk, create_dir_if_absent};
use crate::error::{Error, Result};
use crate::format::Layout;
use crate::observe::Flush;

/// The directory of temp files. It is created again if another program removed it.
#[derive(Debug)]
pub(crate) struct TempFiles {
    disk: Arc<dyn Disk>,
    layout: Layout,
    mode: u32,
    count: AtomicU64,
}

impl TempFiles {
    /// `mode` is the permissions of the files.
    pub(super) fn new(disk: Arc<dyn Disk>, layout: Layout, mode: u32) -> Self {
        TempFiles {
            disk,
            layout,
            mode,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Returns the path of a temp file that no other caller uses.
    pub(crate) fn next(&self) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.layout.temp_file(number)
    }

    /// Writes a file, and makes its contents durable if `durably` is set. After an error a truncated file may be left
    /// behind.
    pub(crate) fn write(&self, file: &Path, value: &[u8], durably: bool) -> Result<()> {
        let flush = durably.then(Flush::begin);
        // The file is flushed through the descriptor that wrote it: a descriptor that is opened later may not
        // get the error of a failed write-back, because the kernel forgets it when it evicts the file from
        // its cache.
        let written = self.with_dir(|| {
            let written = self.disk.write_new(file, value, self.mode, durably);
            written.map_err(|error| Error::io("write", file, error))
        });
        if let Some(flush) = flush {
            flush.end(written.is_err());
        }
        written
    }

    /// Runs a step that needs the directory, which is created if it doesn't exist.
    pub(crate) fn with_dir(&self, step: impl Fn() -> Result<()>) -> Result<()> {
        with_dir(step, || {
            create_dir_if_absent(&*self.disk, &self.layout.temp())
        })
    }
}
