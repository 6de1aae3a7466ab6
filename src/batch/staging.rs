//! [`Stage`]: the writes of a batch before its commit, in memory and in its directory.

use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::put_set::{PutSet, StagedFile, StagedWrite};
use super::staging_dirs::StagingDirs;
use crate::blocking;
use crate::disk::remove_tree;
use crate::error::{Error, Result};
use crate::format::{BlockKey, StagingDir};
use crate::key::Key;
use crate::observe;
use crate::store::{CommittedBatch, MAX_SINGLE_FLUSHES, Store, WorkGuard};
use crate::sync::lock;

/// The writes of a batch before its commit. If this is dropped while it owns its directory, the directory is
/// removed.
pub(super) struct Stage {
    store: Arc<Store>,
    dir: PathBuf,
    /// One permit for each write that may run.
    writes: Arc<Semaphore>,
    state: Mutex<StageState>,
    owns_dir: AtomicBool,
}

#[derive(Debug, Default)]
struct StageState {
    set: PutSet,
    staging_dirs: StagingDirs,
    /// The number of writes that have begun.
    begun: usize,
    /// The number of running writes.
    running: usize,
    /// The permits of writes that have ended. They are released several at a time, so that a put that waits for one is
    /// woken less often.
    spent: Vec<Permits>,
    /// The first write that failed.
    failure: Option<Arc<Error>>,
}

/// The permits of a write until it has ended: one of the batch, and one to have a file open.
pub(super) type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Stage {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Stage {
            dir: store.blocks.layout().batch_dir(Uuid::new_v4()),
            writes: Arc::new(Semaphore::new(store.options.write_concurrency)),
            state: Mutex::default(),
            owns_dir: AtomicBool::new(true),
            store,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn create_dir(&self) -> Result<()> {
        self.store.blocks.temp_files().with_dir(|| {
            let created = self.store.blocks.disk().create_dir(&self.dir);
            created.map_err(|error| Error::io("create", &self.dir, error))
        })
    }

    pub(super) fn remove_dir(&self) -> Result<()> {
        remove_tree(self.store.blocks.disk(), &self.dir)?;
        self.disown_dir();
        Ok(())
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// Gives up the directory: it was removed, or it belongs to the commit log now.
    pub(super) fn disown_dir(&self) {
        self.owns_dir.store(false, Ordering::SeqCst);
    }

    /// Fails if a write has failed.
    pub(super) fn check(&self) -> Result<()> {
        failed(&lock(&self.state))
    }

    /// Returns the operation of the batch on a key, if there is one.
    pub(super) fn staged(&self, key: &Key) -> Option<StagedWrite> {
        let block = BlockKey::new(key).ok()?;
        lock(&self.state).set.get(&block)
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        lock(&self.state).set.len()
    }

    /// Returns the operations of the batch on at most `max` of its keys, without the first `from`. Reading all
    /// of them at once would block other calls of the batch for too long.
    pub(super) fn part(&self, from: usize, max: usize) -> Vec<(BlockKey, StagedWrite)> {
        lock(&self.state).set.part(from, max)
    }

    /// Returns the batch as it is committed, and leaves it empty. All writes have ended.
    pub(super) fn take_batch(&self) -> CommittedBatch {
        let mut state = lock(&self.state);
        let is_flushed = self.flushes(state.begun);
        let set = mem::take(&mut state.set);
        drop(state);
        CommittedBatch {
            dir: self.dir.clone(),
            record: set.into_record(),
            is_flushed,
        }
    }

    /// Restores the put of this block if its value is already staged. Returns whether it is.
    pub(super) fn revive(&self, block: &BlockKey) -> bool {
        lock(&self.state).set.revive(block)
    }

    pub(super) fn delete(&self, block: BlockKey) {
        lock(&self.state).set.delete(block);
    }

    /// Waits until one more write may run, in this batch and in the store.
    pub(super) async fn permits(&self) -> Result<Permits> {
        let writes = Arc::clone(&self.writes);
        let write = writes.acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok((write, self.store.open_files.permit().await?))
    }

    /// Waits until no write is running.
    pub(super) async fn wait_for_writes(&self) -> Result<()> {
        let all = u32::try_from(self.store.options.write_concurrency).unwrap_or(u32::MAX);
        match self.writes.acquire_many(all).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Waits until no write is running, and fails if one has failed.
    pub(super) async fn finish_writes(&self) -> Result<()> {
        self.wait_for_writes().await?;
        self.check()
    }

    /// Starts to write a block in the background.
    pub(super) fn begin_write(
        self: &Arc<Self>,
        block: BlockKey,
        value: Bytes,
        permits: Permits,
    ) -> Result<()> {
        let stage = self.store.lifecycle.begin_write(Arc::clone(self), None)?;
        let mut state = lock(&self.state);
        failed(&state)?;
        // Another task may have put the block while this one waited for its permits.
        if state.set.revive(&block) {
            return Ok(());
        }
        // The block is in the set before its write starts, because the end of the write updates its entry there.
        state.set.put(block.clone(), value.clone());
        state.running += 1;
        drop(state);
        let mut write = BlockWrite {
            block,
            value,
            permits: Some(permits),
            stage,
        };
        self.store.work_queue.start(move || write.run())
    }

    /// Writes a block to a staging directory.
    fn write(&self, block: &BlockKey, value: &Bytes) -> Result<StagedFile> {
        let (staging_dir, is_new, flushes) = {
            let mut state = lock(&self.state);
            failed(&state)?;
            state.begun += 1;
            let (staging_dir, is_new) = state.staging_dirs.acquire();
            (staging_dir, is_new, self.flushes(state.begun))
        };
        if is_new {
            let dir = staging_dir.dir(&self.dir);
            let created = self.store.blocks.disk().create_dir(&dir);
            created.map_err(|error| Error::io("create", dir, error))?;
        }
        let file = staging_dir.file(&self.dir, block);
        let temp_files = self.store.blocks.temp_files();
        temp_files.write(&file, value, flushes)?;
        observe::bytes_written(value.len());
        Ok(StagedFile {
            size: value.len() as u64,
            staging_dir,
        })
    }

    /// Returns whether the write with this number flushes the contents of its block. If it does, so do all writes
    /// before it.
    ///
    /// A flush through the descriptor that wrote the file reports every failed write-back. Before the file is opened
    /// again, the kernel may forget the failure. Then only a flush of the whole file system reports it, and a large
    /// batch waits for such a flush.
    fn flushes(&self, number: usize) -> bool {
        let is_small = number <= MAX_SINGLE_FLUSHES;
        self.store.options.durability.syncs_commits()
            && (is_small || !self.store.blocks.disk().syncs_all_at_once())
    }

    /// Records the end of a write, and returns the permits to release.
    fn end_write(
        &self,
        block: &BlockKey,
        written: Result<StagedFile>,
        permits: Option<Permits>,
    ) -> Vec<Permits> {
        let max_spent = self.store.options.write_concurrency.div_ceil(4);
        let mut state = lock(&self.state);
        match written {
            Ok(file) => {
                state.staging_dirs.release(file.staging_dir);
                state.set.written(block, file);
            }
            Err(error) => {
                state.failure.get_or_insert(Arc::new(error));
            }
        }
        state.running -= 1;
        state.spent.extend(permits);
        if state.running == 0 || state.spent.len() >= max_spent {
            mem::take(&mut state.spent)
        } else {
            Vec::new()
        }
    }

    /// Reads a staged block from disk. If the batch has been committed since, the block is in the store.
    pub(super) async fn read(
        stage: &Arc<Self>,
        key: &Key,
        staging_dir: StagingDir,
    ) -> Result<Option<Bytes>> {
        let block = BlockKey::new(key)?;
        let permit = stage.store.open_files.permit().await?;
        let lifecycle = &stage.store.lifecycle;
        let stage = lifecycle.begin_read(Arc::clone(stage), Some(permit))?;
        blocking::run(move || {
            let blocks = &stage.store.blocks;
            match blocks.read_at(staging_dir.file(&stage.dir, &block))? {
                None => blocks.read(&block),
                found => Ok(found),
            }
        })
        .await
    }

    /// Removes the directory of a batch that has ended, and then drops `rest`, in the background, so that the
    /// caller does not wait for it. A close does, so the store stays locked until then.
    pub(super) fn remove_in_background(&self, dir: PathBuf, rest: impl Send + 'static) {
        let guard = (self.store.lifecycle).begin_clean_up(Arc::clone(&self.store));
        blocking::detach(move || {
            guard.commit_log.remove_dir(&dir);
            drop(rest);
        });
    }
}

/// A write in the background.
struct BlockWrite {
    block: BlockKey,
    value: Bytes,
    /// Held until the write has ended.
    permits: Option<Permits>,
    stage: WorkGuard<Arc<Stage>>,
}

impl BlockWrite {
    fn run(&mut self) {
        let written = self.stage.write(&self.block, &self.value);
        self.end(written);
    }

    fn end(&mut self, written: Result<StagedFile>) {
        let permits = self.permits.take();
        drop(self.stage.end_write(&self.block, written, permits));
    }
}

/// If the write is dropped before it runs, because the runtime shuts down, the batch fails.
impl Drop for BlockWrite {
    fn drop(&mut self) {
        if self.permits.is_some() {
            self.end(Err(Error::Runtime));
        }
    }
}

fn failed(state: &StageState) -> Result<()> {
    match &state.failure {
        Some(failure) => Err(Error::BatchFailed {
            source: Arc::clone(failure),
        }),
        None => Ok(()),
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.owns_dir.load(Ordering::SeqCst) {
            return;
        }
        let state = mem::take(&mut *lock(&self.state));
        self.remove_in_background(self.dir.clone(), state);
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Stage")
            .field("dir", &self.dir)
            .field("keys", &state.set.len())
            .field("failure", &state.failure)
            .finish_non_exhaustive()
    }
}
