//! Commits that a crash cut short, as they are found at an open.

use std::path::{Path, PathBuf};

use super::{Attempt, CommittedBatch, incomplete};
use crate::disk::{Kind, if_there, remove_tree};
use crate::error::{Error, Result};
use crate::format::COMMIT;
use crate::format::{CommitRecord, UnreadableRecord};
use crate::observe::{self, target};
use crate::store::{Store, Target};

impl Store {
    /// Cleans up behind a session that crashed, before anybody uses the store: carries committed
    /// batches out, and removes everything else below `.temp`.
    ///
    /// # Errors
    ///
    /// If a record is of an unknown version or can't be read, or a step fails. Nothing is removed
    /// then that a later try may need. A commit that finds no space left is no error: it stays
    /// unfinished.
    pub(in crate::store) fn recover(&self) -> Result<()> {
        let temp = self.layout.temp();
        let failed = |error| Error::io("list", &temp, error);
        let mut committed = Vec::new();
        for entry in self.disk.list(&temp).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.kind == Kind::Dir
                && let Some(batch) = self.committed_in(temp.join(&entry.name))?
            {
                committed.push(batch);
            }
        }
        let mut unfinished = Vec::new();
        for batch in committed {
            tracing::info!(target: target::BATCH, batch = %observe::name(&batch.dir), "completing a commit");
            match self.finish(&batch, Attempt::Again) {
                // To make room, blocks must be deleted, and for that the store must open.
                Err(error) if error.is_full() => {
                    tracing::warn!(target: target::BATCH, batch = %observe::name(&batch.dir), %error, "no space left to complete a commit");
                    unfinished.push(batch);
                }
                finished => finished.map_err(|error| incomplete(&batch, error))?,
            }
        }
        for entry in self.disk.list(&temp).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = temp.join(&entry.name);
            match entry.kind {
                Kind::Dir if unfinished.iter().any(|batch| batch.dir == path) => {}
                Kind::Dir => remove_tree(&*self.disk, &path)?,
                _ => self
                    .disk
                    .remove_file(&path)
                    .map_err(|error| Error::io("remove", &path, error))?,
            }
        }
        self.remember(unfinished);
        Ok(())
    }

    /// Whether there is a batch with a record.
    pub(in crate::store) fn has_records(&self) -> Result<bool> {
        let temp = self.layout.temp();
        let failed = |error| Error::io("list", &temp, error);
        let Some(entries) = if_there(self.disk.list(&temp)).map_err(failed)? else {
            return Ok(false);
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let record = temp.join(&entry.name).join(COMMIT);
            if entry.kind == Kind::Dir && self.disk.stat(&record).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The batch in `dir`, if it is committed.
    fn committed_in(&self, dir: PathBuf) -> Result<Option<CommittedBatch>> {
        let path = dir.join(COMMIT);
        let read = if_there(self.disk.read(&path));
        let Some(record) = read.map_err(|error| Error::io("read", &path, error))? else {
            return Ok(None);
        };
        match CommitRecord::decode(&record) {
            Ok(intent) if self.is_whole(&dir, &intent)? => Ok(Some(CommittedBatch { dir, intent })),
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
                self.remove_record(dir, path)?;
                Ok(None)
            }
        }
    }

    /// Removes a record before the blocks that it speaks of: should that be interrupted, the record
    /// must not be found beside some of them.
    fn remove_record(&self, dir: PathBuf, record: PathBuf) -> Result<()> {
        if_there(self.disk.remove_file(&record))
            .map_err(|error| Error::io("remove", record, error))?;
        self.flush(&[Target::Dir(dir)])
    }

    /// Whether the blocks that are still in the batch's directory are as long as they should be: a
    /// block that is cut short must never get its final name.
    fn is_whole(&self, dir: &Path, intent: &CommitRecord) -> Result<bool> {
        for put in &intent.puts {
            let path = put.staged(dir);
            let found = if_there(self.disk.stat(&path));
            let found = found.map_err(|error| Error::io("look at", path, error))?;
            if found.is_some_and(|stat| stat.kind != Kind::File || stat.len != put.size) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
