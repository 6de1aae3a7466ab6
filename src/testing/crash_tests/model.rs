//! [`Model`]: what may be found in a store after a crash.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::fixture::{Blocks, Change, Write};
use crate::store::Durability;
use crate::testing::fault_disk::Loss;

/// The blocks that a store must have, and may have, after what it acknowledged.
///
/// It says no more than the table of [`Durability`] promises.
#[derive(Clone, Debug)]
pub(super) struct Model {
    durability: Durability,
    keys: BTreeMap<&'static str, History>,
    /// The write that was not acknowledged when the crash came.
    pending: Option<Write>,
}

/// What happened to one key since it was last known to be durable.
#[derive(Clone, Debug, Default)]
struct History {
    live: Option<Bytes>,
    /// What a power cut may leave.
    possible: BTreeSet<Option<Bytes>>,
    /// Whether it may leave a block that is cut short.
    may_be_cut: bool,
}

impl History {
    fn durable(value: Option<Bytes>) -> Self {
        History {
            possible: BTreeSet::from([value.clone()]),
            live: value,
            may_be_cut: false,
        }
    }

    fn lazily(&mut self, value: Option<Bytes>) {
        // A block that replaces another is whole under its name.
        self.may_be_cut |= value.is_some() && self.live.is_none();
        self.possible.insert(value.clone());
        self.live = value;
    }

    fn allows(&self, found: Option<&Bytes>, loss: Loss) -> bool {
        match loss {
            Loss::None => self.live.as_ref() == found,
            Loss::All | Loss::Some(_) => self.may_be_cut || self.possible.contains(&found.cloned()),
        }
    }
}

impl Model {
    /// A store that was closed with these blocks.
    pub(super) fn new(durability: Durability, blocks: &[(&'static str, &'static str)]) -> Self {
        let durable =
            |value: &'static str| History::durable(Some(Bytes::from_static(value.as_bytes())));
        let keys = blocks.iter().map(|&(key, value)| (key, durable(value)));
        Model {
            durability,
            keys: keys.collect(),
            pending: None,
        }
    }

    pub(super) fn acknowledged(&mut self, write: &Write) {
        let durable = self.promises(write);
        if matches!(write, Write::Sync | Write::Close) {
            for history in self.keys.values_mut() {
                *history = History::durable(history.live.clone());
            }
        }
        for (key, value) in write.changes() {
            let history = self.history(key);
            if durable {
                *history = History::durable(value);
            } else {
                history.lazily(value);
            }
        }
    }

    pub(super) fn unacknowledged(&mut self, write: &Write) {
        self.pending = Some(write.clone());
    }

    fn history(&mut self, key: &'static str) -> &mut History {
        let absent = || History::durable(None);
        self.keys.entry(key).or_insert_with(absent)
    }

    fn promises(&self, write: &Write) -> bool {
        match write {
            Write::Put(..) | Write::Delete(_) => self.durability.syncs_writes(),
            Write::Commit(_) => self.durability.syncs_commits(),
            Write::Sync | Write::Close => true,
        }
    }

    /// Says what is lost or torn, if anything is.
    pub(super) fn check(&self, found: &Blocks, loss: Loss) -> Result<(), String> {
        let without = self.explains(found, loss);
        let Some(pending) = &self.pending else {
            return without;
        };
        let mut with = self.clone();
        with.pending = None;
        if loss != Loss::None && !self.promises(pending) {
            with.acknowledged(pending);
            return with.explains(found, loss);
        }
        for (key, value) in pending.changes() {
            *with.history(key) = History::durable(value);
        }
        without.or_else(|absent| {
            let whole = with.explains(found, loss);
            whole.map_err(|whole| format!("neither absent ({absent}) nor whole ({whole})"))
        })
    }

    fn explains(&self, found: &Blocks, loss: Loss) -> Result<(), String> {
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

    /// What the store has as long as nothing crashes.
    pub(super) fn live(&self) -> Blocks {
        let live = self.keys.iter();
        let live =
            live.filter_map(|(key, history)| Some(((*key).to_owned(), history.live.clone()?)));
        live.collect()
    }
}

impl Write {
    /// What the write makes of each key.
    pub(super) fn changes(&self) -> Vec<(&'static str, Option<Bytes>)> {
        let bytes = |value: &'static str| Bytes::from_static(value.as_bytes());
        match self {
            Write::Put(key, value) => vec![(key, Some(bytes(value)))],
            Write::Delete(key) => vec![(key, None)],
            Write::Commit(changes) => changes
                .iter()
                .map(|change| match *change {
                    Change::Put(key, value) => (key, Some(bytes(value))),
                    Change::Delete(key) => (key, None),
                })
                .collect(),
            Write::Sync | Write::Close => Vec::new(),
        }
    }
}
