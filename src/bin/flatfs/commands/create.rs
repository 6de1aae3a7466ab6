//! `flatfs create`

use std::path::PathBuf;

use clap::Args;
use ds_flatfs::{Options, Shard};

use crate::exit::Outcome;
use crate::shard_arg::ShardParser;

/// Create an empty store
#[derive(Debug, Args)]
#[command(after_long_help = "\
SHARD determines how blocks are spread over directories: prefix/N, suffix/N or next-to-last/N, where N is \
a number of characters of the key. v1/next-to-last/2 and /repo/flatfs/shard/v1/next-to-last/2 are other \
spellings of next-to-last/2.

Example:
  flatfs create blocks
  flatfs create blocks prefix/3")]
pub(crate) struct Create {
    /// Where to create the store: a directory that is missing or empty
    dir: PathBuf,
    /// The shard function [default: next-to-last/2, as in kubo]
    #[arg(value_parser = ShardParser, hide_possible_values = true)]
    shard: Option<Shard>,
}

impl Create {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let mut options = Options::new();
        if let Some(shard) = self.shard {
            options = options.shard(shard);
        }
        let store = options.create(&self.dir).await?;
        store.close().await?;
        Ok(Outcome::Success)
    }
}
