//! `flatfs create`

use clap::Args;
use ds_flatfs::Shard;

use crate::exit::Outcome;
use crate::location::{StoreArgs, URL_HELP};
use crate::open_store;
use crate::shard_arg::ShardParser;

/// Create an empty store
#[derive(Debug, Args)]
#[command(after_long_help = format!("\
SHARD determines how blocks are spread over directories: prefix/N, suffix/N or next-to-last/N, where N is \
a number of characters of the key. v1/next-to-last/2 and /repo/flatfs/shard/v1/next-to-last/2 are other \
spellings of next-to-last/2.

{URL_HELP} An empty PREFIX is already a store without a shard function, so for a URL this command is needed \
only to set a shard function. A block is then the object PREFIX/DIRECTORY/KEY, which go-ds-s3 can't read.

Example:
  flatfs create blocks
  flatfs create blocks prefix/3"))]
pub(crate) struct Create {
    #[command(flatten)]
    store: StoreArgs,
    /// The shard function [default: next-to-last/2, as in kubo; none for a URL, as in go-ds-s3]
    #[arg(value_parser = ShardParser, hide_possible_values = true)]
    shard: Option<Shard>,
}

impl Create {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        open_store::create(&self.store, self.shard).await?;
        Ok(Outcome::Success)
    }
}
