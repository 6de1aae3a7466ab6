//! [`MountBuilder`]: what is to be mounted where.

use std::sync::Arc;

use super::Mount;
use super::mounts::{Mounted, Mounts};
use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::key::Key;

/// What is to be mounted where; see [`Mount`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MountBuilder {
    mounts: Vec<(String, Arc<dyn Datastore>)>,
}

impl MountBuilder {
    /// Mounts `datastore` under `prefix`; `/` is for every key that no other prefix has.
    pub fn mount(mut self, prefix: impl AsRef<str>, datastore: Arc<dyn Datastore>) -> Self {
        self.mounts.push((prefix.as_ref().to_owned(), datastore));
        self
    }

    /// The datastores as one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] if a prefix is not a clean key (`/`, or namespaces with a `/` before each),
    /// or was given twice; [`Error::InvalidOption`] if nothing is mounted.
    pub fn build(self) -> Result<Mount> {
        if self.mounts.is_empty() {
            return Err(Error::InvalidOption {
                option: "mount",
                reason: "nothing is mounted",
            });
        }
        let mut prefixes: Vec<Key> = Vec::new();
        for (text, _) in &self.mounts {
            prefixes.push(check(text, &prefixes)?);
        }
        let datastores = self.mounts.into_iter().map(|(_, datastore)| datastore);
        let all = prefixes
            .iter()
            .zip(datastores)
            .map(|(prefix, datastore)| Arc::new(Mounted::new(prefix, &prefixes, datastore)))
            .collect();
        Ok(Mount {
            mounts: Arc::new(Mounts::new(all)),
        })
    }
}

/// A prefix from its text, if it isn't among the earlier ones.
fn check(text: &str, earlier: &[Key]) -> Result<Key> {
    let prefix = Key::new(text);
    let reason = if prefix.as_str() != text {
        "a mount's prefix is `/`, or namespaces with a `/` before each"
    } else if earlier.contains(&prefix) {
        "two datastores can't be mounted under the same prefix"
    } else {
        return Ok(prefix);
    };
    Err(Error::InvalidKey {
        key: text.to_owned(),
        reason,
    })
}
