//! [`MountBuilder`]: collects the datastores of a [`Mount`] and checks their prefixes.

use std::sync::Arc;

use super::Mount;
use super::mounts::{MountPoint, MountTable};
use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::key::Key;

/// Builds a [`Mount`] from datastores and their prefixes.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MountBuilder {
    mounts: Vec<(String, Arc<dyn Datastore>)>,
}

impl MountBuilder {
    /// Mounts `datastore` under `prefix`. The prefix `/` is for all keys that no other prefix matches.
    pub fn mount(mut self, prefix: impl AsRef<str>, datastore: impl Datastore + 'static) -> Self {
        let prefix = prefix.as_ref().to_owned();
        self.mounts.push((prefix, Arc::new(datastore)));
        self
    }

    /// Builds the mount.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidKey`] if a prefix is not a clean key (`/`, or namespaces with a `/` before each), or
    /// occurs twice, and [`Error::InvalidOption`] if no datastore is mounted.
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
            .map(|(prefix, datastore)| Arc::new(MountPoint::new(prefix, &prefixes, datastore)))
            .collect();
        Ok(Mount {
            table: Arc::new(MountTable::new(all)),
        })
    }
}

/// Parses a prefix, and checks that it is not one of the earlier ones.
fn check(text: &str, earlier: &[Key]) -> Result<Key> {
    let prefix = Key::new(text);
    let reason = if prefix.as_str() != text {
        "the prefix of a mount must be `/`, or namespaces with a `/` before each"
    } else if earlier.contains(&prefix) {
        "two datastores cannot be mounted under the same prefix"
    } else {
        return Ok(prefix);
    };
    Err(Error::InvalidKey {
        key: text.to_owned(),
        reason,
    })
}
