//! `flatfs create`

use std::path::PathBuf;

use clap::Args;
use ds_flatfs::{Options, Shard};

use crate::report::Answer;

/// Make an empty store
#[derive(Debug, Args)]
#[command(after_help = "\
SHARD says how blocks are spread over directories: prefix/N, suffix/N or next-to-last/N, also \
written v1/next-to-last/2 or /repo/flatfs/shard/v1/next-to-last/2.

Example:
  flatfs create blocks
  flatfs create blocks prefix/3")]
pub(crate) struct Create {
    /// Where to make it: a directory that is missing or empty
    dir: PathBuf,
    /// The shard function; next-to-last/2, as kubo's, unless given
    shard: Option<Shard>,
}

impl Create {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        let mut options = Options::new();
        if let Some(shard) = self.shard {
            options = options.shard(shard);
        }
        let store = options.create(&self.dir).await?;
        store.close().await?;
        Ok(Answer::Yes)
    }
}
