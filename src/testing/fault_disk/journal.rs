//! [`Journal`]: the entry changes that are not known to be durable, in the order in which they were made.

use std::collections::{HashSet, VecDeque};

use super::data_loss::LossModel;
use super::tree::{EntryChange, InodeId, Tree};

/// The durable entries of all directories, and the changes since then.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    /// An earlier state of the live tree that is durable as a whole.
    base: Tree,
    /// All changes since then. The first one is not durable.
    records: VecDeque<(EntryChange, ChangeState)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangeState {
    Pending,
    Durable,
    /// A flush of the change failed: no later flush makes it durable.
    FlushFailed,
}

impl Journal {
    pub(super) fn new(base: Tree) -> Self {
        let records = VecDeque::new();
        Journal { base, records }
    }

    pub(super) fn append(&mut self, change: EntryChange) {
        self.records.push_back((change, ChangeState::Pending));
    }

    /// Makes the changes of these directories durable, and the changes that must be durable before them.
    pub(super) fn flush(&mut self, dirs: HashSet<InodeId>) {
        self.settle(dirs, ChangeState::Durable);
        while let Some((change, ChangeState::Durable)) = self.records.front() {
            self.base.apply(change);
            self.records.pop_front();
        }
    }

    /// Fails a flush: what [`flush`](Journal::flush) would have made durable never becomes durable.
    pub(super) fn fail_to_flush(&mut self, dirs: HashSet<InodeId>) {
        self.settle(dirs, ChangeState::FlushFailed);
    }

    /// Moves the pending changes of these directories to another state.
    ///
    /// The changes of one directory keep their order, and a move is a change of two directories. So a
    /// flush of one directory includes earlier changes of other directories.
    fn settle(&mut self, mut dirs: HashSet<InodeId>, to: ChangeState) {
        for (change, state) in self.records.iter_mut().rev() {
            if change.dirs().iter().any(|dir| dirs.contains(dir)) {
                dirs.extend(change.dirs());
                if *state == ChangeState::Pending {
                    *state = to;
                }
            }
        }
    }

    /// Returns the tree that is found after a power cut.
    ///
    /// A change is not found if a change that it depends on is lost: a durable entry of a lost directory
    /// is lost too, and its file is where it was before.
    pub(super) fn after_power_cut(&self, loss: &mut LossModel) -> Tree {
        let mut live = self.base.clone();
        let mut found = self.base.clone();
        for (change, state) in &self.records {
            live.apply(change);
            if *state == ChangeState::Durable || loss.change_survives() {
                found.apply_if_possible(change, |id| live.has_name(id));
            }
        }
        found
    }
}
