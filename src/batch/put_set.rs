//! [`PutSet`]: the operations of a batch on its keys, in memory. No I/O.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use crate::format::{BlockKey, CommitRecord, Put, StagingDir};

/// The operations of a batch. Each key has one: the last operation wins, with the value that was put first.
#[derive(Debug, Default)]
pub(super) struct PutSet {
    ops: HashMap<BlockKey, BatchOp>,
    /// The keys in the order of their first operations, so that a caller can read some at a time.
    keys: Vec<BlockKey>,
}

#[derive(Debug, Default)]
struct BatchOp {
    value: Option<StagedValue>,
    is_deleted: bool,
}

#[derive(Clone, Debug)]
enum StagedValue {
    /// It is being written.
    InMemory(Bytes),
    OnDisk(StagedFile),
}

/// A block in one of the batch's staging directories.
#[derive(Clone, Copy, Debug)]
pub(super) struct StagedFile {
    /// In bytes.
    pub(super) size: u64,
    pub(super) staging_dir: StagingDir,
}

/// The operation of a batch on a key, and where the value is.
#[derive(Clone, Debug)]
pub(super) enum StagedWrite {
    Deleted,
    InMemory(Bytes),
    OnDisk(StagedFile),
}

impl StagedWrite {
    /// Returns the size of the block in bytes, or `None` if it is deleted.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            StagedWrite::Deleted => None,
            StagedWrite::InMemory(value) => Some(value.len() as u64),
            StagedWrite::OnDisk(file) => Some(file.size),
        }
    }
}

impl BatchOp {
    fn staged(&self) -> StagedWrite {
        match &self.value {
            Some(StagedValue::InMemory(value)) if !self.is_deleted => {
                StagedWrite::InMemory(value.clone())
            }
            Some(StagedValue::OnDisk(file)) if !self.is_deleted => StagedWrite::OnDisk(*file),
            _ => StagedWrite::Deleted,
        }
    }
}

impl PutSet {
    /// Returns the operation of the batch on a key, if there is one.
    pub(super) fn get(&self, block: &BlockKey) -> Option<StagedWrite> {
        self.ops.get(block).map(BatchOp::staged)
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the operations of the batch on at most `max` of its keys, without the first `from`.
    pub(super) fn part(&self, from: usize, max: usize) -> Vec<(BlockKey, StagedWrite)> {
        let keys = self.keys.iter().skip(from).take(max);
        keys.filter_map(|block| Some((block.clone(), self.get(block)?)))
            .collect()
    }

    /// Restores the put of this block if its value is already staged. Returns whether it is.
    pub(super) fn revive(&mut self, block: &BlockKey) -> bool {
        match self.ops.get_mut(block) {
            Some(op) if op.value.is_some() => {
                op.is_deleted = false;
                true
            }
            _ => false,
        }
    }

    /// Adds a put whose write starts now.
    pub(super) fn put(&mut self, block: BlockKey, value: Bytes) {
        let op = self.op(block);
        op.value = Some(StagedValue::InMemory(value));
        op.is_deleted = false;
    }

    pub(super) fn delete(&mut self, block: BlockKey) {
        self.op(block).is_deleted = true;
    }

    fn op(&mut self, block: BlockKey) -> &mut BatchOp {
        match self.ops.entry(block) {
            Entry::Occupied(op) => op.into_mut(),
            Entry::Vacant(vacant) => {
                self.keys.push(vacant.key().clone());
                vacant.insert(BatchOp::default())
            }
        }
    }

    /// Records that the write of a block has ended.
    pub(super) fn written(&mut self, block: &BlockKey, file: StagedFile) {
        if let Some(op) = self.ops.get_mut(block) {
            op.value = Some(StagedValue::OnDisk(file));
        }
    }

    /// Returns the commit record of all operations, sorted. All writes must have ended.
    pub(super) fn into_record(self) -> CommitRecord {
        drop(self.keys);
        let mut record = CommitRecord::default();
        for (block, op) in self.ops {
            let file = match op.staged() {
                StagedWrite::Deleted => {
                    record.deletes.push(block);
                    continue;
                }
                StagedWrite::OnDisk(file) => file,
                // This can't happen after all writes have ended. If it did, the commit would fail because the file
                // does not exist, which is better than a delete of the block.
                StagedWrite::InMemory(value) => StagedFile {
                    size: value.len() as u64,
                    staging_dir: StagingDir::FIRST,
                },
            };
            record.puts.push(Put {
                block,
                size: file.size,
                staging_dir: file.staging_dir,
            });
        }
        record.puts.sort_unstable();
        record.deletes.sort_unstable();
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn block(name: &str) -> BlockKey {
        BlockKey::new(&Key::new(name)).unwrap()
    }

    fn file(size: u64) -> StagedFile {
        StagedFile {
            size,
            staging_dir: StagingDir::FIRST,
        }
    }

    #[test]
    fn a_second_put_of_a_key_keeps_the_first_value_even_after_a_delete() {
        let mut set = PutSet::default();
        let key = block("A");
        assert!(!set.revive(&key));
        set.put(key.clone(), "one".into());
        assert!(set.revive(&key));
        set.delete(key.clone());
        assert!(matches!(set.get(&key), Some(StagedWrite::Deleted)));
        assert!(set.revive(&key));
        assert_eq!(set.get(&key).unwrap().size(), Some(3));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_record_has_each_key_once_and_sorted() {
        let mut set = PutSet::default();
        for name in ["C", "A", "B"] {
            set.put(block(name), "value".into());
            set.written(&block(name), file(5));
        }
        for name in ["B", "E", "D"] {
            set.delete(block(name));
        }
        let record = set.into_record();
        let puts: Vec<_> = record.puts.iter().map(|put| put.block.name()).collect();
        let deletes: Vec<_> = record.deletes.iter().map(BlockKey::name).collect();
        assert_eq!((puts, deletes), (vec!["A", "C"], vec!["B", "D", "E"]));
    }

    #[test]
    fn a_part_has_the_keys_in_the_order_of_their_first_operations() {
        let mut set = PutSet::default();
        for name in ["C", "A", "B"] {
            set.put(block(name), name.into());
        }
        set.delete(block("C"));
        let part = |from, max| {
            let part = set.part(from, max).into_iter();
            part.map(|(block, _)| block.name().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(part(0, 2), ["C", "A"]);
        assert_eq!(part(2, 2), ["B"]);
    }
}
