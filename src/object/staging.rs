//! [`Staging`]: the writes of a batch before the commit.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::blocking;
use crate::disk::SpillFile;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::sync::lock;

/// The last write of each key.
pub(super) type Writes = BTreeMap<Key, StagedWrite>;

/// A write that is not committed.
#[derive(Clone, Debug)]
pub(super) enum StagedWrite {
    Delete,
    InMemory(Bytes),
    InFile {
        file: Arc<SpillFile>,
        offset: u64,
        len: usize,
    },
}

impl StagedWrite {
    /// Returns the size of the block, or `None` for a delete.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            StagedWrite::Delete => None,
            StagedWrite::InMemory(value) => Some(value.len()),
            StagedWrite::InFile { len, .. } => Some(*len),
        }
    }

    /// Returns the block, or `None` for a delete.
    pub(super) async fn value(self) -> Result<Option<Bytes>> {
        match self {
            StagedWrite::Delete => Ok(None),
            StagedWrite::InMemory(value) => Ok(Some(value)),
            StagedWrite::InFile { file, offset, len } => {
                blocking::run(move || file.read_at(offset, len).map(Some)).await
            }
        }
    }
}

/// The writes of a batch: blocks in memory up to a limit, the others in a temp file.
#[derive(Debug)]
pub(super) struct Staging {
    max_memory: u64,
    staged: Mutex<Staged>,
    /// The temp file and its length. Only jobs of the blocking pool wait for this lock.
    file: Mutex<(Option<Arc<SpillFile>>, u64)>,
}

#[derive(Debug, Default)]
struct Staged {
    /// Shared with the commit and with queries, which see the writes that were made before they began.
    writes: Arc<Writes>,
    memory: u64,
    /// The first put that failed.
    failure: Option<Arc<Error>>,
}

impl Staged {
    fn insert(&mut self, key: Key, write: StagedWrite) {
        let memory = |write: &StagedWrite| match write {
            StagedWrite::InMemory(value) => value.len() as u64,
            _ => 0,
        };
        self.memory += memory(&write);
        let earlier = Arc::make_mut(&mut self.writes).insert(key, write);
        self.memory -= earlier.as_ref().map_or(0, memory);
    }
}

impl Staging {
    pub(super) fn new(max_memory: u64) -> Self {
        Staging {
            max_memory,
            staged: Mutex::default(),
            file: Mutex::default(),
        }
    }

    /// Returns the state if no put has failed: a commit must not leave out a block.
    fn staged(&self) -> Result<MutexGuard<'_, Staged>> {
        let staged = lock(&self.staged);
        match &staged.failure {
            None => Ok(staged),
            Some(source) => Err(Error::BatchFailed {
                source: Arc::clone(source),
            }),
        }
    }

    /// Returns the writes that were made until now.
    pub(super) fn writes(&self) -> Result<Arc<Writes>> {
        Ok(Arc::clone(&self.staged()?.writes))
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<StagedWrite>> {
        Ok(self.staged()?.writes.get(key).cloned())
    }

    pub(super) fn delete(&self, key: &Key) -> Result<()> {
        let mut staged = self.staged()?;
        staged.insert(key.clone(), StagedWrite::Delete);
        Ok(())
    }

    pub(super) async fn put(self: &Arc<Self>, key: &Key, value: Bytes) -> Result<()> {
        {
            let mut staged = self.staged()?;
            if staged.memory + value.len() as u64 <= self.max_memory {
                staged.insert(key.clone(), StagedWrite::InMemory(value));
                return Ok(());
            }
        }
        let staging = Arc::clone(self);
        let written = blocking::run(move || staging.write_to_file(&value)).await;
        // Not a part of the job, which runs to its end even if this future is dropped: the put would replace a later
        // one of the same key.
        match written {
            Ok(write) => self.staged()?.insert(key.clone(), write),
            Err(error) => {
                lock(&self.staged).failure.get_or_insert(Arc::new(error));
            }
        }
        self.staged().map(drop)
    }

    fn write_to_file(&self, value: &[u8]) -> Result<StagedWrite> {
        let (file, offset) = self.reserve(value.len())?;
        file.write_at(offset, value)?;
        let len = value.len();
        Ok(StagedWrite::InFile { file, offset, len })
    }

    /// Reserves a part of the temp file, which is created for the first block.
    fn reserve(&self, len: usize) -> Result<(Arc<SpillFile>, u64)> {
        let mut guard = lock(&self.file);
        let (slot, end) = &mut *guard;
        let file = match slot {
            Some(file) => Arc::clone(file),
            None => Arc::clone(slot.insert(Arc::new(SpillFile::create()?))),
        };
        let offset = *end;
        *end += len as u64;
        Ok((file, offset))
    }
}

/// Iterates over writes without a copy of all of them.
pub(super) fn iterate(writes: Arc<Writes>) -> impl Iterator<Item = (Key, StagedWrite)> {
    let mut last = None;
    std::iter::from_fn(move || {
        let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (after, Bound::Unbounded);
        let (key, write) = writes.range::<Key, _>(range).next()?;
        let next = (key.clone(), write.clone());
        last = Some(next.0.clone());
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    async fn value(staging: &Staging, key: &str) -> Bytes {
        let write = staging.get(&Key::new(key)).unwrap().unwrap();
        write.value().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn blocks_beyond_the_limit_are_in_a_file_and_are_read_as_they_were_put() {
        let staging = Arc::new(Staging::new(10));
        for (key, block) in [
            ("/A", "12345678"),
            ("/B", "abcdefgh"),
            ("/C", ""),
            ("/D", "ABCD"),
        ] {
            staging.put(&Key::new(key), block.into()).await.unwrap();
        }
        let is_in_file = |key| {
            matches!(
                staging.get(&Key::new(key)).unwrap(),
                Some(StagedWrite::InFile { .. })
            )
        };
        assert_eq!(
            ["/A", "/B", "/C", "/D"].map(is_in_file),
            [false, true, false, true]
        );
        assert_eq!(value(&staging, "/A").await, "12345678");
        assert_eq!(value(&staging, "/B").await, "abcdefgh");
        assert_eq!(value(&staging, "/C").await, "");
        assert_eq!(value(&staging, "/D").await, "ABCD");
    }

    #[tokio::test]
    async fn memory_of_a_replaced_block_is_free_again() {
        let staging = Arc::new(Staging::new(10));
        for _ in 0..3 {
            staging
                .put(&Key::new("/A"), "12345678".into())
                .await
                .unwrap();
            staging.delete(&Key::new("/A")).unwrap();
        }
        assert_eq!(lock(&staging.staged).memory, 0);
        assert!(lock(&staging.file).0.is_none());
    }

    #[tokio::test]
    async fn an_iteration_has_the_writes_that_were_made_before() {
        let staging = Arc::new(Staging::new(10));
        for key in ["/B", "/A", "/C"] {
            staging.delete(&Key::new(key)).unwrap();
        }
        let writes = iterate(staging.writes().unwrap());
        staging.delete(&Key::new("/D")).unwrap();
        let keys: Vec<_> = writes.map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["/A", "/B", "/C"]);
    }

    #[tokio::test]
    async fn a_put_whose_future_was_dropped_does_not_replace_a_later_one() {
        let staging = Arc::new(Staging::new(5));
        let key = Key::new("/A");
        assert!(staging.put(&key, "dropped".into()).now_or_never().is_none());
        staging.put(&key, "later".into()).await.unwrap();
        // The job of the first put has the other reference.
        while Arc::strong_count(&staging) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(value(&staging, "/A").await, "later");
    }

    #[tokio::test]
    async fn after_a_put_that_failed_nothing_can_be_committed() {
        let staging = Arc::new(Staging::new(5));
        *lock(&staging.file) = (Some(Arc::new(SpillFile::read_only())), 0);
        staging.put(&Key::new("/A"), "small".into()).await.unwrap();
        let big = staging.put(&Key::new("/B"), "larger".into()).await;
        for failed in [
            big,
            staging.put(&Key::new("/C"), "".into()).await,
            staging.delete(&Key::new("/D")),
            staging.get(&Key::new("/A")).map(drop),
            staging.writes().map(drop),
        ] {
            let error = failed.unwrap_err();
            assert!(matches!(error, Error::BatchFailed { .. }), "{error}");
        }
    }
}
