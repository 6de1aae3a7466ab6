//! `flatfs rm`

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use ds_flatfs::{Datastore, FlatFs};

use crate::exit::Outcome;
use crate::key_arg::{KEY_HELP, KeyArg};
use crate::kubo_args::KuboArgs;
use crate::{blocks, open_store, report};

/// Remove blocks
#[derive(Debug, Args)]
#[command(after_long_help = format!("{KEY_HELP}

A block that does not exist is reported and makes the exit status 1, unless --force is given. The other \
blocks are removed in any case.

Example:
  flatfs rm blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"))]
pub(crate) struct Rm {
    /// The store
    dir: PathBuf,
    /// CIDs or keys of the store
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<KeyArg>,
    /// Ignore blocks that don't exist
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

impl Rm {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        open_store::for_writing(&self.dir, async |store| self.remove_all(store).await).await
    }

    async fn remove_all(&self, store: &FlatFs) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::Success;
        for key in &self.keys {
            if !remove(store, key).await? && !self.force {
                let dir = self.dir.display();
                report::error(&anyhow!("{key} is not in the store {dir}"));
                outcome = Outcome::Found;
            }
        }
        Ok(outcome)
    }
}

/// Removes the block under each of its keys. Returns whether it existed.
async fn remove(store: &dyn Datastore, key_arg: &KeyArg) -> anyhow::Result<bool> {
    let mut existed = false;
    for key in key_arg.keys() {
        if blocks::has_key(store, &key).await? {
            let deleted = store.delete(&key).await;
            deleted.with_context(|| format!("cannot remove {key}"))?;
            existed = true;
        }
    }
    Ok(existed)
}
