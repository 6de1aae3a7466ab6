//! [`Context`]: the environment of a run, and the stores that several workloads share.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::environment::{Environment, KIB, MIB};
use super::stores::{FilledStores, PlantedStore};

pub(super) struct Context {
    pub(super) env: Environment,
    filled: OnceCell<FilledStores>,
    planted: RefCell<HashMap<usize, Rc<PlantedStore>>>,
}

impl Context {
    pub(super) fn new(env: Environment) -> Self {
        Context {
            env,
            filled: OnceCell::new(),
            planted: RefCell::default(),
        }
    }

    /// Returns stores with [`block_count`](Environment::block_count) blocks, to read from.
    pub(super) fn filled(&self) -> &FilledStores {
        self.filled
            .get_or_init(|| FilledStores::new(&self.env, self.env.block_count(), 4 * KIB))
    }

    /// Returns a store with this number of blocks, nearly all of them empty.
    ///
    /// # Errors
    ///
    /// Fails if there is no space for the store.
    pub(super) fn planted(&self, count: usize) -> Result<Rc<PlantedStore>, String> {
        if let Some(planted) = self.planted.borrow().get(&count) {
            return Ok(Rc::clone(planted));
        }
        self.env
            .check_space(64 * MIB as u64, count as u64 + 5_000)?;
        let planted = Rc::new(PlantedStore::new(&self.env, count));
        let mut known = self.planted.borrow_mut();
        known.insert(count, Rc::clone(&planted));
        Ok(planted)
    }
}
