//! [`CommitLog`]: commits, from the commit record to the last published block, at once or after a crash.
//!
//! A batch's directory with a valid record is a committed batch: it is applied, however often that is
//! interrupted. One without is not committed: it is removed. Each step can be repeated: a block that has
//! both of its names, or only its last one, is published, and a delete whose file is gone was done.
//!
//! No write of one of its keys may come between the record and the removal of the record, or applying the
//! batch again would undo that write. So a commit holds the locks of its keys; and where it could not be
//! applied, every later write of one of its keys rolls it forward first.

mod apply;
mod committed_batch;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use self::apply::{Application, Attempt, in_parallel};
pub(crate) use self::committed_batch::CommittedBatch;
use super::Durability;
use super::blocks::{Blocks, FlushTarget, MAX_SINGLE_FLUSHES};
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
    /// Batches that are committed, and could not be applied so far.
    pending: Mutex<Vec<CommittedBatch>>,
    /// How many these are, so that the writes of a healthy store need not take the lock.
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

    /// Commits a batch, whose writes have ended: from here on it is [applied](CommitLog::apply), crash or not.
    /// The caller holds the locks of its keys.
    ///
    /// # Errors
    ///
    /// The batch is not committed. After a failed flush of its record, a power cut may still bring it back.
    pub(crate) fn commit(&self, batch: &CommittedBatch) -> Result<()> {
        // Of two records that have a key in common, an open after a crash could apply the later one first.
        self.roll_forward_keys(&batch.record)?;
        // Where there is no space for a directory, that must show while nothing is committed.
        for put in &batch.record.puts {
            let shard = self.blocks.layout().shard_of(&put.block);
            self.blocks.shards().ensure(&shard)?;
        }
        // A power cut may keep the record and lose the contents of what it names. An open would publish lost contents,
        // also over durable blocks.
        self.flush_staged(batch)?;
        self.write_record(batch)
    }

    /// Makes the staged blocks of a batch durable; in a mode that doesn't flush commits, only those that will
    /// replace a block, which may be durable.
    fn flush_staged(&self, batch: &CommittedBatch) -> Result<()> {
        let (flusher, puts) = (self.blocks.flusher(), &batch.record.puts);
        if !self.durability.syncs_commits() {
            return flusher.flush(&self.replacements(batch)?);
        }
        if self.blocks.disk().syncs_all_at_once() && puts.len() > MAX_SINGLE_FLUSHES {
            return flusher.flush_all();
        }
        let mut dirs = vec![batch.dir.clone(), self.blocks.layout().temp()];
        let staging_dirs: BTreeSet<StagingDir> = puts.iter().map(|put| put.staging_dir).collect();
        dirs.extend(staging_dirs.into_iter().map(|dir| dir.dir(&batch.dir)));
        let files = puts.iter().map(|put| put.staged(&batch.dir));
        let targets = dirs.into_iter().map(FlushTarget::Dir);
        let targets = targets.chain(files.map(FlushTarget::File));
        flusher.flush(&targets.collect::<Vec<_>>())
    }

    /// The staged blocks that will replace one.
    fn replacements(&self, batch: &CommittedBatch) -> Result<Vec<FlushTarget>> {
        let mut files = Vec::new();
        let chunks = in_parallel(&batch.record.puts, |puts| {
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

    /// Whether a put replaces a block.
    fn replaces(&self, put: &Put) -> Result<bool> {
        let found = self.blocks.stat(&put.block)?;
        Ok(found.is_some_and(|stat| stat.len != put.size || !self.blocks.keeps_existing()))
    }

    fn write_record(&self, batch: &CommittedBatch) -> Result<()> {
        let durable = self.durability.syncs_commits();
        let (record, temp_files) = (batch.record_path(), self.blocks.temp_files());
        let contents = batch.record.encode();
        // The contents are flushed before the rename: a power cut that kept the name alone would lose a commit
        // that is acknowledged.
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
        // The commit point. If this fails the record may come back after a power cut: the store is poisoned, so
        // it takes no more writes that the record could undo, and the batch's directory stays until the next
        // open.
        let flusher = self.blocks.flusher();
        let flushed = flusher.flush_record_dir(&batch.dir);
        flushed.inspect_err(|_| clean_up(self.blocks.disk(), &record))
    }

    /// Applies a batch that was just committed. The caller holds the locks of its keys, and has to remove the
    /// batch's directory.
    ///
    /// # Errors
    ///
    /// [`Error::CommitIncomplete`]: it is pending, and will be tried again.
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

    fn try_apply(&self, batch: &CommittedBatch, attempt: Attempt) -> Result<()> {
        Application::new(&self.blocks, self.durability, batch, attempt).run()
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
    /// [`Error::EarlierCommit`].
    pub(crate) fn roll_forward_key(&self, block: &BlockKey) -> Result<()> {
        let applied = self.roll_forward_where(|record| record.keys().any(|key| key == block));
        applied.map_err(before_a_write)
    }

    /// Applies the pending commits that have a key in common with this one, before it is committed. The others
    /// may stay pending beside it: they can be applied in any order.
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

    /// Removes the directory of a batch that is over.
    pub(crate) fn remove_dir(&self, dir: &Path) {
        if let Err(error) = remove_tree(self.blocks.disk(), dir) {
            tracing::warn!(target: target::BATCH, batch = %observe::name(dir), %error, "cannot remove the directory of a batch; the next open will");
        }
    }
}

/// That an earlier commit could not be applied means that this write was not made, which the error of the
/// commit alone would not say.
fn before_a_write(error: Error) -> Error {
    match error {
        Error::CommitIncomplete { record, source } => Error::EarlierCommit { record, source },
        error => error,
    }
}
