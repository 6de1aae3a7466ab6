//! [`Stage`]: what a batch has collected so far, in memory and in its directory.

use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use super::put_set::{PutSet, Staged, StagedFile};
use super::staging_dirs::StagingDirs;
use crate::blocking;
use crate::disk::remove_tree;
use crate::error::{Error, Result};
use crate::format::CommitRecord;
use crate::format::{BlockKey, StagingDir};
use crate::key::Key;
use crate::observe;
use crate::store::Store;

/// What a batch has collected. The directory goes with it, unless a commit has taken it over.
pub(super) struct Stage {
    store: Arc<Store>,
    dir: PathBuf,
    /// One for each write that may be under way.
    writes: Arc<Semaphore>,
    state: Mutex<State>,
    has_left_dir: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    set: PutSet,
    lanes: StagingDirs,
    /// How many writes are under way.
    under_way: usize,
    /// What writes that have ended held. It goes back in portions: who waits for a permit is woken less
    /// often then, and finds several.
    spent: Vec<Permits>,
    /// The first write that failed.
    failure: Option<Arc<Error>>,
}

/// What a write needs until it has ended.
type Held = (Permits, TaskTrackerToken);
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Stage {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Stage {
            dir: store.layout.batch_dir(Uuid::new_v4()),
            writes: Arc::new(Semaphore::new(store.options.write_concurrency)),
            state: Mutex::default(),
            has_left_dir: AtomicBool::new(false),
            store,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn make_dir(&self) -> Result<()> {
        self.store.in_temp(|| {
            let made = self.store.disk.create_dir(&self.dir);
            made.map_err(|error| Error::io("create", &self.dir, error))
        })
    }

    pub(super) fn remove_dir(&self) -> Result<()> {
        remove_tree(&*self.store.disk, &self.dir)?;
        self.leave_dir();
        Ok(())
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// From here on the directory is not the stage's any more.
    pub(super) fn leave_dir(&self) {
        self.has_left_dir.store(true, Ordering::SeqCst);
    }

    /// Says whether a write has failed.
    pub(super) fn check(&self) -> Result<()> {
        failed(&self.state())
    }

    /// What the batch has of a key, `None` if nothing.
    pub(super) fn staged(&self, key: &Key) -> Option<Staged> {
        let block = BlockKey::new(key).ok()?;
        self.state().set.get(&block)
    }

    /// How many keys the batch has.
    pub(super) fn len(&self) -> usize {
        self.state().set.len()
    }

    /// What the batch has of some of its keys: the first ones but for `from`, and no more than `most`.
    /// All of them at once would keep everybody else from the batch for too long.
    pub(super) fn part(&self, from: usize, most: usize) -> Vec<(BlockKey, Staged)> {
        self.state().set.part(from, most)
    }

    /// Everything that the batch has, taken out of it for its commit.
    pub(super) fn take_intent(&self) -> CommitRecord {
        let set = mem::take(&mut self.state().set);
        set.into_intent()
    }

    /// If a value of this block is there already, lets it count.
    pub(super) fn revive(&self, block: &BlockKey) -> bool {
        self.state().set.revive(block)
    }

    pub(super) fn delete(&self, block: BlockKey) {
        self.state().set.delete(block);
    }

    /// Waits until one more write may be under way, in this batch and in the store.
    pub(super) async fn permits(&self) -> Result<Permits> {
        let writes = Arc::clone(&self.writes);
        let write = writes.acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok((write, self.store.file_permit().await?))
    }

    /// Waits until no write is under way.
    pub(super) async fn settled(&self) -> Result<()> {
        let all = u32::try_from(self.store.options.write_concurrency).unwrap_or(u32::MAX);
        match self.writes.acquire_many(all).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Begins to write a block in the background.
    pub(super) fn begin_write(
        self: &Arc<Self>,
        block: BlockKey,
        value: Bytes,
        (permits, work): Held,
    ) -> Result<()> {
        let mut state = self.state();
        failed(&state)?;
        // Another task may have put it while this one waited.
        if state.set.revive(&block) {
            return Ok(());
        }
        state.set.put(block.clone(), value.clone());
        state.under_way += 1;
        drop(state);
        let write = Write {
            stage: Arc::clone(self),
            block,
            value,
            permits: Some(permits),
            _work: work,
        };
        self.store.crew.begin(move || write.run())
    }

    /// What a write does on disk.
    fn write(&self, block: &BlockKey, value: &Bytes) -> Result<StagedFile> {
        let (lane, is_new) = {
            let mut state = self.state();
            failed(&state)?;
            state.lanes.take()
        };
        if is_new {
            let dir = lane.dir(&self.dir);
            let made = self.store.disk.create_dir(&dir);
            made.map_err(|error| Error::io("create", dir, error))?;
        }
        self.store.stage(&lane.file(&self.dir, block), value)?;
        observe::bytes_written(value.len());
        Ok(StagedFile {
            size: value.len() as u64,
            lane,
        })
    }

    /// Takes in how a write has ended, and answers what is to be released.
    fn end_write(
        &self,
        block: &BlockKey,
        written: Result<StagedFile>,
        permits: Option<Permits>,
    ) -> Vec<Permits> {
        let portion = self.store.options.write_concurrency.div_ceil(4);
        let mut state = self.state();
        match written {
            Ok(file) => {
                state.lanes.give_back(file.lane);
                state.set.written(block, file);
            }
            Err(error) => state.fail(error),
        }
        state.under_way -= 1;
        state.spent.extend(permits);
        if state.under_way == 0 || state.spent.len() >= portion {
            mem::take(&mut state.spent)
        } else {
            Vec::new()
        }
    }

    /// Reads a block that the batch has on disk. If the batch was committed since, it is in the
    /// store.
    pub(super) async fn read(
        stage: &Arc<Self>,
        key: &Key,
        lane: StagingDir,
    ) -> Result<Option<Bytes>> {
        let block = BlockKey::new(key)?;
        let permit = stage.store.file_permit().await?;
        let work = stage.store.begin_read()?;
        let stage = Arc::clone(stage);
        blocking::run(move || {
            let _held = (work, permit);
            match stage.store.read_at(lane.file(&stage.dir, &block))? {
                None => stage.store.read_block(&block),
                found => Ok(found),
            }
        })
        .await
    }
}

/// A write in the background.
struct Write {
    stage: Arc<Stage>,
    block: BlockKey,
    value: Bytes,
    /// Until the write has ended.
    permits: Option<Permits>,
    /// Last, because this may be the last to have the stage, and a close has to wait until that is gone.
    _work: TaskTrackerToken,
}

impl Write {
    fn run(mut self) {
        let written = self.stage.write(&self.block, &self.value);
        self.end(written);
    }

    fn end(&mut self, written: Result<StagedFile>) {
        let permits = self.permits.take();
        drop(self.stage.end_write(&self.block, written, permits));
    }
}

/// A write that its runtime gave up, because it shuts down.
impl Drop for Write {
    fn drop(&mut self) {
        if self.permits.is_some() {
            self.end(Err(Error::Runtime));
        }
    }
}

impl State {
    /// Keeps the first failure.
    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(Arc::new(error));
    }
}

fn failed(state: &State) -> Result<()> {
    match &state.failure {
        Some(failure) => Err(Error::BatchFailed {
            source: Arc::clone(failure),
        }),
        None => Ok(()),
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.has_left_dir.load(Ordering::SeqCst) {
            return;
        }
        let state = mem::take(&mut *self.state());
        self.store.remove_behind(self.dir.clone(), state);
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Stage")
            .field("dir", &self.dir)
            .field("keys", &state.set.len())
            .field("failure", &state.failure)
            .finish_non_exhaustive()
    }
}
