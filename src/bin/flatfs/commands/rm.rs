//! `flatfs rm`

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use ds_flatfs::{Datastore, FlatFs};

use crate::report::Answer;
use crate::target::{KEY_HELP, Target};
use crate::{blocks, report, store};

/// Remove blocks
#[derive(Debug, Args)]
#[command(after_help = format!("{KEY_HELP}

A block that isn't there is reported and makes the exit status 1, unless --force is given; the \
others are removed all the same.

Example:
  flatfs rm blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"))]
pub(crate) struct Rm {
    /// The store
    dir: PathBuf,
    /// CIDs, or keys of the store
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<Target>,
    /// Don't mind blocks that aren't there
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        store::writing(&self.dir, async |store| self.remove_all(store).await).await
    }

    async fn remove_all(&self, store: &FlatFs) -> anyhow::Result<Answer> {
        let mut answer = Answer::Yes;
        for key in &self.keys {
            if !remove(store, key).await? && !self.force {
                let dir = self.dir.display();
                report::error(&anyhow!("{key} is not in the store {dir}"));
                answer = Answer::No;
            }
        }
        Ok(answer)
    }
}

/// Whether there was something to remove.
async fn remove(store: &dyn Datastore, target: &Target) -> anyhow::Result<bool> {
    let mut removed = false;
    for key in target.keys() {
        if blocks::has_key(store, &key).await? {
            let deleted = store.delete(&key).await;
            deleted.with_context(|| format!("cannot remove {key}"))?;
            removed = true;
        }
    }
    Ok(removed)
}
