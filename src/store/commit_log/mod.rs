//! [`CommitLog`]: commits, from the commit record to the last published block, at once or after a crash.
//!
//! A batch whose directory has a valid record is committed: it is applied, even if that is interrupted several times. A
//! batch without a record is not committed: it is removed. Each step can be repeated: a block that has both of its
//! names, or only its final one, counts as published, and a delete whose file is gone counts as done.
//!
//! No write of one of its keys may come between the record and the removal of the record, or applying the
//! batch again would undo that write. So a commit holds the locks of its keys. If it could not be applied,
//! every later write of one of its keys rolls it forward first.

mod apply;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use self::apply::Attempt;
pub(crate) use self::apply::CommittedBatch;
use super::Durability;
use super::blocks::{Blocks, FlushTarget};
use crate::disk::{Publish, clean_up, publish, remove_tree};
use crate::error::{Error, Result};
use crate::format::{BlockKey, CommitRecord, Put, StagingDir};
use crate::observe::{self, target};
use crate::sync::lock;

/// The commits of a store.
#[derive(Debug)]
pub(crate) struct CommitLog {
    blocks: Arc<Blocks>,
    durability: Durability,
    /// The committed batches that could not be applied yet.
    pending: Mutex<Vec<CommittedBatch>>,
    /// The number of pending batches, so that writes need not take the lock while there are none.
    pending_count: AtomicUsize,
}

impl CommitLog {
    pub(super) fn new(blocks: Arc<Blocks>, durability: Durability) -> Self {
        CommitLog {
            blocks,
            durability,
            pending: Mutex::default(),
            pending_count: AtomicUsize::new(0),
        }
    }

    /// Commits a batch whose writes have ended. From then on it will be [applied](CommitLog::apply), even
    /// after a crash. The caller holds the locks of its keys.
    ///
    /// # Errors
    ///
    /// After an error the batch is not committed. If the flush of its record failed, a power cut may still
    /// bring it back.
    pub(crate) fn commit(&self, batch: &CommittedBatch) -> Result<()> {
        // Earlier commits of the same keys are applied first: of two records that have a key in common, an
        // open after a crash could apply the later one first.
        self.roll_forward_keys(&batch.record)?;
        // If there is no space for a shard directory, the commit must fail while nothing is committed.
        for put in &batch.record.puts {
            let shard = self.blocks.layout().shard_of(&put.block);
            self.blocks.shards().ensure(&shard)?;
        }
        // The staged blocks are flushed before the record is written: a power cut may keep the record and lose the
        // contents of the files that it names. An open would then publish damaged blocks, even over durable ones.
        self.flush_staged(batch)?;
        self.write_record(batch)
    }

    /// Makes the staged blocks of a batch durable; in a mode that doesn't flush commits, only those that will
    /// replace a block, because that block may be durable.
    fn flush_staged(&self, batch: &CommittedBatch) -> Result<()> {
        let (flusher, puts) = (self.blocks.flusher(), &batch.record.puts);
        if !self.durability.syncs_commits() {
            return flusher.flush(&self.replacements(batch)?);
        }
        if !batch.is_flushed {
            return flusher.flush_all();
        }
        let mut dirs = vec![batch.dir.clone(), self.blocks.layout().temp()];
        let staging_dirs: BTreeSet<StagingDir> = puts.iter().map(|put| put.staging_dir).collect();
        dirs.extend(staging_dirs.into_iter().map(|dir| dir.dir(&batch.dir)));
        let targets = dirs.into_iter().map(FlushTarget::Dir);
        flusher.flush(&targets.collect::<Vec<_>>())
    }

    /// Returns the staged blocks that will replace an existing block.
    fn replacements(&self, batch: &CommittedBatch) -> Result<Vec<FlushTarget>> {
        let mut files = Vec::new();
        let chunks = batch.in_parallel(|puts| {
            let mut files = Vec::new();
            for put in puts {
                if self.replaces(put)? {
                    files.push(FlushTarget::File(put.staged(&batch.dir)));
                }
            }
            Ok(files)
        });
        for chunk in chunks {
            files.extend(chunk?);
        }
        Ok(files)
    }

    /// Returns whether a put replaces a block.
    fn replaces(&self, put: &Put) -> Result<bool> {
        let found = self.blocks.stat(&put.block)?;
        Ok(found.is_some_and(|stat| stat.len != put.size || !self.blocks.may_keep(&put.block)))
    }

    fn write_record(&self, batch: &CommittedBatch) -> Result<()> {
        let durable = self.durability.syncs_commits();
        let (record, temp_files) = (batch.record_path(), self.blocks.temp_files());
        let contents = batch.record.encode();
        // The contents are flushed before the rename: a power cut that kept only the name would lose an
        // acknowledged commit.
        publish(
            self.blocks.disk(),
            &temp_files.next(),
            &record,
            contents.as_bytes(),
            temp_files.mode(),
            Publish::contents(durable),
        )?;
        if !durable {
            return Ok(());
        }
        // The commit point. If this fails, the record may come back after a power cut. So the store is poisoned and
        // accepts no writes that the record could undo, and the batch's directory stays until the next open.
        let flusher = self.blocks.flusher();
        let flushed = flusher.flush_record_dir(&batch.dir);
        flushed.inspect_err(|_| clean_up(self.blocks.disk(), &record))
    }

    /// Applies a batch that was just committed. The caller holds the locks of its keys, and has to remove the
    /// batch's directory.
    ///
    /// # Errors
    ///
    /// Returns [`Error::CommitIncomplete`] if a step fails. The commit is then pending and will be tried
    /// again.
    pub(crate) fn apply(&self, batch: CommittedBatch) -> Result<()> {
        let Err(error) = self.try_apply(&batch, Attempt::First) else {
            return Ok(());
        };
        let error = batch.incomplete(error);
        tracing::warn!(
            target: target::BATCH,
            batch = %observe::name(&batch.dir),
            %error,
            "a commit is incomplete, and will be tried again"
        );
        self.add_pending([batch]);
        Err(error)
    }

    fn add_pending(&self, batches: impl IntoIterator<Item = CommittedBatch>) {
        let mut pending = lock(&self.pending);
        pending.extend(batches);
        self.pending_count.store(pending.len(), Ordering::SeqCst);
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.pending_count.load(Ordering::SeqCst) > 0
    }

    /// Applies all pending commits.
    pub(crate) fn roll_forward(&self) -> Result<()> {
        self.roll_forward_where(|_| true)
    }

    /// Applies the pending commits that have this key, before a write of it.
    ///
    /// # Errors
    ///
    /// Returns [`Error::EarlierCommit`] if one of them can't be applied.
    pub(crate) fn roll_forward_key(&self, block: &BlockKey) -> Result<()> {
        let applied = self.roll_forward_where(|record| record.keys().any(|key| key == block));
        applied.map_err(before_a_write)
    }

    /// Applies the pending commits that have a key in common with this one, before it is committed. The others
    /// may stay pending, because commits without common keys can be applied in any order.
    fn roll_forward_keys(&self, record: &CommitRecord) -> Result<()> {
        if !self.has_pending() {
            return Ok(());
        }
        let keys: HashSet<&BlockKey> = record.keys().collect();
        let applied = self.roll_forward_where(|record| record.keys().any(|key| keys.contains(key)));
        applied.map_err(before_a_write)
    }

    fn roll_forward_where(&self, is_concerned: impl Fn(&CommitRecord) -> bool) -> Result<()> {
        if !self.has_pending() {
            return Ok(());
        }
        let mut pending = lock(&self.pending);
        let mut result = Ok(());
        pending.retain(|batch| {
            if result.is_err() || !is_concerned(&batch.record) {
                return true;
            }
            result = self
                .try_apply(batch, Attempt::Again)
                .map(|()| self.remove_dir(&batch.dir))
                .map_err(|error| batch.incomplete(error));
            result.is_err()
        });
        self.pending_count.store(pending.len(), Ordering::SeqCst);
        result
    }

    /// Removes the directory of a batch that has been applied or discarded.
    pub(crate) fn remove_dir(&self, dir: &Path) {
        if let Err(error) = remove_tree(self.blocks.disk(), dir) {
            tracing::warn!(target: target::BATCH, batch = %observe::name(dir), %error, "cannot remove the directory of a batch; the next open will");
        }
    }
}

/// Turns the error of an earlier commit that could not be applied into one that says that this write was not
/// made.
fn before_a_write(error: Error) -> Error {
    match error {
        Error::CommitIncomplete { record, source } => Error::EarlierCommit { record, source },
        error => error,
    }
}
