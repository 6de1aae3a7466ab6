//! [`SavedUsage`]: the disk usage as the next session will find it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::blocks::{Blocks, FlushTarget};
use crate::datastore::DiskUsage;
use crate::disk::{Publish, clean_up};
use crate::disk_usage::{self, cache};
use crate::error::{Error, Result};
use crate::format::UNCLEAN;
use crate::observe::target;
use crate::sync::lock;

/// The permissions of the mark that the store was not closed.
pub(super) const UNCLEAN_MODE: u32 = 0o644;

/// Saves the disk usage, unless it is stale, because go-ds-flatfs would trust such a figure forever. It is stale if it is
/// uncertain, or if it was unknown or taken over from a session that was not closed and has not been counted since.
#[derive(Debug)]
pub(crate) struct SavedUsage {
    blocks: Arc<Blocks>,
    is_stale: AtomicBool,
    /// Whether the mark that the store was not closed is known to be on the disk.
    is_marked: Mutex<bool>,
}

impl SavedUsage {
    pub(super) fn new(blocks: Arc<Blocks>, is_stale: bool) -> Self {
        SavedUsage {
            blocks,
            is_stale: AtomicBool::new(is_stale),
            is_marked: Mutex::new(false),
        }
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::SeqCst) || self.blocks.usage().is_uncertain()
    }

    /// Marks the disk usage as stale, so that the close or the next open counts it: blocks were removed, or
    /// differ from what was counted.
    pub(crate) fn mark_stale(&self) {
        self.is_stale.store(true, Ordering::SeqCst);
    }

    pub(super) fn mark_counted(&self) {
        self.is_stale.store(false, Ordering::SeqCst);
    }

    /// Sets the figure to one that was counted while nothing changed.
    pub(crate) fn set_counted(&self, figure: DiskUsage) {
        self.blocks.usage().set(figure);
        self.mark_counted();
    }

    /// Saves the figure of the running session, without a flush.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        if self.is_stale() {
            return Ok(());
        }
        // The mark comes before the figure: a session that found a full disk has no mark yet, and after a
        // crash a figure without a mark would be trusted.
        self.ensure_unclean_mark()?;
        self.write(Publish::Lazily)
    }

    fn ensure_unclean_mark(&self) -> Result<()> {
        // Held until the mark is durable: another checkpoint that finds the file must not save its figure before.
        let mut is_marked = lock(&self.is_marked);
        if *is_marked {
            return Ok(());
        }
        let blocks = &self.blocks;
        let mark = blocks.layout().at_root(UNCLEAN);
        let created = blocks
            .disk()
            .write_new(&mark, b"", UNCLEAN_MODE, true)
            .map_err(|error| Error::io("write", &mark, error));
        let marked = match created {
            Err(error) if error.has_io_kind(io::ErrorKind::AlreadyExists) => Ok(()),
            created => created
                .and_then(|()| {
                    let root = blocks.layout().root().to_owned();
                    blocks.flusher().flush(&[FlushTarget::Dir(root)])
                })
                // The next checkpoint must not regard the mark as durable.
                .inspect_err(|_| clean_up(blocks.disk(), &mark)),
        };
        *is_marked = marked.is_ok();
        marked
    }

    /// Saves the figure at the end of a session, and removes the mark that the store was not closed. It is not
    /// an error if there is no space for the figure: the next open counts the disk usage.
    pub(super) fn finish(&self) -> Result<()> {
        self.count_quickly();
        if self.is_stale() {
            return Ok(());
        }
        if let Err(error) = self.blocks.refresh_usage() {
            // The mark stays, so the next open counts the disk usage again.
            tracing::warn!(target: target::STORE, %error, "the disk usage will be counted at the next open");
            return Ok(());
        }
        match self.write(Publish::Durably) {
            Err(error) if error.is_full() => {
                tracing::warn!(target: target::STORE, %error, "the disk usage will be counted at the next open");
                Ok(())
            }
            // The mark is removed last: while it exists, a figure from before a crash is not trusted.
            written => written.and_then(|()| self.remove_unclean_mark()),
        }
    }

    /// Counts a stale disk usage, if that takes no longer than a second: sessions that are too short for
    /// the count in the background would leave it stale for ever.
    fn count_quickly(&self) {
        const MAX_TIME: Duration = Duration::from_secs(1);
        // A count of an uncertain usage would not be saved.
        if !self.is_stale() || self.blocks.usage().is_uncertain() {
            return;
        }
        let begun = Instant::now();
        let stop = || begun.elapsed() > MAX_TIME;
        match disk_usage::count_all(self.blocks.disk(), self.blocks.layout(), stop) {
            Ok(Some(figure)) => self.set_counted(figure),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(target: target::STORE, %error, "the disk usage will be counted at the next open");
            }
        }
    }

    fn write(&self, how: Publish) -> Result<()> {
        let blocks = &self.blocks;
        let figure = blocks.usage().checkpoint();
        let temp = blocks.temp_files().next();
        cache::write(blocks.disk(), blocks.layout(), &temp, figure, how)
    }

    fn remove_unclean_mark(&self) -> Result<()> {
        let mark = self.blocks.layout().at_root(UNCLEAN);
        self.blocks.disk().remove_if_there(&mark).map(drop)
    }
}
