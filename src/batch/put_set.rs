//! [`PutSet`]: what a batch does to which keys, in memory. No I/O.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use crate::format::{BlockKey, StagingDir};
use crate::format::{CommitRecord, Put};

/// The operations of a batch: one for each key, the last one, with the value first put.
#[derive(Debug, Default)]
pub(super) struct PutSet {
    ops: HashMap<BlockKey, Op>,
    /// The keys of all operations in the order in which they came, for who looks at some at a time.
    keys: Vec<BlockKey>,
}

#[derive(Debug)]
struct Op {
    value: Option<Value>,
    is_deleted: bool,
}

#[derive(Clone, Debug)]
enum Value {
    /// Its write is under way.
    InMemory(Bytes),
    OnDisk(StagedFile),
}

/// A block in the batch's directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct StagedFile {
    /// In bytes.
    pub(super) size: u64,
    pub(super) lane: StagingDir,
}

/// What a read of a key finds in the batch.
#[derive(Clone, Debug)]
pub(super) enum Staged {
    Deleted,
    InMemory(Bytes),
    OnDisk(StagedFile),
}

impl Staged {
    /// In bytes.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Staged::Deleted => None,
            Staged::InMemory(value) => Some(value.len() as u64),
            Staged::OnDisk(file) => Some(file.size),
        }
    }
}

impl Op {
    fn staged(&self) -> Staged {
        match &self.value {
            Some(Value::InMemory(value)) if !self.is_deleted => Staged::InMemory(value.clone()),
            Some(Value::OnDisk(file)) if !self.is_deleted => Staged::OnDisk(*file),
            _ => Staged::Deleted,
        }
    }
}

impl PutSet {
    /// What the batch has of a key, `None` if nothing.
    pub(super) fn get(&self, block: &BlockKey) -> Option<Staged> {
        self.ops.get(block).map(Op::staged)
    }

    /// How many keys the batch has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// What the batch has of some of its keys: the first ones but for `from`, and no more than `most`.
    pub(super) fn part(&self, from: usize, most: usize) -> Vec<(BlockKey, Staged)> {
        let keys = self.keys.iter().skip(from).take(most);
        keys.filter_map(|block| Some((block.clone(), self.get(block)?)))
            .collect()
    }

    /// If a value of this block is there already, lets it count.
    pub(super) fn revive(&mut self, block: &BlockKey) -> bool {
        match self.ops.get_mut(block) {
            Some(op) if op.value.is_some() => {
                op.is_deleted = false;
                true
            }
            _ => false,
        }
    }

    /// Adds a put whose write begins now.
    pub(super) fn put(&mut self, block: BlockKey, value: Bytes) {
        self.set(block, |op| {
            op.value = Some(Value::InMemory(value));
            op.is_deleted = false;
        });
    }

    pub(super) fn delete(&mut self, block: BlockKey) {
        self.set(block, |op| op.is_deleted = true);
    }

    fn set(&mut self, block: BlockKey, change: impl FnOnce(&mut Op)) {
        let op = match self.ops.entry(block) {
            Entry::Occupied(op) => op.into_mut(),
            Entry::Vacant(vacant) => {
                self.keys.push(vacant.key().clone());
                vacant.insert(Op {
                    value: None,
                    is_deleted: false,
                })
            }
        };
        change(op);
    }

    /// Notes that the write of a block has ended.
    pub(super) fn written(&mut self, block: &BlockKey, file: StagedFile) {
        if let Some(op) = self.ops.get_mut(block) {
            op.value = Some(Value::OnDisk(file));
        }
    }

    /// Everything in it, sorted, for a commit once all writes have ended.
    pub(super) fn into_record(self) -> CommitRecord {
        drop(self.keys);
        let mut intent = CommitRecord::default();
        for (block, op) in self.ops {
            let file = match op.staged() {
                Staged::Deleted => {
                    intent.deletes.push(block);
                    continue;
                }
                Staged::OnDisk(file) => file,
                // There is none: a commit of it would fail, and not take it for a delete.
                Staged::InMemory(value) => StagedFile {
                    size: value.len() as u64,
                    lane: StagingDir::FIRST,
                },
            };
            intent.puts.push(Put {
                block,
                size: file.size,
                lane: file.lane,
            });
        }
        intent.puts.sort_unstable();
        intent.deletes.sort_unstable();
        intent
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
            lane: StagingDir::FIRST,
        }
    }

    #[test]
    fn a_second_put_of_a_key_counts_the_value_first_put_also_after_a_delete() {
        let mut set = PutSet::default();
        let key = block("A");
        assert!(!set.revive(&key));
        set.put(key.clone(), "one".into());
        assert!(set.revive(&key));
        set.delete(key.clone());
        assert!(matches!(set.get(&key), Some(Staged::Deleted)));
        assert!(set.revive(&key));
        assert_eq!(set.get(&key).unwrap().size(), Some(3));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_record_has_every_key_once_and_sorted() {
        let mut set = PutSet::default();
        for name in ["C", "A", "B"] {
            set.put(block(name), "value".into());
            set.written(&block(name), file(5));
        }
        for name in ["B", "E", "D"] {
            set.delete(block(name));
        }
        let intent = set.into_record();
        let puts: Vec<_> = intent.puts.iter().map(|put| put.block.name()).collect();
        let deletes: Vec<_> = intent.deletes.iter().map(BlockKey::name).collect();
        assert_eq!((puts, deletes), (vec!["A", "C"], vec!["B", "D", "E"]));
    }

    #[test]
    fn a_part_has_the_keys_in_the_order_in_which_they_came() {
        let mut set = PutSet::default();
        for name in ["C", "A", "B"] {
            set.put(block(name), name.into());
        }
        set.delete(block("C"));
        let part = |from, most| {
            let part = set.part(from, most).into_iter();
            part.map(|(block, _)| block.name().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(part(0, 2), ["C", "A"]);
        assert_eq!(part(2, 2), ["B"]);
    }
}
