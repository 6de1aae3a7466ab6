//! The close of a store.

use std::sync::Arc;

use tracing::Instrument as _;

use super::flatfs::FlatFs;
use super::shared::Store;
use crate::blocking;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::observe::{Operation, target};

impl FlatFs {
    /// Closes the store: waits for running work, makes everything durable, saves the disk usage and releases the
    /// lock. If the disk usage is not known yet, it is counted first, for at most one second. Every later call on
    /// this handle or on a clone returns [`Error::Closed`], but closing again is not an error.
    ///
    /// Batches that are not committed are lost, and queries end with [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// Returns [`Error::Io`], [`Error::FlushFailed`] or [`Error::CommitIncomplete`] if something could not be
    /// written. The store is closed and its lock is released even then. It is not an error if there is no
    /// space to save the disk usage: the next open counts it.
    ///
    /// # Cancel safety
    ///
    /// From the first poll on, the store refuses new calls. If the future is dropped while it waits for
    /// running work, call `close` again, or drop the last handle: that loses nothing, but the next open counts
    /// the disk usage again.
    pub async fn close(&self) -> Result<()> {
        let path = self.path().display();
        let span = tracing::info_span!(target: target::STORE, "close", %path);
        let close = self.wait_and_close().instrument(span);
        if self.store.lifecycle.is_closed() {
            return close.await;
        }
        let operation = Operation::begin("close");
        operation.end(close.await)
    }

    async fn wait_and_close(&self) -> Result<()> {
        self.store.lifecycle.refuse_and_wait().await;
        let store = Arc::clone(&self.store);
        blocking::run(move || store.close()).await
    }
}

impl Store {
    /// Takes the steps of a close. The caller has waited until no work is running.
    pub(crate) fn close(&self) -> Result<()> {
        // Held to the end: a second close waits here until the first one is done.
        let mut held = self.lifecycle.lock();
        // Dropped last, after the last change of the store: from then on the next writer may open it.
        let Some(lock) = held.take() else {
            return Ok(());
        };
        self.blocks.flusher().check()?;
        let applied = self.commit_log.roll_forward();
        // The flush comes before the disk usage is saved, which removes the `.unclean` mark: without the mark
        // the next open does not flush.
        if !self.options.durability.syncs_writes() {
            self.blocks.unflushed().flush()?;
        }
        // Everything else is made durable even if a commit can't be applied.
        applied?;
        self.saved_usage.finish()?;
        drop(lock);
        let path = self.blocks.layout().root().display();
        tracing::debug!(target: target::STORE, %path, "closed");
        Ok(())
    }
}
