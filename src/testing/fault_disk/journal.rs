//! [`Journal`]: the changes of entries that are not known to be durable, in their order.

use std::collections::{HashSet, VecDeque};

use super::data_loss::Fate;
use super::tree::{Change, Id, Tree};

/// What is durable of the entries of all directories.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    /// A state through which the live tree has passed, durable as a whole.
    base: Tree,
    /// All changes since then. The first one is not durable.
    records: VecDeque<(Change, Standing)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Pending,
    Durable,
    /// A flush of it failed: no later one makes it durable.
    Spoilt,
}

impl Journal {
    pub(super) fn new(base: Tree) -> Self {
        let records = VecDeque::new();
        Journal { base, records }
    }

    pub(super) fn append(&mut self, change: Change) {
        self.records.push_back((change, Standing::Pending));
    }

    /// Makes the changes of these directories durable, and what must be durable before them.
    pub(super) fn flush(&mut self, dirs: HashSet<Id>) {
        self.settle(dirs, Standing::Durable);
        while let Some((change, Standing::Durable)) = self.records.front() {
            self.base.apply(change);
            self.records.pop_front();
        }
    }

    /// What [`flush`](Journal::flush) would have made durable is now not to be made so any more.
    pub(super) fn fail_to_flush(&mut self, dirs: HashSet<Id>) {
        self.settle(dirs, Standing::Spoilt);
    }

    /// Changes of one directory keep their order, and a move is one of two directories: so one
    /// directory draws in others, for all that came before.
    fn settle(&mut self, mut dirs: HashSet<Id>, to: Standing) {
        for (change, standing) in self.records.iter_mut().rev() {
            if change.dirs().iter().any(|dir| dirs.contains(dir)) {
                dirs.extend(change.dirs());
                if *standing == Standing::Pending {
                    *standing = to;
                }
            }
        }
    }

    /// The tree that is found after a power cut. A change is not found if what it builds on isn't:
    /// a durable entry of a directory that is lost is lost too, and its file is where it was before.
    pub(super) fn after_power_cut(&self, fate: &mut Fate) -> Tree {
        let mut live = self.base.clone();
        let mut found = self.base.clone();
        for (change, standing) in &self.records {
            live.apply(change);
            if *standing == Standing::Durable || fate.keeps() {
                found.apply_beside(change, |id| live.links(id));
            }
        }
        found
    }
}
