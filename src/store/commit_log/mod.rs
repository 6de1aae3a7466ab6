//! Commits: from the intent record to the last block in its place, at once or after a crash.
//!
//! A batch's directory with a valid record is a committed batch: it is carried out, however often
//! that is interrupted. One without is not committed: it is removed. Each step can be done again:
//! a block that is there under both of its names, or under its last one only, has its place, and a delete
//! whose file is gone was done.
//!
//! No write of one of its keys may come between the record and the end of the record, or carrying it
//! out again would undo that write. So a commit holds the turns of its keys; and where it could not be
//! carried out, every later write of one of its keys finishes it first.

mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::block::is_already_there;
use super::flusher::{FEW, SIDE_BY_SIDE, Target};
use super::{Durability, Store};
use crate::blocking;
use crate::disk::{Publish, clean_up, if_there, publish, remove_tree};
use crate::error::{Error, Result};
use crate::format::{BlockKey, COMMIT, StagingDir};
use crate::format::{CommitRecord, Put};
use crate::observe::{self, target};

/// So many blocks are worth a thread of their own. Fewer in tests, so that these see it.
const SHARE: usize = if cfg!(test) { 2 } else { 512 };

/// Batches that are committed, and could not be carried out so far.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    batches: Mutex<Vec<CommittedBatch>>,
    /// So that the writes of a healthy store need not take the lock.
    count: AtomicUsize,
}

/// A batch with an intent record.
#[derive(Debug)]
pub(crate) struct CommittedBatch {
    pub(crate) dir: PathBuf,
    pub(crate) intent: CommitRecord,
}

impl Unfinished {
    fn batches(&self) -> MutexGuard<'_, Vec<CommittedBatch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch that is being carried out.
struct Carrying<'a> {
    batch: &'a CommittedBatch,
    attempt: Attempt,
    /// Whether the contents of all of its blocks are known to be durable.
    is_flushed: AtomicBool,
}

/// Whether a committed batch is carried out for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    /// A block that is not in the batch's directory any more has got its place before.
    Again,
}

impl Store {
    /// Makes the shard directories that a batch needs: where there is no space for them, that must
    /// show before the record is written.
    pub(crate) fn make_shards_of(&self, batch: &CommittedBatch) -> Result<()> {
        for put in &batch.intent.puts {
            self.ensure_shard(&self.layout.shard_of(&put.block))?;
        }
        Ok(())
    }

    /// Makes the blocks in a batch's directory durable, if the mode asks for it: a record must not
    /// last longer than what it speaks of.
    pub(crate) fn sync_staged(&self, batch: &CommittedBatch) -> Result<()> {
        if !self.options.durability.syncs_commits() {
            return Ok(());
        }
        if self.disk.syncs_all_at_once() && batch.intent.puts.len() > FEW {
            return self.flush(&[Target::All]);
        }
        let mut targets = vec![batch.dir.clone(), self.layout.temp()];
        let lanes: BTreeSet<StagingDir> = batch.intent.puts.iter().map(|put| put.lane).collect();
        targets.extend(lanes.into_iter().map(|lane| lane.dir(&batch.dir)));
        let dirs = targets.into_iter().map(Target::Dir);
        let files = batch.intent.puts.iter();
        let files = files.map(|put| Target::File(put.staged(&batch.dir)));
        self.flush(&dirs.chain(files).collect::<Vec<_>>())
    }

    /// Writes the intent record. If this succeeds the batch is committed, else it is not.
    pub(crate) fn write_record(&self, batch: &CommittedBatch) -> Result<()> {
        let durable = self.options.durability.syncs_commits();
        let record = batch.dir.join(COMMIT);
        let contents = batch.intent.encode();
        publish(
            &*self.disk,
            &self.next_temp_file(),
            &record,
            contents.as_bytes(),
            self.options.file_mode,
            Publish::contents(durable),
        )?;
        if !durable {
            return Ok(());
        }
        // If this fails the record may come back after a power cut. So the store takes no more writes
        // that it could undo, and the batch's directory stays until the next open.
        self.flush(&[Target::Dir(batch.dir.clone())])
            .inspect_err(|_| clean_up(&*self.disk, &record))
    }

    /// Carries out a batch that was just committed. The caller holds the turns of its keys, and has to
    /// remove the batch's directory.
    ///
    /// # Errors
    ///
    /// [`Error::CommitIncomplete`]: it will be tried again.
    pub(crate) fn carry_out(&self, batch: CommittedBatch) -> Result<()> {
        let Err(error) = self.finish(&batch, Attempt::First) else {
            return Ok(());
        };
        let error = incomplete(&batch, error);
        tracing::warn!(
            target: target::BATCH,
            batch = %observe::name(&batch.dir),
            %error,
            "a commit is incomplete, and will be tried again"
        );
        self.remember([batch]);
        Err(error)
    }

    /// Keeps batches that could not be carried out.
    fn remember(&self, unfinished: impl IntoIterator<Item = CommittedBatch>) {
        let mut batches = self.unfinished.batches();
        batches.extend(unfinished);
        self.unfinished.count.store(batches.len(), Ordering::SeqCst);
    }

    pub(super) fn has_no_unfinished_commits(&self) -> bool {
        self.unfinished.count.load(Ordering::SeqCst) == 0
    }

    /// Finishes what is left of committed batches.
    pub(crate) fn finish_commits(&self) -> Result<()> {
        self.finish_commits_with(|_| true)
    }

    /// Finishes what is left of committed batches that have this key, before a write of it.
    ///
    /// # Errors
    ///
    /// [`Error::EarlierCommit`].
    pub(super) fn finish_commits_of(&self, block: &BlockKey) -> Result<()> {
        let finished = self.finish_commits_with(|intent| intent.keys().any(|key| key == block));
        finished.map_err(before_a_write)
    }

    /// The same for the keys of a batch. The records of batches that have no key in common may stand
    /// side by side: it doesn't matter which is carried out first.
    pub(crate) fn finish_commits_before(&self, intent: &CommitRecord) -> Result<()> {
        if self.has_no_unfinished_commits() {
            return Ok(());
        }
        let keys: HashSet<&BlockKey> = intent.keys().collect();
        let finished =
            self.finish_commits_with(|intent| intent.keys().any(|key| keys.contains(key)));
        finished.map_err(before_a_write)
    }

    fn finish_commits_with(&self, concerned: impl Fn(&CommitRecord) -> bool) -> Result<()> {
        if self.has_no_unfinished_commits() {
            return Ok(());
        }
        let mut batches = self.unfinished.batches();
        let mut result = Ok(());
        batches.retain(|batch| {
            if result.is_err() || !concerned(&batch.intent) {
                return true;
            }
            result = self
                .finish(batch, Attempt::Again)
                .map(|()| self.remove_batch(&batch.dir))
                .map_err(|error| incomplete(batch, error));
            result.is_err()
        });
        self.unfinished.count.store(batches.len(), Ordering::SeqCst);
        result
    }

    fn finish(&self, batch: &CommittedBatch, attempt: Attempt) -> Result<()> {
        let carrying = Carrying {
            batch,
            attempt,
            is_flushed: AtomicBool::new(self.options.durability.syncs_commits()),
        };
        self.place_all(&carrying)?;
        for block in &batch.intent.deletes {
            self.remove(block)?;
        }
        let durable = self.options.durability.syncs_commits() || attempt == Attempt::Again;
        if durable {
            self.flush_shards(self.shards_of(batch.intent.keys())?.into_iter())?;
        }
        let record = batch.dir.join(COMMIT);
        if_there(self.disk.remove_file(&record))
            .map_err(|error| Error::io("remove", record, error))?;
        if durable {
            self.flush(&[Target::Dir(batch.dir.clone())])?;
        }
        Ok(())
    }

    /// Links the blocks to their places, side by side where they are many. The links in the batch's
    /// directory stay until that is removed, when nobody waits for it any more: a rename would take each
    /// away at once, but one between directories takes a lock of the whole file system.
    fn place_all(&self, carrying: &Carrying<'_>) -> Result<()> {
        let puts = &carrying.batch.intent.puts;
        let share = puts
            .len()
            .div_ceil(blocking::processors().min(SIDE_BY_SIDE));
        let placed = blocking::parallel_chunks(puts, share.max(SHARE), |share| {
            share
                .iter()
                .try_for_each(|put| self.place_committed(carrying, put))
        });
        placed.into_iter().collect()
    }

    /// Removes the directory of a batch that is over, and then lets go of `rest`, while nobody waits but a
    /// close. The store keeps its lock until then.
    pub(crate) fn remove_behind(self: &Arc<Self>, batch: PathBuf, rest: impl Send + 'static) {
        let work = self.begin_clean_up();
        let store = Arc::clone(self);
        blocking::detach(move || {
            store.remove_batch(&batch);
            drop(rest);
            // A close may wait for `work`, and then nobody may have the store.
            drop(store);
            drop(work);
        });
    }

    fn remove_batch(&self, dir: &Path) {
        if let Err(error) = remove_tree(&*self.disk, dir) {
            tracing::warn!(target: target::BATCH, batch = %observe::name(dir), %error, "cannot remove the directory of a batch; the next open will");
        }
    }

    fn place_committed(&self, carrying: &Carrying<'_>, put: &Put) -> Result<()> {
        let (block, size) = (&put.block, put.size);
        // A block that was put lazily can't stand in for one whose commit is to be durable.
        if self.options.durability != Durability::Commits && self.keeps(block, size)? {
            return Ok(());
        }
        let staged = put.staged(&carrying.batch.dir);
        let placed = match self.link_new(&staged, block, size) {
            Err(error) if is_already_there(&error) => self
                .flush_replacement(carrying, &staged)
                .and_then(|()| self.place_over(&staged, block, size)),
            placed => placed,
        };
        match placed {
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound
                    && carrying.attempt == Attempt::Again =>
            {
                if self.stat_block(block)?.is_none() {
                    let key = block.key();
                    tracing::error!(target: target::BATCH, %key, "somebody removed a block of a committed batch");
                }
                Ok(())
            }
            placed => placed,
        }
    }

    /// Makes the contents of a staged block durable that replaces one that may be: a power cut could
    /// leave neither. With the first of many blocks it does so for all of them.
    fn flush_replacement(&self, carrying: &Carrying<'_>, staged: &Path) -> Result<()> {
        if carrying.is_flushed.load(Ordering::SeqCst) {
            return Ok(());
        }
        if !self.disk.syncs_all_at_once() || carrying.batch.intent.puts.len() <= FEW {
            return self.flush(&[Target::File(staged.to_owned())]);
        }
        self.flush(&[Target::All])?;
        carrying.is_flushed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// The shard directories that these blocks stand in, or stood in, as far as they are there.
    pub(super) fn shards_of<'a>(
        &self,
        blocks: impl IntoIterator<Item = &'a BlockKey>,
    ) -> Result<BTreeSet<PathBuf>> {
        let mut dirs = BTreeSet::new();
        for block in blocks {
            let shard = self.layout.shard_of(block);
            if self.shards.is_there(&*self.disk, &self.layout, &shard)? {
                dirs.insert(self.layout.at_root(&shard));
            }
        }
        Ok(dirs)
    }
}

/// That another batch is committed but not in place means that this write was not made, which its own
/// error must not leave open.
fn before_a_write(error: Error) -> Error {
    match error {
        Error::CommitIncomplete { record, source } => Error::EarlierCommit { record, source },
        error => error,
    }
}

fn incomplete(batch: &CommittedBatch, error: Error) -> Error {
    Error::CommitIncomplete {
        record: batch.dir.join(COMMIT),
        source: Arc::new(error),
    }
}
