//! [`StoreModel`]: which blocks a store may have after a crash.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::calls::StoreCall;
use super::inspect::BlockMap;
use crate::store::Durability;
use crate::testing::fault_disk::DataLoss;

/// The blocks that a store must have and may have after the calls that it acknowledged.
///
/// The model promises no more than the table of [`Durability`].
#[derive(Clone, Debug)]
pub(super) struct StoreModel {
    durability: Durability,
    keys: BTreeMap<&'static str, KeyHistory>,
    /// The call that was not acknowledged when the crash happened.
    pending: Option<StoreCall>,
}

/// The values of one key since it was last known to be durable.
#[derive(Clone, Debug, Default)]
struct KeyHistory {
    live: Option<Bytes>,
    /// The values that may be found after a power cut.
    possible: BTreeSet<Option<Bytes>>,
    /// Whether a truncated block may be found after a power cut.
    may_be_truncated: bool,
}

impl KeyHistory {
    fn durable(value: Option<Bytes>) -> Self {
        KeyHistory {
            possible: BTreeSet::from([value.clone()]),
            live: value,
            may_be_truncated: false,
        }
    }

    fn record_lazily(&mut self, value: Option<Bytes>) {
        // A block that replaces another block is complete before it gets its name.
        self.may_be_truncated |= value.is_some() && self.live.is_none();
        self.possible.insert(value.clone());
        self.live = value;
    }

    fn allows(&self, found: Option<&Bytes>, loss: DataLoss) -> bool {
        match loss {
            DataLoss::None => self.live.as_ref() == found,
            DataLoss::AllUnflushed | DataLoss::SomeUnflushed(_) => {
                self.may_be_truncated || self.possible.contains(&found.cloned())
            }
        }
    }
}

impl StoreModel {
    /// Returns the model of a store that was closed with these blocks.
    pub(super) fn new(durability: Durability, blocks: &[(&'static str, &'static str)]) -> Self {
        let durable =
            |value: &'static str| KeyHistory::durable(Some(Bytes::from_static(value.as_bytes())));
        let keys = blocks.iter().map(|&(key, value)| (key, durable(value)));
        StoreModel {
            durability,
            keys: keys.collect(),
            pending: None,
        }
    }

    pub(super) fn acknowledged(&mut self, write: &StoreCall) {
        let durable = self.makes_durable(write);
        if matches!(write, StoreCall::Sync | StoreCall::Close) {
            for history in self.keys.values_mut() {
                *history = KeyHistory::durable(history.live.clone());
            }
        }
        for (key, value) in write.new_values() {
            let history = self.history(key);
            if durable {
                *history = KeyHistory::durable(value);
            } else {
                history.record_lazily(value);
            }
        }
    }

    pub(super) fn unacknowledged(&mut self, write: &StoreCall) {
        self.pending = Some(write.clone());
    }

    fn history(&mut self, key: &'static str) -> &mut KeyHistory {
        let absent = || KeyHistory::durable(None);
        self.keys.entry(key).or_insert_with(absent)
    }

    fn makes_durable(&self, write: &StoreCall) -> bool {
        match write {
            StoreCall::Put(..) | StoreCall::Delete(_) => self.durability.syncs_writes(),
            StoreCall::Commit(_) => self.durability.syncs_commits(),
            StoreCall::Sync | StoreCall::Close => true,
        }
    }

    /// Checks the blocks that were found after a crash.
    ///
    /// # Errors
    ///
    /// The error says what is lost or torn.
    pub(super) fn check(&self, found: &BlockMap, loss: DataLoss) -> Result<(), String> {
        let without = self.check_without_pending(found, loss);
        let Some(pending) = &self.pending else {
            return without;
        };
        let mut with = self.clone();
        with.pending = None;
        if loss != DataLoss::None && !self.makes_durable(pending) {
            with.acknowledged(pending);
            return with.check_without_pending(found, loss);
        }
        for (key, value) in pending.new_values() {
            *with.history(key) = KeyHistory::durable(value);
        }
        without.or_else(|absent| {
            let whole = with.check_without_pending(found, loss);
            whole.map_err(|whole| format!("neither absent ({absent}) nor whole ({whole})"))
        })
    }

    fn check_without_pending(&self, found: &BlockMap, loss: DataLoss) -> Result<(), String> {
        let keys = found
            .keys()
            .map(String::as_str)
            .chain(self.keys.keys().copied());
        for key in keys {
            let value = found.get(key);
            let allowed = match self.keys.get(key) {
                Some(history) => history.allows(value, loss),
                None => value.is_none(),
            };
            if !allowed {
                return Err(format!("{key} is {value:?}, {:?}", self.keys.get(key)));
            }
        }
        Ok(())
    }

    /// Returns the blocks of the store while no crash happens.
    pub(super) fn live(&self) -> BlockMap {
        let live = self.keys.iter();
        let live =
            live.filter_map(|(key, history)| Some(((*key).to_owned(), history.live.clone()?)));
        live.collect()
    }
}
