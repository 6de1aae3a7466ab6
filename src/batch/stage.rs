//! [`Stage`]: what a batch has collected so far, in memory and in its directory.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use crate::disk::{pool, remove_tree};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::key::Key;
use crate::layout::BlockKey;
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
    ops: HashMap<BlockKey, Op>,
    /// Writes that have their permits and wait for a writer.
    queue: VecDeque<Write>,
    /// How many jobs take writes from the queue.
    writers: usize,
    /// The first write that failed.
    failure: Option<Arc<Error>>,
}

/// What the batch does to one key: the last operation on it, with the value first put.
#[derive(Debug)]
struct Op {
    value: Option<Value>,
    is_deleted: bool,
}

#[derive(Clone, Debug)]
enum Value {
    /// Its write is under way.
    InMemory(Bytes),
    /// In the batch's directory, with its size in bytes.
    OnDisk(u64),
}

#[derive(Debug)]
struct Write {
    block: BlockKey,
    value: Bytes,
    _held: Held,
}

/// What a write needs until it has ended.
type Held = (Permits, TaskTrackerToken);
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// What a read of a key finds in the batch.
#[derive(Clone, Debug)]
pub(super) enum Staged {
    Deleted,
    InMemory(Bytes),
    OnDisk(u64),
}

impl Staged {
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Staged::Deleted => None,
            Staged::InMemory(value) => Some(value.len() as u64),
            Staged::OnDisk(size) => Some(*size),
        }
    }
}

impl Op {
    fn staged(&self) -> Staged {
        match &self.value {
            Some(Value::InMemory(value)) if !self.is_deleted => Staged::InMemory(value.clone()),
            Some(Value::OnDisk(size)) if !self.is_deleted => Staged::OnDisk(*size),
            _ => Staged::Deleted,
        }
    }
}

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
        self.store
            .disk
            .create_dir(&self.dir)
            .map_err(|error| Error::io("create", &self.dir, error))
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
        self.state().ops.get(&block).map(Op::staged)
    }

    /// Everything that the batch has.
    pub(super) fn snapshot(&self) -> Vec<(BlockKey, Staged)> {
        let state = self.state();
        let ops = state.ops.iter();
        ops.map(|(block, op)| (block.clone(), op.staged()))
            .collect()
    }

    pub(super) fn intent(&self) -> Intent {
        let mut intent = Intent::default();
        for (block, staged) in self.snapshot() {
            match staged.size() {
                Some(size) => intent.puts.push((block, size)),
                None => intent.deletes.push(block),
            }
        }
        intent
    }

    /// If a value of this block is there already, lets it count.
    pub(super) fn revive(&self, block: &BlockKey) -> bool {
        revive(&mut self.state(), block)
    }

    pub(super) fn delete(&self, block: BlockKey) {
        match self.state().ops.entry(block) {
            Entry::Occupied(mut op) => op.get_mut().is_deleted = true,
            Entry::Vacant(vacant) => {
                vacant.insert(Op {
                    value: None,
                    is_deleted: true,
                });
            }
        }
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
        held: Held,
    ) -> Result<()> {
        let mut state = self.state();
        failed(&state)?;
        // Another task may have put it while this one waited.
        if revive(&mut state, &block) {
            return Ok(());
        }
        let op = Op {
            value: Some(Value::InMemory(value.clone())),
            is_deleted: false,
        };
        let work = held.1.clone();
        state.ops.insert(block.clone(), op);
        state.queue.push_back(Write {
            block,
            value,
            _held: held,
        });
        if state.writers < self.store.options.write_concurrency {
            state.writers += 1;
            drop(state);
            let stage = Arc::clone(self);
            pool::detach(move || {
                // This may be the last to have the stage: a close has to wait until it is gone.
                let _work = work;
                stage.write_queued();
                drop(stage);
            });
        }
        Ok(())
    }

    /// Writes until nothing is queued: one job for many blocks.
    fn write_queued(&self) {
        loop {
            let mut state = self.state();
            let Some(write) = state.queue.pop_front() else {
                state.writers -= 1;
                return;
            };
            let has_failed = state.failure.is_some();
            drop(state);
            if !has_failed {
                self.write(&write);
            }
        }
    }

    fn write(&self, write: &Write) {
        let path = self.dir.join(write.block.file_name());
        let mode = self.store.options.file_mode;
        let written = self.store.disk.write_new(&path, &write.value, mode, false);
        let mut state = self.state();
        match written {
            Ok(()) => {
                let size = write.value.len() as u64;
                if let Some(op) = state.ops.get_mut(&write.block) {
                    op.value = Some(Value::OnDisk(size));
                }
            }
            Err(error) => {
                let error = Error::io("write", path, error);
                state.failure.get_or_insert(Arc::new(error));
            }
        }
    }

    /// Reads a block that the batch has on disk. If the batch was committed since, it is in the
    /// store.
    pub(super) async fn read(stage: &Arc<Self>, key: &Key) -> Result<Option<Bytes>> {
        let block = BlockKey::new(key)?;
        let work = stage.store.begin_read()?;
        let permit = stage.store.file_permit().await?;
        let stage = Arc::clone(stage);
        pool::run(move || {
            let _held = (work, permit);
            let path = stage.dir.join(block.file_name());
            match stage.store.disk.read(&path) {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    stage.store.read_block(&block)
                }
                Err(error) => Err(Error::io("read", path, error)),
            }
        })
        .await
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

fn revive(state: &mut State, block: &BlockKey) -> bool {
    match state.ops.get_mut(block) {
        Some(op) if op.value.is_some() => {
            op.is_deleted = false;
            true
        }
        _ => false,
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.has_left_dir.load(Ordering::SeqCst) {
            return;
        }
        let work = self.store.begin_clean_up();
        let disk = Arc::clone(&self.store.disk);
        let dir = self.dir.clone();
        pool::detach(move || {
            let _work = work;
            if let Err(error) = remove_tree(&*disk, &dir) {
                tracing::warn!(%error, "cannot remove a discarded batch; the next open will");
            }
        });
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Stage")
            .field("dir", &self.dir)
            .field("keys", &state.ops.len())
            .field("failure", &state.failure)
            .finish_non_exhaustive()
    }
}
