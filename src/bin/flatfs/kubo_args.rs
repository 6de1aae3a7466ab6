//! [`KuboArgs`]: the option `--ignore-kubo`, and the lock that keeps kubo away while a command writes.

use std::path::Path;

use clap::Args;
use ds_flatfs::{Error, KuboLock};

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
}
