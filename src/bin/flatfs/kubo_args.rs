//! [`KuboArgs`]: the option `--ignore-kubo`, and the lock that keeps kubo away while a command writes.

use std::path::{Path, PathBuf};

use clap::Args;
use ds_flatfs::{Error, KuboLock};
use tokio::fs;

use crate::input;

/// The version of kubo's repos since which the list of pins is not in blocks. go-ipfs 0.8 introduced it.
const PINS_OUTSIDE_OF_BLOCKS: u32 = 11;
/// The maximum length of the file with the version.
const MAX_VERSION_LEN: u64 = 64;

/// Whether a command that writes takes the lock of a kubo repo.
#[derive(Debug, Default, Args)]
pub(crate) struct KuboArgs {
    /// Don't lock the kubo repo of the store, and write even if kubo is running
    #[arg(long)]
    ignore_kubo: bool,
}

impl KuboArgs {
    /// Locks the kubo repos that the stores belong to, if any, until the result is dropped.
    ///
    /// # Errors
    ///
    /// Fails with [`Error::KuboRunning`] if kubo is running on one of them.
    pub(crate) async fn lock(&self, stores: &[&Path]) -> anyhow::Result<Vec<KuboLock>> {
        let mut locks: Vec<KuboLock> = Vec::new();
        if self.ignore_kubo {
            return Ok(locks);
        }
        for store in stores {
            match KuboLock::acquire(store).await {
                Ok(lock) => locks.extend(lock),
                // Both stores of a move may be in one repo.
                Err(Error::Locked { .. }) if !locks.is_empty() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(locks)
    }

    /// Checks that no block of the store has a part of the list of kubo's pins. No root leads to such a block.
    ///
    /// # Errors
    ///
    /// Fails if the store belongs to a kubo repo of an old version.
    pub(crate) async fn check_pins(&self, store: &Path) -> anyhow::Result<()> {
        if let Some((repo, version)) = repo_version(store).await
            && version < PINS_OUTSIDE_OF_BLOCKS
            && !self.ignore_kubo
        {
            anyhow::bail!(
                "the kubo repo {} has version {version}: go-ipfs before 0.8 keeps the list of pins in blocks that no \
                 root leads to, so all pins would be lost; upgrade the repo, or use 'ipfs repo gc' (--ignore-kubo \
                 skips this check)",
                repo.display()
            );
        }
        Ok(())
    }
}

/// Returns the kubo repo that the store belongs to and its version, if there is one and the version can be read.
#[expect(
    clippy::disallowed_methods,
    reason = "these files are not a part of the store"
)]
async fn repo_version(store: &Path) -> Option<(PathBuf, u32)> {
    let store = fs::canonicalize(store).await.ok()?;
    let repo = store.parent()?;
    for file in ["config", "datastore_spec"] {
        fs::metadata(repo.join(file)).await.ok()?;
    }
    let version = input::read_text(&repo.join("version"), MAX_VERSION_LEN).await;
    let version = version.ok()?.trim().parse().ok()?;
    Some((repo.to_owned(), version))
}
