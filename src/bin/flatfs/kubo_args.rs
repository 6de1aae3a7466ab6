//! [`KuboArgs`]: the option `--ignore-kubo`, and the lock that keeps kubo away while a command writes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
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

    /// Checks that no block of the store has a part of the list of kubo's pins. No root leads to such a block. There is
    /// no option to skip this: all pins would be lost.
    ///
    /// # Errors
    ///
    /// Fails if the store belongs to a kubo repo of an old version, or of one that can't be read.
    pub(crate) async fn check_pins(store: &Path) -> anyhow::Result<()> {
        let Some(repo) = repo_of(store).await? else {
            return Ok(());
        };
        let file = repo.join("version");
        let text = input::read_text(&file, MAX_VERSION_LEN).await?;
        let version: u32 = text.trim().parse().with_context(|| {
            let file = file.display();
            format!("cannot tell from {file} whether the pins of the kubo repo are in its blocks")
        })?;
        anyhow::ensure!(
            version >= PINS_OUTSIDE_OF_BLOCKS,
            "the kubo repo {} has version {version}: go-ipfs before 0.8 keeps the list of pins in blocks that no root \
             leads to, so all pins would be lost; upgrade the repo, or use 'ipfs repo gc'",
            repo.display()
        );
        Ok(())
    }
}

/// Returns the kubo repo that the store belongs to, if any: the directory above it, if that has the files `config` and
/// `version`. The path of the store may be a link in the repo to a directory elsewhere.
#[expect(
    clippy::disallowed_methods,
    reason = "these files are not a part of the store"
)]
async fn repo_of(store: &Path) -> anyhow::Result<Option<PathBuf>> {
    let as_given = std::path::absolute(store);
    let as_given = as_given.with_context(|| format!("cannot look up {}", store.display()))?;
    let resolved = fs::canonicalize(store).await.ok();
    for store in [Some(as_given), resolved].into_iter().flatten() {
        let Some(repo) = store.parent() else {
            continue;
        };
        let has = async |name: &str| fs::try_exists(repo.join(name)).await;
        let is_repo =
            async { Ok::<_, std::io::Error>(has("config").await? && has("version").await?) };
        if is_repo
            .await
            .with_context(|| format!("cannot look for a kubo repo in {}", repo.display()))?
        {
            return Ok(Some(repo.to_owned()));
        }
    }
    Ok(None)
}
