//! [`Staging`]: the writes of a batch before the commit.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::blocking;
use crate::disk::SpillFile;
use crate::error::Result;
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

    /// Returns the writes that were made until now.
    pub(super) fn writes(&self) -> Arc<Writes> {
        Arc::clone(&lock(&self.staged).writes)
    }

    pub(super) fn get(&self, key: &Key) -> Option<StagedWrite> {
        lock(&self.staged).writes.get(key).cloned()
    }

    pub(super) fn delete(&self, key: &Key) {
        lock(&self.staged).insert(key.clone(), StagedWrite::Delete);
    }

    pub(super) async fn put(self: &Arc<Self>, key: &Key, value: Bytes) -> Result<()> {
        {
            let mut staged = lock(&self.staged);
            if staged.memory + value.len() as u64 <= self.max_memory {
                staged.insert(key.clone(), StagedWrite::InMemory(value));
                return Ok(());
            }
        }
        let (staging, key) = (Arc::clone(self), key.clone());
        blocking::run(move || staging.put_into_file(key, &value)).await
    }

    fn put_into_file(&self, key: Key, value: &[u8]) -> Result<()> {
        let (file, offset) = self.reserve(value.len())?;
        file.write_at(offset, value)?;
        let len = value.len();
        let write = StagedWrite::InFile { file, offset, len };
        // Only now may a read or a commit see the write: its bytes are in the file.
        lock(&self.staged).insert(key, write);
        Ok(())
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
    use super::*;

    async fn value(staging: &Staging, key: &str) -> Bytes {
        let write = staging.get(&Key::new(key)).unwrap();
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
                staging.get(&Key::new(key)),
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
            staging.delete(&Key::new("/A"));
        }
        assert_eq!(lock(&staging.staged).memory, 0);
        assert!(lock(&staging.file).0.is_none());
    }

    #[tokio::test]
    async fn an_iteration_has_the_writes_that_were_made_before() {
        let staging = Arc::new(Staging::new(10));
        for key in ["/B", "/A", "/C"] {
            staging.delete(&Key::new(key));
        }
        let writes = iterate(staging.writes());
        staging.delete(&Key::new("/D"));
        let keys: Vec<_> = writes.map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["/A", "/B", "/C"]);
    }
}
