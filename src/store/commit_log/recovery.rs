//! Recovery: an open applies or removes the batches that a crash interrupted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::apply::Attempt;
use super::{CommitLog, CommittedBatch};
use crate::disk::{Kind, if_there, remove_tree};
use crate::error::{Error, Result};
use crate::format::{COMMIT, CommitRecord, StagingDir, UnreadableRecord};
use crate::observe::{self, target};
use crate::store::blocks::FlushTarget;

impl CommitLog {
    /// Cleans up after a session that crashed, before the store is used: applies committed batches, and removes
    /// everything else below `.temp`.
    ///
    /// # Errors
    ///
    /// Fails if a record has an unknown version or can't be read, or if a step fails. Nothing that a later
    /// attempt may need is then removed. It is not an error if there is no space to apply a commit: it stays
    /// pending.
    pub(in crate::store) fn recover(&self) -> Result<()> {
        // All records are read before the first step: one of an unknown version leaves everything as it is.
        let mut committed = Vec::new();
        for (path, kind) in self.temp_entries()? {
            if kind == Kind::Dir
                && let Some(batch) = self.read_batch(path)?
            {
                committed.push(batch);
            }
        }
        // Flushed before the first batch is applied: a power cut may otherwise take away a record that has been applied
        // in part.
        let mut pending = Vec::new();
        if !self.blocks.disk().syncs_all_at_once() {
            self.flush_found(&committed)?;
        }
        for batch in committed {
            tracing::info!(target: target::BATCH, batch = %observe::name(&batch.dir), "completing a commit");
            match self.try_apply(&batch, Attempt::Again) {
                // The store must open anyway, so that blocks can be deleted to free space.
                Err(error) if error.is_full() => {
                    tracing::warn!(target: target::BATCH, batch = %observe::name(&batch.dir), %error, "no space left to complete a commit");
                    pending.push(batch);
                }
                applied => applied.map_err(|error| batch.incomplete(error))?,
            }
        }
        // Removed after the batches are applied: until then the directory of a batch has the only copies of its
        // blocks.
        for (path, kind) in self.temp_entries()? {
            match kind {
                Kind::Dir if pending.iter().any(|batch| batch.dir == path) => {}
                Kind::Dir => remove_tree(self.blocks.disk(), &path)?,
                _ => _ = self.blocks.disk().remove_if_there(&path)?,
            }
        }
        self.add_pending(pending);
        Ok(())
    }

    /// Makes durable what the recovery relies on, where the open has not flushed everything. A power cut during the
    /// recovery must not take away a record whose batch is applied in part, and must not leave a block whose
    /// contents are lost where a durable one was.
    fn flush_found(&self, batches: &[CommittedBatch]) -> Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        let mut dirs = BTreeSet::from([self.blocks.layout().temp()]);
        let mut files = Vec::new();
        for batch in batches {
            dirs.insert(batch.dir.clone());
            files.push(batch.record_path());
            for put in &batch.record.puts {
                let staged = put.staged(&batch.dir);
                if self.blocks.disk().find(&staged)?.is_some() {
                    dirs.insert(put.staging_dir.dir(&batch.dir));
                    files.push(staged);
                }
            }
        }
        let files = files.into_iter().map(FlushTarget::File);
        let targets = files.chain(dirs.into_iter().map(FlushTarget::Dir));
        self.blocks.flusher().flush(&targets.collect::<Vec<_>>())
    }

    /// Returns whether there is a batch with a record.
    pub(in crate::store) fn has_records(&self) -> Result<bool> {
        let has_record = |(path, kind): (PathBuf, _)| {
            kind == Kind::Dir && self.blocks.disk().stat(&path.join(COMMIT)).is_ok()
        };
        Ok(self.temp_entries()?.into_iter().any(has_record))
    }

    /// Returns the entries of the directory of temp files.
    fn temp_entries(&self) -> Result<Vec<(PathBuf, Kind)>> {
        let temp = self.blocks.layout().temp();
        let failed = |error| Error::io("list", &temp, error);
        let Some(listing) = if_there(self.blocks.disk().list(&temp)).map_err(failed)? else {
            return Ok(Vec::new());
        };
        let entries = listing.map(|entry| {
            let entry = entry.map_err(failed)?;
            Ok((temp.join(&entry.name), entry.kind))
        });
        entries.collect()
    }

    /// Returns the batch in `dir` if it is committed.
    fn read_batch(&self, dir: PathBuf) -> Result<Option<CommittedBatch>> {
        let path = dir.join(COMMIT);
        let failed = |error| Error::io("read", &path, error);
        let Some(file) = if_there(self.blocks.disk().open(&path)).map_err(failed)? else {
            return Ok(None);
        };
        match CommitRecord::read(file).map_err(failed)? {
            Ok(record) if self.is_whole(&dir, &record)? => Ok(Some(CommittedBatch {
                dir,
                record,
                is_flushed: false,
            })),
            Err(UnreadableRecord::Version(version)) => {
                Err(Error::UnknownCommitRecord { path, version })
            }
            _ => {
                tracing::warn!(
                    target: target::BATCH,
                    batch = %observe::name(&dir),
                    "removing a batch that a crash of the machine cut short: \
                     it was committed without being made durable"
                );
                // The record is removed first, durably: if the removal is interrupted, the next open must not
                // find the record with only a part of the blocks that it names.
                self.blocks.disk().remove_if_there(&path)?;
                self.blocks.flusher().flush_record_dir(&dir)?;
                Ok(None)
            }
        }
    }

    /// Returns whether the blocks that are still in the batch's directory have the sizes in the record. A
    /// truncated block must never be published.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unexpected`] if a staging directory in the record is not a directory: through a
    /// symbolic link, a file from outside of the store could be published as a block.
    fn is_whole(&self, dir: &Path, record: &CommitRecord) -> Result<bool> {
        let staging_dirs: BTreeSet<StagingDir> =
            record.puts.iter().map(|put| put.staging_dir).collect();
        for staging_dir in staging_dirs {
            self.blocks.disk().find_dir(&staging_dir.dir(dir))?;
        }
        for put in &record.puts {
            let found = self.blocks.disk().find(&put.staged(dir))?;
            if found.is_some_and(|stat| stat.kind != Kind::File || stat.len != put.size) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
