//! `flatfs has`

use std::path::PathBuf;

use clap::Args;

use crate::report::Answer;
use crate::store;
use crate::target::{KEY_HELP, Target};

/// Say by the exit status whether blocks are there
#[derive(Debug, Args)]
#[command(after_help = format!("{KEY_HELP}

The exit status is 0 if all of them are there, 1 if one is not, and 2 if that can't be told. Nothing \
else is said of it.

Example:
  flatfs has blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku && echo there"))]
pub(crate) struct Has {
    /// The store
    dir: PathBuf,
    /// CIDs, or keys of the store
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<Target>,
}

impl Has {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        store::reading(&self.dir, async |store| {
            for key in &self.keys {
                if !key.exists(store).await? {
                    return Ok(Answer::No);
                }
            }
            Ok(Answer::Yes)
        })
        .await
    }
}
